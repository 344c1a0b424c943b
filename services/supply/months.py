"""Spreads reported consumption evenly over the days of its periods: what was used and reported by month. Pure.

A month is a number, year x 12 + month - 1.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Final

import msgspec

from services.supply.trade import Change, Trade

MONTHS: Final = 6  # of which the average is taken
YEARS_BACK: Final = 4


class Month(msgspec.Struct):
    """Of one product in one month: packs used, the days that lie in a reported period (a bit a day), whether there were
    any packs available on any day."""

    used: Fraction | int = 0
    reported: int = 0
    stocked: bool = False


def month_of(day: date) -> int:
    return day.year * 12 + day.month - 1


def first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def last_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, days_in(month))


def days_in(month: int) -> int:
    return monthrange(month // 12, month % 12 + 1)[1]


def whole(month: int) -> int:
    """The bits of all its days."""
    return (1 << days_in(month)) - 1


def complete_before(on: date) -> Iterator[int]:
    """The months that have ended by `on`, the last one first, as far back as is looked."""
    this = month_of(on)
    last = this if on.day == days_in(this) else this - 1
    for month in range(last, last - 12 * YEARS_BACK, -1):
        if month < 12:
            return
        yield month


def months_of(trade: Trade, on: date) -> Mapping[int, Month]:
    """By month, what is in effect on `on`, of those that `complete_before` looks at."""
    found: dict[int, Month] = {}
    first = month_of(on) - 12 * YEARS_BACK
    for report in trade.reports:
        if report.end <= on and month_of(report.end) >= first:
            _spread(found, report.start, report.end, report.packs, first)
    for month in _stocked(trade.stock, range(max(12, first), month_of(on) + 1), on):
        found.setdefault(month, Month()).stocked = True
    return found


def _spread(found: dict[int, Month], start: date, end: date, packs: int, first: int) -> None:
    if start.day == 1 and start.month == end.month and start.year == end.year and end.day == days_in(month_of(end)):
        held = found.setdefault(month_of(start), Month())  # a whole month, as most are: nothing to share out
        held.used += packs
        held.reported = whole(month_of(start))
        return
    a_day = Fraction(packs, (end - start).days + 1)
    for month in range(max(first, month_of(start)), month_of(end) + 1):
        opens = first_of(month)
        since = max(0, (start - opens).days)
        until = min(days_in(month), (end - opens).days + 1)
        held = found.setdefault(month, Month())
        held.used += a_day * (until - since)
        held.reported |= ((1 << (until - since)) - 1) << since


def _stocked(stock: Sequence[Change], among: Iterable[int], on: date) -> Iterator[int]:
    """Those of some rising months in which there were packs at the beginning, or at the end of any day."""
    held, at = 0, 0
    for month in among:
        opens, closes = first_of(month), last_of(month)
        while at < len(stock) and stock[at].on < opens:
            held += stock[at].packs
            at += 1
        seen = held > 0
        while at < len(stock) and stock[at].on <= closes and stock[at].on <= on:
            held += stock[at].packs
            seen = seen or held > 0
            at += 1
        if seen:
            yield month


class Average(msgspec.Struct, frozen=True):
    """What is used in a month on average: `used` in all of `months`, in packs or doses; without any it is not known."""

    used: Fraction
    months: tuple[int, ...]

    @property
    def a_month(self) -> Fraction:
        return self.used / len(self.months)

    @property
    def a_day(self) -> Fraction:
        return self.used / sum(days_in(month) for month in self.months)


def average(products: Iterable[tuple[Fraction | int, Mapping[int, Month]]], on: date) -> Average:
    """Over the last 6 complete months that have every day inside a reported period of any of the products, and stock of
    any of them. `products`: what a pack counts for, and its months."""
    rows = list(products)
    months: list[int] = []
    used = Fraction(0)
    for month in complete_before(on):
        packs: Fraction | int = 0
        reported, stocked = 0, False
        for weight, by_month in rows:
            held = by_month.get(month)
            if held is not None:
                reported |= held.reported
                stocked = stocked or held.stocked
                packs += weight * held.used
        if stocked and reported == whole(month):
            months.append(month)
            used += packs
            if len(months) == MONTHS:
                break
    return Average(used, tuple(months))
