"""A GS1 key with its qualifiers, whichever way it was written, and its canonical Digital Link. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote_to_bytes

CANONICAL: Final = "https://id.gs1.org"
# What a Digital Link leaves as it is beside letters and digits; all else is percent-encoded (its table 7-1).
_PLAIN: Final = "-._';="

SSCC: Final = "00"
GTIN: Final = "01"
LOT: Final = "10"
SERIAL: Final = "21"
THIRD_PARTY_SERIAL: Final = "235"
LOCATION: Final = "414"
LOCATION_EXTENSION: Final = "254"
PARTY: Final = "417"
PIECE: Final = "8006"
COMPONENT: Final = "8010"
COMPONENT_SERIAL: Final = "8011"

# Of several qualifiers of a key the first one here is the most fine-grained.
QUALIFIERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        GTIN: (SERIAL, THIRD_PARTY_SERIAL, LOT),
        PIECE: (SERIAL, LOT),
        LOCATION: (LOCATION_EXTENSION,),
        COMPONENT: (COMPONENT_SERIAL,),
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """A GS1 key: its application identifier, its value, and its qualifiers, all decoded."""

    ai: str
    value: str
    qualifiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def gtin(self) -> str | None:
        return self.value if self.ai == GTIN else None

    @property
    def lot(self) -> str | None:
        return self.qualifiers.get(LOT) if self.ai == GTIN else None

    @property
    def serial(self) -> str | None:
        return self.qualifiers.get(SERIAL) if self.ai == GTIN else None

    @property
    def gln(self) -> str | None:
        return self.value if self.ai in (LOCATION, PARTY) else None

    def link(self) -> str:
        """The constrained canonical Digital Link: GS1's own domain, and the most fine-grained qualifier alone."""
        finest = next((ai for ai in QUALIFIERS.get(self.ai, ()) if ai in self.qualifiers), None)
        path = [self.ai, quote(self.value, safe=_PLAIN)]
        if finest is not None:
            path += [finest, quote(self.qualifiers[finest], safe=_PLAIN)]
        return "/".join((CANONICAL, *path))


def decoded(text: str) -> str:
    """`text` without percent-encoding. Raises ValueError if it is empty or no UTF-8."""
    if not text:
        raise ValueError("empty")
    return unquote_to_bytes(text).decode("utf-8")
