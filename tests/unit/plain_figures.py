"""The ledger, the domestic share and the status of a goal worked out in plain dicts: slow, short, easy to check by eye.

It tunes the story and checks the figures of the supply service: same events in, same figures out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

Event = Mapping[str, Any]
LotKey = tuple[str, str | None]
Transfer = tuple[date, LotKey, str, str, int]

WINDOW_DAYS = 365
CORRECTED = "supply.event.corrected.v1"


def transfers(kind: str, data: Mapping[str, Any]) -> Iterator[Transfer]:
    """The posting table: (day, lot, from, to, packs)."""
    lot = (data.get("gtin", ""), data.get("lot"))
    packs = data.get("quantity", 0)
    match kind.removeprefix("supply.").removesuffix(".v1"):
        case "batch.produced":
            yield day(data["produced_on"]), lot, "produced", "quarantine", packs
        case "batch.released":
            yield day(data["released_on"]), lot, "quarantine", "available", packs
        case "batch.rejected":
            yield day(data["rejected_on"]), lot, "quarantine", "rejected", packs
        case "import.received":
            yield day(data["received_on"]), lot, "imported", "quarantine" if data.get("hold") else "available", packs
        case "export.shipped":
            yield day(data["shipped_on"]), lot, data.get("from", "available"), "exported", packs
        case "stock.returned":
            yield day(data["returned_on"]), lot, data["from"], data["to"], packs
        case "consumption.reported":
            yield day(data["period_end"]), lot, "available", "consumed", packs
        case "batch.destroyed":
            yield day(data["destroyed_on"]), lot, data.get("from", "available"), "destroyed", packs
        case "stock.adjusted":
            yield day(data["adjusted_on"]), lot, "available", "adjusted", -data["delta"]


def day(text: str) -> date:
    return date.fromisoformat(text)


def standing(events: Iterable[Event]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Type and data of what counts: each event once, corrected ones as what they were corrected to."""
    first: dict[tuple[str, str], Event] = {}
    for event in events:
        first.setdefault((event["source"], event["id"]), event)
    counts_as: dict[tuple[str, str], Mapping[str, Any] | None] = {}
    for name, event in first.items():
        counts_as[name] = {"type": event["type"], "data": event["data"]}
    corrections = [event for event in first.values() if event["type"] == CORRECTED]
    for event in sorted(corrections, key=lambda item: (item["time"], item["id"]), reverse=True):
        standing_for = counts_as[event["source"], event["id"]]
        counts_as[event["source"], event["id"]] = None
        if standing_for is not None:
            told = standing_for["data"]
            counts_as[told["corrects"]["source"], told["corrects"]["id"]] = told.get("replacement")
    for found in counts_as.values():
        if found is not None:
            yield found["type"], found["data"]


