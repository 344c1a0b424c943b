"""The market day after day, moved on by what takes effect, is the market as it is folded for each day alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from services.supply.lot import MarketLot
from services.supply.market_days import Change, MarketDays
from services.supply.supplied import WINDOW_DAYS

FIRST = date(2026, 1, 1)
DAYS = 400
PLENTY = 50


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def folded(lots: dict[tuple[int, str], date | None], changes: Sequence[Change], on: date) -> list[MarketLot]:
    """Each lot with the sums of its changes up to a day."""
    found = []
    for (gtin, name), supplied_on in lots.items():
        mine = [change for change in changes if (change.gtin, change.lot) == (gtin, name) and change.on <= on]
        available, used = sum(change.available for change in mine), sum(change.used for change in mine)
        reached = sum(change.reached for change in mine)
        found.append(MarketLot(gtin, name, available, used, reached, 1, 0, None, None, supplied_on))
    return found


def told(lots: Sequence[MarketLot]) -> list[Any]:
    return sorted((lot.gtin, lot.lot, lot.available, lot.used, lot.reached, lot.supplied_on) for lot in lots)


def test_every_day_of_a_series_is_what_is_folded_for_it() -> None:
    drawn = Random(8)
    lots = {
        (number % 5, f"L{number}"): drawn.choice([None, day(drawn.randrange(-WINDOW_DAYS - 20, DAYS + 20))])
        for number in range(PLENTY)
    }
    changes = sorted(
        Change(day(drawn.randrange(DAYS)), *drawn.choice(list(lots)), *(drawn.randrange(-9, 10) for _ in range(3)))
        for _ in range(20 * PLENTY)
    )
    series = MarketDays(folded(lots, changes, FIRST), FIRST, day(DAYS), "days_365")
    moved_to = FIRST
    for number in sorted(drawn.sample(range(DAYS), 60)):
        series.move_on(change for change in changes if moved_to < change.on <= day(number))
        moved_to = day(number)
        window = [
            lot
            for lot in folded(lots, changes, moved_to)
            if lot.supplied_on is not None and day(number - WINDOW_DAYS) < lot.supplied_on <= moved_to
        ]
        assert told(series.lots(moved_to)) == told(window)
