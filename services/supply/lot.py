"""Says what is known of one lot: its packs by place, its origin, whether it is blocked. Pure."""

from __future__ import annotations

from datetime import date

import msgspec

from services.supply.places import NAMES, Place
from services.supply.posting import UNNAMED_LOT


class LotState(msgspec.Struct):
    """One lot: net packs a place (index: the place's number) up to a day, and its facts, which follow `known` alone.

    `authorisation` is what its production names, and is read only where it tells the origin (introductions.py).
    """

    gtin: int
    lot: str
    packs: tuple[int, ...]
    produced_count: int
    imported_count: int
    introduced_on: date | None
    expires_on: date | None
    supplied_on: date | None
    authorisation: str | None = None

    @property
    def named(self) -> bool:
        return self.lot != UNNAMED_LOT

    @property
    def available(self) -> int:
        return self.packs[Place.AVAILABLE]

    @property
    def used(self) -> int:
        """The packs that were consumed or adjusted away."""
        return self.packs[Place.CONSUMED] + self.packs[Place.ADJUSTED]

    @property
    def origin_conflict(self) -> bool:
        return self.produced_count > 0 and self.imported_count > 0

    def expired_on(self, day: date) -> bool:
        """A lot is expired from the day after `expires_on`."""
        return self.expires_on is not None and self.expires_on < day

    def places(self) -> dict[str, int]:
        return {name: self.packs[number] for number, name in enumerate(NAMES, 1)}


class MarketLot(msgspec.Struct):
    """What the market's figures need of a lot: `used` are its packs consumed or adjusted, `reached` those that came
    to `available` by release or import without hold."""

    gtin: int
    lot: str
    available: int
    used: int
    reached: int
    produced_count: int
    imported_count: int
    introduced_on: date | None
    expires_on: date | None
    supplied_on: date | None
    authorisation: str | None = None


def market_lot(state: LotState, reached: int) -> MarketLot:
    """What the market needs of a lot of which `reached` packs once came to `available`."""
    days = (state.introduced_on, state.expires_on, state.supplied_on)
    counts = (state.produced_count, state.imported_count)
    return MarketLot(state.gtin, state.lot, state.available, state.used, reached, *counts, *days, state.authorisation)


def nothing_of(gtin: int, lot: str) -> LotState:
    """A lot of which nothing has moved."""
    return LotState(gtin, lot, (0,) * (len(NAMES) + 1), 0, 0, None, None, None)


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
