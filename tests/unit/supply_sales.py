"""Makes what a measurement looks at from events, without a database: lots and trades as the reads give them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from services.supply.facts import Fact
from services.supply.lot import LotState, market_lot
from services.supply.measure import Sales
from services.supply.places import NAMES
from services.supply.registry import Registry
from services.supply.trade import Change, Introduction, Report, Shipment, Trade
from shared.events import reader
from tests.plain_indicators import LotKey, Plain
from tests.unit.plain_figures import day

MARKS = ("batch.recalled", "recall.closed", "stock.counted")


def registry_of(events: Iterable[Mapping[str, Any]]) -> Registry:
    """The registry of the facts and marks among these events, each of which counts as it was said."""
    facts = {}
    for event in events:
        name = event["type"].removeprefix("supply.").removesuffix(".v1")
        if name.split(".")[0] not in ("import", "export", "stock", "consumption", "event") and (
            not name.startswith("batch.") or name in MARKS
        ):
            data = reader.read_data(event["type"], json.dumps(event["data"]).encode())
            time = datetime.fromisoformat(event["time"])
            facts[event["source"], event["id"]] = Fact(data, time, event["source"], event["id"])
    return Registry(facts.values())


def sales_of(plain: Plain, registry: Registry, on: date) -> Sales:
    """The market's part of what `plain` holds, on a day."""
    lots = [market_lot(_state(plain, lot, on), plain.reached(lot, on)) for lot in sorted(plain.lots(), key=str)]
    return Sales(on, lots, registry, trades_of(plain))


def _state(plain: Plain, lot: LotKey, on: date) -> LotState:
    held, made, brought = plain.places(lot, on), plain.made[lot], plain.brought[lot]
    days = [day(data["produced_on"]) for data in made] + [day(data["received_on"]) for data in brought]
    packs = (0, *(held.get(name, 0) for name in NAMES))
    about = (len(made), len(brought), min(days, default=None), plain.expires(lot), plain.supplied_on.get(lot))
    return LotState(int(lot[0]), lot[1] or "", packs, *about)


def trades_of(plain: Plain) -> dict[int, Trade]:
    found: dict[int, Trade] = {}
    for gtin in {lot[0] for lot in plain.lots()}:
        used: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
        stock: dict[date, int] = defaultdict(int)
        for on, lot, debit, credit, packs in plain.moves:
            if lot[0] == gtin:
                stock[on] += packs * ((credit == "available") - (debit == "available"))
                if "consumed" in (debit, credit):
                    used[lot[1] or ""][on] += packs * (1 if credit == "consumed" else -1)
        said = [_introduction(data) for lot, told in {**plain.made}.items() if lot[0] == gtin for data in told]
        said += [_introduction(data) for lot, told in {**plain.brought}.items() if lot[0] == gtin for data in told]
        found[int(gtin)] = Trade(
            reports=_reports(plain, gtin),
            used={lot: _changes(changes) for lot, changes in used.items() if any(changes.values())},
            stock=_changes(stock),
            moved=sorted(stock),
            shipments=[_shipment(data) for data in plain.exports if data["gtin"] == gtin],
            introductions=sorted(said, key=lambda item: (item.on, item.lot)),
        )
    return found


def _reports(plain: Plain, gtin: str) -> list[Report]:
    packs: dict[tuple[date, date], int] = defaultdict(int)
    for product, start, end, quantity in plain.reports:
        if product == gtin:
            packs[start, end] += quantity
    return [Report(*period, told) for period, told in sorted(packs.items())]


def _changes(by_day: Mapping[date, int]) -> list[Change]:
    return [Change(on, packs) for on, packs in sorted(by_day.items()) if packs]


def _introduction(data: Mapping[str, Any]) -> Introduction:
    if "produced_on" in data:
        about = (day(data["produced_on"]), day(data["expires_on"]), data["manufacturer"], data.get("site"), None)
        return Introduction(data["lot"], "produced", *about, data.get("authorisation"), "registered", ("", ""))
    about = (day(data["received_on"]), day(data["expires_on"]), data["importer"], None, data["country_of_origin"])
    basis = data.get("basis", "registered")
    return Introduction(data["lot"], "imported", *about, data.get("authorisation"), basis, ("", ""))


def _shipment(data: Mapping[str, Any]) -> Shipment:
    about = (day(data["shipped_on"]), data["quantity"], data["destination"], data.get("value"))
    return Shipment(data["lot"], *about, ("", ""))
