"""Supplies one product day by day: makes or imports lots, releases, exports, recalls and destroys them, counts them.

A shelf's own book is kept by date of effect, so nothing is ever said that could not have happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

from deploy.local.simulator.data import Firm, Market, Product, Scenario
from deploy.local.simulator.pace import Paces
from deploy.local.simulator.saying import Said, corrected, correction_corrected, say, working_hour
from deploy.local.simulator.story import LateRelease, Recall

DAYS_A_YEAR: Final = 365.0
QUARANTINE_DAYS: Final = (7, 14)
HOLD_DAYS: Final = (5, 12)
LOT_SIZE_SPREAD: Final = 0.06
EXPORTED_LOTS: Final = 0.3
EXPORTED_PART: Final = (0.08, 0.2)
EXPORT_DAYS: Final = (4, 15)
DESTROYED_AFTER_DAYS: Final = 20
RETURNED_ONE_IN: Final = 400
BROKEN_ONE_IN: Final = 1500
MISREAD_FACTOR: Final = 10
CORRECTED_AFTER_DAYS: Final = (1, 3)

_REASONS_REJECTED: Final = ("dissolution out of specification", "assay below the limit", "particles in the solution")
_REASONS_RETURNED: Final = ("damaged outer packs", "delivered in excess", "cold chain broken on the way")

Task = Callable[[date], Iterator[Said]]


@dataclass
class Lot:
    """The packs of one lot by place, at the end of the last simulated day."""

    number: str
    made: int
    introduced_on: date
    expires_on: date
    available: int = 0
    consumed: int = 0
    recalled: bool = False


class Shelf:
    """One product: `on` tells a day's events; `sell` takes packs off for the market at a month's end."""

    def __init__(self, scenario: Scenario, market: Market, product: Product, paces: Paces) -> None:
        self.product = product
        self._market = market
        self._scenario = scenario
        self._story = scenario.story
        self._firm: Firm = scenario.firm[product.introducer]
        self._paces = paces
        self._rng = Random(f"{self._story.seed}/{product.gtin}")
        new = not product.share_on(self._story.history_start)
        self._credit = product.lot_packs * (1.1 if new else self._rng.random())
        self._lot_packs = self._next_lot_packs()
        self._tasks: defaultdict[date, list[Task]] = defaultdict(list)
        self._lots: list[Lot] = []
        self._numbered = 0
        self._late: list[LateRelease] = [item for item in self._story.late_releases if item.gtin == product.gtin]
        for recall in self._story.recalls:
            if recall.gtin == product.gtin:
                self._tasks[recall.recalled_on].append(self._recalling(recall))

    # Supply.

    def on(self, day: date) -> Iterator[Said]:
        """What is said about this product's packs on `day`, consumption apart."""
        for task in self._tasks.pop(day, ()):
            yield from task(day)
        taken = self.daily_packs(day)
        self._credit += taken * self._paces.on(self.product, day)
        while taken and self._credit >= self._lot_packs:
            self._credit -= self._lot_packs
            lot = self._new_lot(day, self._lot_packs)
            self._lot_packs = self._next_lot_packs()
            yield from self._produce(lot, day) if self.product.origin == "domestic" else self._import(lot, day)

    def daily_packs(self, day: date) -> float:
        """How many packs of this product the market takes a day."""
        demand = self._market.demand
        years = (day - self._story.history_start).days / DAYS_A_YEAR
        yearly: float = demand.yearly * (1 + demand.growth) ** years * self.product.share_on(day)
        return yearly / DAYS_A_YEAR / self._market.units(self.product)

    def _next_lot_packs(self) -> int:
        spread = 1 + self._rng.uniform(-LOT_SIZE_SPREAD, LOT_SIZE_SPREAD)
        return max(1, round(self.product.lot_packs * spread))

    def _new_lot(self, day: date, packs: int) -> Lot:
        self._numbered += 1
        expires_on = day + timedelta(days=round(self.product.shelf_months * 30.4))
        lot = Lot(f"{day:%y%m}{self._numbered:04d}", packs, day, expires_on)
        self._lots.append(lot)
        return lot

    def _produce(self, lot: Lot, day: date) -> Iterator[Said]:
        data = {
            "gtin": self.product.gtin,
            "lot": lot.number,
            "quantity": lot.made,
            "produced_on": day,
            "expires_on": lot.expires_on,
            "manufacturer": self._firm.gln[0],
            "site": self.product.manufacturer,
            "authorisation": self.product.authorisation,
        }
        yield from self._perhaps_misread(lot, day, data)
        rejected = self._chance(self._story.mishaps.rejected_lots)
        self._later(day, QUARANTINE_DAYS, self._rejecting(lot) if rejected else self._releasing(lot))

    def _perhaps_misread(self, lot: Lot, day: date, data: dict[str, Any]) -> Iterator[Said]:
        """The production, its quantity sometimes with a nought too many, which its firm corrects some days later."""
        id = self._id("produced", lot)
        if not self._chance(self._story.mishaps.misread_quantities):
            yield self._say(day, "batch.produced", id, data)
            return
        wrong = self._say(day, "batch.produced", id, {**data, "quantity": lot.made * MISREAD_FACTOR})
        yield wrong
        again = self._chance(self._story.mishaps.corrected_again)
        right = {**wrong.event["data"], "quantity": lot.made}
        first = right if not again else {**right, "quantity": lot.made + lot.made // 9}
        due = self._hour(day + timedelta(days=self._rng.randint(*CORRECTED_AFTER_DAYS)))
        correction = corrected(due, wrong, self._firm, "one nought too many", 1, first)
        yield correction
        if again:
            due = self._hour(due.date() + timedelta(days=self._rng.randint(*CORRECTED_AFTER_DAYS)))
            yield correction_corrected(due, correction, self._firm, "two figures were exchanged", right)

    def _import(self, lot: Lot, day: date) -> Iterator[Said]:
        price = self.product.price_on(day)
        data = {
            "gtin": self.product.gtin,
            "lot": lot.number,
            "quantity": lot.made,
            "received_on": day,
            "expires_on": lot.expires_on,
            "importer": self._firm.gln[0],
            "country_of_origin": self.product.country,
            "hold": True if self.product.hold else None,
            "authorisation": self.product.authorisation,
            "declaration": f"TK{self.product.gtin[4:12]}{lot.number}",
            "value": lot.made * price * 7 // 10,
        }
        yield self._say(day, "import.received", self._id("received", lot), data)
        if self.product.hold:
            self._later(day, HOLD_DAYS, self._releasing(lot))
        else:
            lot.available += lot.made

    def _releasing(self, lot: Lot) -> Task:
        def release(day: date) -> Iterator[Said]:
            lot.available += lot.made
            data = {"gtin": self.product.gtin, "lot": lot.number, "quantity": lot.made, "released_on": day}
            data["certificate"] = f"COA-{self.product.gtin[-6:]}-{lot.number}"
            late = next((item for item in self._late if item.released_from <= day), None)
            if late is not None:
                self._late.remove(late)
            told_on = day + timedelta(days=late.days) if late else day
            yield self._say(told_on, "batch.released", self._id("released", lot), data)
            if self.product.exports and self._rng.random() < EXPORTED_LOTS:
                self._later(day, EXPORT_DAYS, self._exporting(lot))

        return release

    def _rejecting(self, lot: Lot) -> Task:
        def reject(day: date) -> Iterator[Said]:
            data = {"gtin": self.product.gtin, "lot": lot.number, "quantity": lot.made, "rejected_on": day}
            data["reason"] = self._rng.choice(_REASONS_REJECTED)
            self._lots.remove(lot)
            yield self._say(day, "batch.rejected", self._id("rejected", lot), data)
            self._tasks[day + timedelta(days=DESTROYED_AFTER_DAYS)].append(
                self._destroying(lot, lot.made, "rejected", "rejected lot")
            )

        return reject

    def _exporting(self, lot: Lot) -> Task:
        def export(day: date) -> Iterator[Said]:
            packs = min(lot.available, round(lot.made * self._rng.uniform(*EXPORTED_PART)))
            if packs <= 0 or lot.recalled:
                return
            lot.available -= packs
            data = {
                "gtin": self.product.gtin,
                "lot": lot.number,
                "quantity": packs,
                "shipped_on": day,
                "destination": self._rng.choice(self.product.exports),
                "exporter": self._firm.gln[0],
                "value": packs * self.product.price_on(day) * 8 // 10,
            }
            yield self._say(day, "export.shipped", self._id("shipped", lot), data)

        return export

    def _destroying(self, lot: Lot, packs: int, place: str, reason: str) -> Task:
        def destroy(day: date) -> Iterator[Said]:
            if place == "available":
                lot.available -= packs
            data = {"gtin": self.product.gtin, "lot": lot.number, "quantity": packs, "destroyed_on": day}
            id = self._id(f"destroyed-{day:%y%m%d}", lot)
            yield self._say(day, "batch.destroyed", id, {**data, "from": place, "reason": reason})

        return destroy

    def _recalling(self, recall: Recall) -> Task:
        def recall_fullest(day: date) -> Iterator[Said]:
            lot = max(self._lots, key=lambda item: (item.available, item.number))
            lot.recalled = True
            data = {"gtin": self.product.gtin, "lot": lot.number}
            told = {**data, "level": recall.level, "recalled_on": day, "reason": recall.reason}
            yield self._say(day, "batch.recalled", self._id("recalled", lot), told)
            closed = {**data, "closed_on": recall.closed_on, "recovered": lot.available}
            yield self._say(recall.closed_on, "recall.closed", self._id("recall-closed", lot), closed)
            self._tasks[recall.destroyed_on].append(self._destroying(lot, lot.available, "available", "recalled lot"))

        return recall_fullest

    # What the market takes, and what is checked at a month's end.

    def on_hand(self) -> int:
        """Packs that may be sold."""
        return sum(lot.available for lot in self._lots if not lot.recalled)

    def sell(self, packs: int) -> list[tuple[Lot, int]]:
        """Takes up to `packs` off, the oldest lots first; what came from which lot."""
        sold = []
        for lot in self._lots:
            taken = 0 if lot.recalled else min(packs, lot.available)
            if taken:
                lot.available -= taken
                lot.consumed += taken
                packs -= taken
                sold.append((lot, taken))
        self._lots = [lot for lot in self._lots if lot.available or not lot.consumed]
        return sold

    def close_month(self, last_day: date, told_on: date) -> Iterator[Said]:
        """Once in a while packs break or come back, or the introducer counts a lot."""
        lots = [lot for lot in self._lots if lot.available > BROKEN_ONE_IN and not lot.recalled]
        if not lots:
            return
        lot = lots[0]
        if self._chance(self._story.mishaps.broken_packs):
            packs = lot.available // BROKEN_ONE_IN
            lot.available -= packs
            data = {"gtin": self.product.gtin, "lot": lot.number, "delta": -packs, "adjusted_on": last_day}
            data["reason"] = "broken in the warehouse"
            yield self._say(told_on, "stock.adjusted", self._id(f"adjusted-{last_day:%y%m}", lot), data)
        if lot.consumed > RETURNED_ONE_IN and self._chance(self._story.mishaps.returned_lots):
            yield from self._return(lot, lot.consumed // RETURNED_ONE_IN, last_day, told_on)
        if self._rng.random() < 1 / 12:
            counted = {"gtin": self.product.gtin, "lot": lot.number, "quantity": lot.available, "counted_on": last_day}
            told = {**counted, "holder": self._firm.gln[0], "covers": "national"}
            yield self._say(told_on, "stock.counted", self._id(f"counted-{last_day:%y%m}", lot), told)

    def _return(self, lot: Lot, packs: int, day: date, told_on: date) -> Iterator[Said]:
        lot.consumed -= packs
        data = {"gtin": self.product.gtin, "lot": lot.number, "quantity": packs, "returned_on": day}
        told = {**data, "from": "consumed", "to": "quarantine", "reason": self._rng.choice(_REASONS_RETURNED)}
        yield self._say(told_on, "stock.returned", self._id(f"returned-{day:%y%m}", lot), told)
        self._tasks[told_on + timedelta(days=DESTROYED_AFTER_DAYS)].append(
            self._destroying(lot, packs, "quarantine", "returned packs")
        )

    # Words.

    def _id(self, what: str, lot: Lot) -> str:
        return f"{what}-{self.product.gtin}-{lot.number}"

    def _say(self, day: date, kind: str, id: str, data: dict[str, Any]) -> Said:
        return say(self._hour(day), self._firm, kind, id, self.product.gtin, data)

    def _hour(self, day: date) -> datetime:
        return working_hour(day, self._rng)

    def _later(self, day: date, days: tuple[int, int], task: Task) -> None:
        self._tasks[day + timedelta(days=self._rng.randint(*days))].append(task)

    def _chance(self, in_a_thousand: int) -> bool:
        return self._rng.random() < in_a_thousand / 1000
