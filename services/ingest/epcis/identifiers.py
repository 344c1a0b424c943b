"""Tells which GS1 key a URI names, be it an EPC URN or a Digital Link of any domain. Pure."""

from __future__ import annotations

import re
from typing import Final

from services.ingest.epcis import digital_link, epc_urn
from services.ingest.epcis.gs1_key import Key

_GOODS: Final = re.compile(
    r"urn:epc:(id:sgtin|class:lgtin|idpat:sgtin):.*|https?://.*/(01|gtin)/[0-9]+(/.*)?", re.IGNORECASE
)


def key(uri: str) -> Key | None:
    """The key that a URI names; None if it names none."""
    return epc_urn.key(uri) if uri[:8].lower() == "urn:epc:" else digital_link.key(uri)


def gln(text: str) -> str | None:
    """The GLN in a location's or a party's URI, after urn:gln:, or as plain digits; None if there is none."""
    plain = text.removeprefix("urn:gln:")
    if re.fullmatch("[0-9]{13}", plain):
        return plain
    found = key(text)
    return None if found is None else found.gln


def means_goods(uri: str) -> bool:
    """Whether `uri` sets out to name trade items, even if it does not succeed."""
    return _GOODS.fullmatch(uri) is not None
