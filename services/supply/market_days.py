"""Moves the market's lots on from day to day, by what takes effect on each: one fold for a whole series. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date
from operator import attrgetter
from typing import NamedTuple

from services.supply.lot import MarketLot
from services.supply.supplied import Window, window_start


class Change(NamedTuple):
    """What took effect of one lot on one day: see MarketLot."""

    on: date
    gtin: int
    lot: str
    available: int
    used: int
    reached: int


class MarketDays:
    """The lots of the market on one day after another, from `first` to `last`.

    Which lots a window can hold is fixed: when a lot was first supplied follows what is known, not the day. Where
    `every` lot is asked for, those that no window can hold are there too: they may be in stock.
    """

    def __init__(self, lots: Iterable[MarketLot], first: date, last: date, window: Window, every: bool = False) -> None:
        """`lots` as on `first`; they are changed."""
        start = window_start(first, window)
        held = list(lots)
        supplied = (lot for lot in held if lot.supplied_on is not None and start <= lot.supplied_on <= last)
        self._lots = sorted(supplied, key=attrgetter("supplied_on"))
        self._supplied_on: list[date] = [lot.supplied_on for lot in self._lots if lot.supplied_on is not None]
        self._every = held if every else None
        self._by_key = {(lot.gtin, lot.lot): lot for lot in self._every or self._lots}
        self._window = window

    def move_on(self, changes: Iterable[Change]) -> None:
        """To a later day: `changes` are those of the days up to it that have not been taken in."""
        for change in changes:
            lot = self._by_key.get((change.gtin, change.lot))
            if lot is not None:
                lot.available += change.available
                lot.used += change.used
                lot.reached += change.reached

    def lots(self, day: date) -> list[MarketLot]:
        """Those that the window up to `day` holds, or every one, until the next day comes."""
        if self._every is not None:
            return self._every
        first = bisect_left(self._supplied_on, window_start(day, self._window))
        return self._lots[first : bisect_right(self._supplied_on, day)]
