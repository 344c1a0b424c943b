"""Reads GS1 Digital Links, whatever their domain and the path before the key. Pure.

Check digits are taken as written and judged by the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.ingest.epcis.gs1_key import GTIN, QUALIFIERS, Key, decoded

_WEB: Final = re.compile(r"https?://[^/?#]*(/[^?#]*)", re.IGNORECASE)
_NUMBERED: Final = "[0-9]{4}.*"
_KEYS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        ai: re.compile(pattern)
        for ai, pattern in {
            "00": "[0-9]{18}",
            GTIN: "[0-9]{8}|[0-9]{12,14}",
            "253": "[0-9]{13}.*",
            "255": "[0-9]{13,25}",
            "401": _NUMBERED,
            "402": "[0-9]{17}",
            "414": "[0-9]{13}",
            "417": "[0-9]{13}",
            "8003": "[0-9]{14}.*",
            "8004": _NUMBERED,
            "8006": "[0-9]{18}",
            "8010": _NUMBERED,
            "8017": "[0-9]{18}",
            "8018": "[0-9]{18}",
        }.items()
    }
)
# Names that earlier releases of the standard allowed in place of application identifiers.
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sscc": "00",
        "gtin": "01",
        "lot": "10",
        "ser": "21",
        "cpv": "22",
        "gdti": "253",
        "gcn": "255",
        "ginc": "401",
        "gsin": "402",
        "gln": "414",
        "party": "417",
        "grai": "8003",
        "giai": "8004",
        "itip": "8006",
        "cpid": "8010",
        "gsrnp": "8017",
        "gsrn": "8018",
    }
)


def key(uri: str) -> Key | None:
    """The key that a Digital Link names; None if it names none. A GTIN of 8, 12 or 13 digits is padded."""
    found = _WEB.fullmatch(uri.partition("#")[0].partition("?")[0])
    if found is None:
        return None
    parts = found[1].strip("/").split("/")
    for at in range(len(parts) - 1):
        ai = _NAMES.get(parts[at], parts[at])
        if ai in _KEYS:
            try:
                value = decoded(parts[at + 1])
                if _KEYS[ai].fullmatch(value):
                    return Key(ai, value.zfill(14) if ai == GTIN else value, _qualifiers(ai, parts[at + 2 :]))
            except ValueError:
                return None
    return None


def _qualifiers(ai: str, parts: list[str]) -> dict[str, str]:
    """What of `parts`, names and values in turn, qualifies the key. Raises ValueError if a value cannot be read."""
    pairs = zip(parts[::2], parts[1::2], strict=False)
    named = ((_NAMES.get(name, name), value) for name, value in pairs)
    return {name: decoded(value) for name, value in named if name in QUALIFIERS.get(ai, ())}
