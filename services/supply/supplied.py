"""Counts the packs that lots supplied to the home market in a window. Pure.

A lot belongs to the window in which it first reached `available`, at the price of that day. Of its packs those count
that came onto the home market and did not leave it again: consumed + adjusted + available, the available part 0 if
the lot is recalled, all at the day that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final, Literal

import msgspec

from services.supply.lot import MarketLot
from services.supply.origin import Origin, Origins
from services.supply.posting import UNNAMED_LOT

WINDOW_DAYS: Final = 365
Window = Literal["days_365", "calendar_year", "ever"]


class Supplied(msgspec.Struct):
    """The supplied packs of one GTIN and origin in a window, their value in VND, and what could not be counted.

    `reached` are all packs that reached available, `priced` those of them whose lots have a price.
    """

    packs: int = 0
    value: int = 0
    reached: int = 0
    priced: int = 0


SuppliedBy = dict[tuple[int, Origin], Supplied]


def window_start(day: date, window: Window) -> date:
    """The first day of the window that ends with `day`."""
    if window == "ever":
        return date.min
    if window == "calendar_year":
        return date(day.year, 1, 1)
    return date.fromordinal(max(1, day.toordinal() - WINDOW_DAYS + 1))


def supplied(
    lots: Iterable[MarketLot],
    origins: Origins,
    day: date,
    window: Window,
) -> SuppliedBy:
    """By GTIN and origin, over the lots that first reached available in the window up to `day`."""
    first, registry = window_start(day, window), origins.registry
    found: SuppliedBy = {}
    for lot in lots:
        if lot.supplied_on is None or not first <= lot.supplied_on <= day or lot.lot == UNNAMED_LOT:
            continue
        total = found.setdefault((lot.gtin, origins.of(lot)), Supplied())
        packs = home_packs(lot, registry.recalled_on(lot.gtin, lot.lot, lot.introduced_on, day))
        price = registry.price_on(lot.gtin, lot.supplied_on)
        total.packs += packs
        total.reached += lot.reached
        if price is not None:
            total.value += packs * price
            total.priced += lot.reached
    return found


def home_packs(lot: MarketLot, recalled_on: date | None) -> int:
    """The packs of a lot that came onto the home market and stayed on it."""
    available = 0 if recalled_on is not None else lot.available
    return lot.used + available