@dataclass
class Figures:
    """Everything that a set of recorded events says, asked by day."""

    by_lot: dict[LotKey, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    recalled_on: dict[LotKey, date] = field(default_factory=dict)
    domestic: dict[LotKey, bool] = field(default_factory=dict)
    supplied_on: dict[LotKey, date] = field(default_factory=dict)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    prices: dict[str, dict[date, int]] = field(default_factory=lambda: defaultdict(dict))
    agreements: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, events: Iterable[Event]) -> Figures:
        figures = cls()
        for kind, data in standing(events):
            figures._add(kind, data)
        return figures

    def _add(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "supply.registration.granted.v1":
            for pack in data["packs"]:
                self.products[pack["gtin"]] = {**data["product"], **pack}
                if data.get("agreement"):
                    self.agreements[data["agreement"]].add(pack["gtin"])
        elif kind == "supply.price.declared.v1":
            self.prices[data["gtin"]][day(data["effective_on"])] = data["price"]
        elif kind == "supply.transfer.signed.v1":
            self.agreements[data["agreement"]].update(gtin for item in data["products"] for gtin in item["gtins"])
        elif kind == "supply.batch.recalled.v1":
            self.recalled_on[data["gtin"], data["lot"]] = day(data["recalled_on"])
        elif "gtin" in data:
            for transfer in transfers(kind, data):
                self._post(kind, transfer)

    def _post(self, kind: str, transfer: Transfer) -> None:
        on, lot, debit, credit, _ = transfer
        self.by_lot[lot].append(transfer)
        if debit in ("produced", "imported"):
            self.domestic[lot] = debit == "produced"
        if kind == "supply.batch.released.v1" or (debit, credit) == ("imported", "available"):
            self.supplied_on[lot] = min(on, self.supplied_on.get(lot, on))

    def places(self, lot: LotKey, on: date) -> dict[str, int]:
        """Packs by place at the end of `on`."""
        found: defaultdict[str, int] = defaultdict(int)
        for effective, _, debit, credit, packs in self.by_lot[lot]:
            if effective <= on:
                found[debit] -= packs
                found[credit] += packs
        return found

    def share(self, scope: str, on: date, *, value: bool = False) -> Decimal | None:
        """domestic_share_volume, or domestic_share_value, of `scope` over the 365 days up to `on`."""
        sums = {True: Decimal(0), False: Decimal(0)}
        for lot, supplied in self.supplied_on.items():
            weight = self._weight(lot, scope, supplied, value)
            if weight and timedelta() <= on - supplied < timedelta(days=WINDOW_DAYS) and lot in self.domestic:
                sums[self.domestic[lot]] += weight * self._home_packs(lot, on)
        total = sums[True] + sums[False]
        return sums[True] / total if total else None

    def _home_packs(self, lot: LotKey, on: date) -> int:
        found = self.places(lot, on)
        recalled = lot in self.recalled_on and self.recalled_on[lot] <= on
        return found["consumed"] + found["adjusted"] + (0 if recalled else found["available"])

    def _weight(self, lot: LotKey, scope: str, supplied: date, value: bool) -> Decimal | None:
        product = self.products.get(lot[0])
        if product is None or not self._within(lot[0], product, scope):
            return None
        if value:
            prices = self.prices[lot[0]]
            since = max((at for at in prices if at <= supplied), default=None)
            return None if since is None else Decimal(prices[since])
        if scope.startswith("gtin:"):
            return Decimal(1)
        return Decimal(product["ddd_per_pack"]) if product.get("ddd_per_pack") else None

    def _within(self, gtin: str, product: Mapping[str, Any], scope: str) -> bool:
        kind, _, name = scope.partition(":")
        match kind:
            case "all":
                return True
            case "atc":
                return bool(product["atc"].startswith(name))
            case "substance":
                return bool(product["substance"] == name)
            case "gtin":
                return gtin == name
            case "agreement":
                return gtin in self.agreements[name]
            case "brand":
                return product.get("brand_owner") == name
        raise ValueError(scope)


def expected_way(goal: Mapping[str, Any], on: date) -> Decimal:
    """How far from the baseline the goal should have come by `on`."""
    baseline, target = goal["baseline"], goal["target"]
    whole = Decimal(target["value"]) - Decimal(baseline["value"])
    if on >= target["by"]:
        return whole
    if goal["trajectory"] == "step":
        return Decimal(0)
    passed: int
    all_days: int
    passed, all_days = (on - baseline["on"]).days, (target["by"] - baseline["on"]).days
    return whole * Decimal(max(0, passed)) / Decimal(all_days)


def status(goal: Mapping[str, Any], actual: Decimal | None, on: date) -> str:
    """The status of a goal whose target lies above its baseline."""
    if actual is None:
        return "no_data"
    if actual >= Decimal(goal["target"]["value"]):
        return "met"
    if on > goal["target"]["by"]:
        return "missed"
    way, tolerance = expected_way(goal, on), Decimal(goal.get("tolerance", "0.005"))
    made = actual - Decimal(goal["baseline"]["value"])
    if way - made < tolerance or (way <= tolerance and made >= 0):
        return "on_track"
    if way <= 0:
        return "off_track"
    progress = made / way
    if progress >= Decimal(goal["bands"]["on_track"]):
        return "on_track"
    return "at_risk" if progress >= Decimal(goal["bands"]["off_track"]) else "off_track"
