"""Which facts, and which corrections that put one in place, speak of a product or of its authorisations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from services.supply.asof import Said
from services.supply.correction import Correction

Place = tuple[int, int]
Subject = int | str  # a GTIN, or an authorisation's number


class ProductFacts:
    """An index of facts by what they name."""

    def __init__(self) -> None:
        self._said: dict[Subject, list[tuple[Place, int, Said]]] = defaultdict(list)
        self._put: dict[Subject, dict[bytes, msgspec.Struct]] = defaultdict(dict)  # by correction, what it puts

    def add(self, place: Place, offset: int, said: Said) -> None:
        """A fact as it was recorded."""
        for subject in _subjects(said.fact.data):
            self._said[subject].append((place, offset, said))

    def add_corrections(self, corrections: Iterable[Correction]) -> None:
        """Corrections, also such as have been added before."""
        for correction in corrections:
            if correction.replacement is not None:
                for subject in _subjects(correction.replacement.data):
                    self._put[subject][correction.key] = correction.replacement.data

    def clear(self) -> None:
        self._said.clear()
        self._put.clear()

    def about(self, gtin: int, ends: Mapping[Place, int]) -> tuple[list[Said], set[bytes]]:
        """The facts recorded before `ends` that name the product or an authorisation that was ever said to be its own,
        and the keys of all corrections that may put such a fact in place, whenever they were recorded."""
        of_product: list[msgspec.Struct] = [said.fact.data for _, _, said in self._said.get(gtin, ())]
        of_product += self._put.get(gtin, {}).values()
        subjects: set[Subject] = {
            gtin,
            *(name for data in of_product for name in _subjects(data) if isinstance(name, str)),
        }
        found = {
            said.event_key: said
            for subject in subjects
            for place, offset, said in self._said.get(subject, ())
            if offset < ends.get(place, 0)
        }
        return list(found.values()), {key for subject in subjects for key in self._put.get(subject, {})}


def _subjects(data: msgspec.Struct) -> set[Subject]:
    """The GTINs and the authorisation that a fact names."""
    told: Any = data
    found: set[Subject] = {int(pack.gtin) for pack in getattr(told, "packs", None) or ()}
    if (gtin := getattr(told, "gtin", None)) is not None:
        found.add(int(gtin))
    if (authorisation := getattr(told, "authorisation", None)) is not None:
        found.add(authorisation)
    return found
