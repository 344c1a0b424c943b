"""Decides what patients take of each pack in a month, and how the distributors report it by lot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final

from deploy.local.simulator.data import Market, Scenario
from deploy.local.simulator.saying import Said, say, working_hour
from deploy.local.simulator.shelf import Lot, Shelf

# The first months build the stock that the market then lives on: the part of the usual consumption, month by month.
FIRST_MONTHS: Final = (0.15, 0.55, 0.95)
REPORTED_ON_DAYS: Final = (2, 6)
LATE_BY_DAYS: Final = (12, 35)
# Of what a product cannot deliver, how much of another product's remaining stock may stand in.
STAND_IN_PART: Final = 0.5
# A pharmacy is happy with this many months of stock; above it prescribers are pushed a little.
COMFORTABLE_MONTHS: Final = 1.6
PUSH: Final = 0.12


class Sales:
    """The consumption of one market, reported by the distributors in the first days of the next month."""

    def __init__(self, scenario: Scenario, market: Market, shelves: Sequence[Shelf]) -> None:
        self._scenario = scenario
        self._market = market
        self._shelves = shelves
        self._rng = Random(f"{scenario.story.seed}/{market.substance}/{market.form}")
        self._months = 0

    def close_month(self, last_day: date) -> Iterator[Said]:
        """The month's consumption; called when everything else of its last day is known."""
        part = FIRST_MONTHS[self._months] if self._months < len(FIRST_MONTHS) else 1.0
        self._months += 1
        first_day = last_day.replace(day=1)
        for shelf, packs in zip(self._shelves, self._taken(last_day, part), strict=True):
            yield from self._reports(shelf, shelf.sell(packs), first_day, last_day)
            told_on = last_day + timedelta(days=self._rng.randint(*REPORTED_ON_DAYS))
            yield from shelf.close_month(last_day, told_on)

    def _taken(self, last_day: date, part: float) -> list[int]:
        """Packs of each shelf: what it is asked for as far as it has it, then what stands in for the others."""
        wanted = [shelf.daily_packs(last_day) * last_day.day * part for shelf in self._shelves]
        on_hand = [shelf.on_hand() for shelf in self._shelves]
        pushed = [
            want * (1 + PUSH) if want and have > want * (1 + COMFORTABLE_MONTHS) else want
            for want, have in zip(wanted, on_hand, strict=True)
        ]
        taken = [min(round(want), have) for want, have in zip(pushed, on_hand, strict=True)]
        units = [self._market.units(shelf.product) for shelf in self._shelves]
        short = sum(max(0.0, want - got) * unit for want, got, unit in zip(wanted, taken, units, strict=True))
        spare = [int((have - got) * STAND_IN_PART) for have, got in zip(on_hand, taken, strict=True)]
        spare_units = sum(packs * unit for packs, unit in zip(spare, units, strict=True))
        if short <= 0 or spare_units <= 0:
            return taken
        drawn = min(1.0, short / spare_units)
        return [got + int(packs * drawn) for got, packs in zip(taken, spare, strict=True)]

    def _reports(self, shelf: Shelf, sold: list[tuple[Lot, int]], first_day: date, last_day: date) -> Iterator[Said]:
        """Each distributor's part of what was sold, by lot."""
        left = sum(packs for _, packs in sold)
        parts = self._scenario.distribution
        asked = {name: round(left * part) for name, part in parts.items()}
        lots = [(lot, packs) for lot, packs in sold]
        for place, name in enumerate(asked):
            packs = left if place == len(asked) - 1 else min(left, asked[name])
            left -= packs
            while packs > 0:
                lot, there = lots[0]
                some = min(packs, there)
                packs -= some
                lots[0] = (lot, there - some)
                if there == some:
                    lots.pop(0)
                yield self._report(shelf, lot, some, name, first_day, last_day)

    def _report(self, shelf: Shelf, lot: Lot, packs: int, name: str, first_day: date, last_day: date) -> Said:
        gtin = shelf.product.gtin
        day = last_day + timedelta(days=self._rng.randint(*REPORTED_ON_DAYS))
        if self._rng.random() < self._scenario.story.mishaps.late_reports / 1000:
            day += timedelta(days=self._rng.randint(*LATE_BY_DAYS))
        data = {
            "gtin": gtin,
            "lot": lot.number,
            "quantity": packs,
            "period_start": max(first_day, lot.introduced_on),
            "period_end": last_day,
        }
        id = f"consumed-{gtin}-{lot.number}-{last_day:%Y%m}"
        return say(working_hour(day, self._rng), self._scenario.firm[name], "consumption.reported", id, gtin, data)
