"""Tells in which country a place or a party is: by the document's own master data, else by the directory. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.epcis import identifiers
from shared.events.fields import COUNTRIES

HOME: Final = "VN"
_ATTRIBUTE: Final = re.compile("(.*[:/#])?countryCode")


@dataclass(frozen=True, slots=True)
class Atlas:
    """Countries (ISO 3166 alpha-2) by GLN, or by the URI of a place that has none."""

    master_data: Mapping[str, str]
    directory: Mapping[str, str]

    def country(self, uri: str | None) -> str | None:
        """The country of a place or a party; None if nobody has told it."""
        if uri is None:
            return None
        name = _name(uri)
        return self.master_data.get(name) or self.directory.get(name)


def _name(uri: str) -> str:
    return identifiers.gln(uri) or uri


def countries(vocabularies: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What valid master data tells; a place inside another one is in its country. Contradictions tell nothing."""
    elements = [one for vocabulary in vocabularies for one in vocabulary.get("vocabularyElementList", ())]
    told: dict[str, set[str]] = {}
    for element in elements:
        told.setdefault(_name(element["id"]), set()).update(_codes(element))
    inherited: dict[str, set[str]] = {}
    for element in elements:
        for child in element.get("children", ()):
            inherited.setdefault(_name(child), set()).update(told[_name(element["id"])])
    found = {name: told.get(name) or inherited.get(name, set()) for name in told | inherited}
    return {name: next(iter(codes)) for name, codes in found.items() if len(codes) == 1}


def _codes(element: Mapping[str, Any]) -> Iterator[str]:
    for attribute in element.get("attributes", ()):
        value = attribute.get("attribute")
        if _ATTRIBUTE.fullmatch(attribute["id"]) and isinstance(value, str) and value.strip().upper() in COUNTRIES:
            yield value.strip().upper()
