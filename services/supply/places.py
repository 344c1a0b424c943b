"""Names the ten places between which packs move, in the order in which every table and answer shows them."""

from __future__ import annotations

from enum import IntEnum


class Place(IntEnum):
    """A place of the double-entry ledger. The numbers are stored: never reuse or renumber one."""

    PRODUCED = 1
    IMPORTED = 2
    QUARANTINE = 3
    AVAILABLE = 4
    REJECTED = 5
    EXPORTED = 6
    CONSUMED = 7
    DESTROYED = 8
    TRANSFORMED = 9
    ADJUSTED = 10


PLACES = tuple(Place)
NAMES = tuple(place.name.lower() for place in PLACES)
NAME_OF = {place.value: place.name.lower() for place in PLACES}
PLACE_OF = {name: Place(number) for number, name in NAME_OF.items()}
