"""Says what is known of one lot: its packs by place, its origin, whether it is blocked. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

import msgspec

from services.supply.places import NAMES, Place
from services.supply.posting import UNNAMED_LOT

Origin = Literal["domestic", "import", "unknown"]
ORIGINS: Final = ("domestic", "import", "unknown")


class LotState(msgspec.Struct):
    """One lot: net packs a place (index: the place's number) up to a day, and its facts, which follow `known` alone."""

    gtin: int
    lot: str
    packs: tuple[int, ...]
    produced_count: int
    imported_count: int
    introduced_on: date | None
    expires_on: date | None
    supplied_on: date | None

    @property
    def named(self) -> bool:
        return self.lot != UNNAMED_LOT

    @property
    def available(self) -> int:
        return self.packs[Place.AVAILABLE]

    @property
    def origin(self) -> Origin:
        """Domestic if produced here (also when it was imported as well), import if received, else not yet known."""
        if not self.named:
            return "unknown"
        if self.produced_count > 0:
            return "domestic"
        return "import" if self.imported_count > 0 else "unknown"

    @property
    def origin_conflict(self) -> bool:
        return self.produced_count > 0 and self.imported_count > 0

    def expired_on(self, day: date) -> bool:
        """A lot is expired from the day after `expires_on`."""
        return self.expires_on is not None and self.expires_on < day

    def places(self) -> dict[str, int]:
        return {name: self.packs[number] for number, name in enumerate(NAMES, 1)}


class Stock(msgspec.Struct, frozen=True):
    """What is available, split: usable, blocked by a recall, expired. Recalled and expired counts as blocked."""

    usable: int
    blocked: int
    expired: int


def stock(state: LotState, recalled_on: date | None, day: date) -> Stock:
    """How the available packs of a lot stand on `day`; usable may be negative."""
    if recalled_on is not None and recalled_on <= day:
        return Stock(0, state.available, 0)
    if state.expired_on(day):
        return Stock(0, 0, state.available)
    return Stock(state.available, 0, 0)


def gtin_text(gtin: int) -> str:
    return f"{gtin:014d}"
