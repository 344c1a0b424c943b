"""Measures everything on a day from lots and facts: indicators, goals, obligations, anomalies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from services.supply import anomalies, goals, obligations, regulatory, rhythm
from services.supply.anomalies import Anomaly, Behind, LotDay, Turn
from services.supply.cross_checks import Product, Validity, odd_products
from services.supply.figures import Measured
from services.supply.goals import Assessment, Goal
from services.supply.indicators import INDICATORS, measure
from services.supply.lot import LotState, MarketLot, market_lot
from services.supply.market import Market, products_on
from services.supply.obligations import Obligation
from services.supply.origin import Origins
from services.supply.registry import Registry
from services.supply.registry_day import RegistryDay
from services.supply.supplied import Window
from services.supply.trade import Trade

LotKey = tuple[int, str]


class Ledger(msgspec.Struct, frozen=True):
    """What was read of the ledger for one day: `lots` up to it, packs `reached` available, first exports.

    `open_anomalies` are those of lots, authorisations and producers that were told as open before, by subject of the
    signal; `days` is what took effect of the lots that contradict themselves or did, `turned` the events behind what is
    overdrawn or was; `products` what is checked of each; `silent` are the producers that are, `spoke` is when those who
    were spoke again, by subject of the anomaly.
    """

    on: date
    lots: Sequence[LotState]
    reached: Mapping[LotKey, int]
    exported_on: Mapping[LotKey, date]
    registry: Registry
    days: Mapping[LotKey, Sequence[LotDay]] = {}
    open_anomalies: Mapping[str, Mapping[str, Any]] = {}
    trades: Mapping[int, Trade] = {}
    products: Sequence[Product] = ()
    turned: Mapping[Turn, tuple[Behind, ...]] = {}
    silent: Sequence[Anomaly] = ()
    spoke: Mapping[str, date] = {}


class Sales(msgspec.Struct, frozen=True):
    """What the market's figures need of the ledger for one day: all lots, and what the products' trades tell beside
    them. `released_on` is the first release ever of a domestic lot of each GTIN; it follows from the lots."""

    on: date
    lots: Sequence[MarketLot]
    registry: Registry
    trades: Mapping[int, Trade] = {}
    released_on: Mapping[int, date] | None = None


class Picture(msgspec.Struct, frozen=True):
    """Everything that is told about a day, but for what is odd about records (services.supply.odd).

    `anomalies` are those of lots; `ended` those that were told and are open no more, with `until`.
    """

    on: date
    indicators: list[Measured]
    goals: list[Assessment]
    obligations: list[Obligation]
    anomalies: list[Anomaly]
    ended: dict[str, dict[str, Any]]

    def subjects(self) -> dict[str, dict[str, Any]]:
        """What alerts are told, by subject."""
        return {
            **{f"indicator/{item.name}/{item.scope}": item.as_json() for item in self.indicators},
            **{f"goal/{item.goal.goal}": item.as_json() for item in self.goals},
            **{f"obligation/{item.obligation}": item.as_json() for item in self.obligations},
            **{f"anomaly/{item.key}": item.as_json() for item in self.anomalies},
            **self.ended,
        }


def sales(ledger: Ledger) -> Sales:
    """The market's part of the ledger."""
    lots = [market_lot(lot, ledger.reached.get((lot.gtin, lot.lot), 0)) for lot in ledger.lots]
    return Sales(ledger.on, lots, ledger.registry, ledger.trades)


def market(seen: Sales, window: Window, origins: Origins) -> Market:
    """The market on a day."""
    day = RegistryDay(seen.on, origins)
    return Market(day, window, products_on(day, window, seen.lots, seen.trades, seen.released_on))


def first_releases(lots: Iterable[MarketLot], origins: Origins) -> dict[int, date]:
    """By GTIN, the day on which a domestic lot first reached available."""
    found: dict[int, date] = {}
    for lot in lots:
        if lot.supplied_on is not None and origins.of(lot) == "domestic":
            found[lot.gtin] = min(lot.supplied_on, found.get(lot.gtin, lot.supplied_on))
    return found


def picture(
    ledger: Ledger,
    definitions: Sequence[Goal],
    at_deadline: Mapping[str, Measured],
    domestic_local_steps: frozenset[str],
) -> Picture:
    """All that can be said of the ledger's day. `at_deadline`: by goal, what was measured on its last day."""
    over = markets(sales(ledger), definitions, domestic_local_steps)
    odd = _anomalies(ledger)
    return Picture(
        on=ledger.on,
        indicators=_indicators(over["days_365"], definitions),
        goals=assessments(over, definitions, at_deadline),
        obligations=duties(Origins(ledger.registry, domestic_local_steps), ledger.on, ledger.lots, ledger.exported_on),
        anomalies=odd,
        ended=_ended(ledger, odd),
    )


def measured(goal: Goal, seen: Sales, domestic_local_steps: frozenset[str]) -> Measured:
    """The goal's indicator on a day."""
    return measure(goal.indicator, goal.scope, market(seen, goal.window, Origins(seen.registry, domestic_local_steps)))


def markets(seen: Sales, definitions: Iterable[Goal], domestic_local_steps: frozenset[str]) -> dict[Window, Market]:
    """The market over the last 365 days, and over every other window of a goal."""
    windows: set[Window] = {"days_365", *(goal.window for goal in definitions)}
    origins = Origins(seen.registry, domestic_local_steps)
    return {window: market(seen, window, origins) for window in windows}


def assessments(
    over: Mapping[Window, Market], definitions: Iterable[Goal], at_deadline: Mapping[str, Measured]
) -> list[Assessment]:
    """Every goal, on the day of the markets. `at_deadline`: by goal, what was measured on its last day."""
    found = []
    for goal in definitions:
        seen = over[goal.window]
        now = measure(goal.indicator, goal.scope, seen)
        found.append(goals.assess(goal, now, seen.on, at_deadline.get(goal.goal)))
    return found


def deadlines_before(definitions: Iterable[Goal], on: date) -> dict[str, date]:
    """By goal, its last day, where that has passed."""
    return {goal.goal: goal.target.by for goal in definitions if goal.target.by is not None and goal.target.by < on}


def _indicators(seen: Market, definitions: Iterable[Goal]) -> list[Measured]:
    """Every indicator for the whole market, each agreement, and each scope that a goal is set for."""
    scopes = {"all", *(f"agreement:{name}" for name in seen.day.agreements), *(goal.scope for goal in definitions)}
    return [measure(name, scope, seen) for name in sorted(INDICATORS) for scope in sorted(scopes)]


def duties(
    origins: Origins, on: date, lots: Iterable[LotState], exported_on: Mapping[LotKey, date]
) -> list[Obligation]:
    """The dated duties on a day. `lots` and their first exports: at least those of `products_under_agreements`."""
    registry = origins.registry
    registered_on: dict[int, date] = {}
    for held in registry.authorisations(on):
        if held.origin == "domestic":
            for pack in held.packs:
                gtin = int(pack.gtin)
                registered_on[gtin] = min(held.granted_on, registered_on.get(gtin, held.granted_on))
    shown = obligations.evidence(lots, exported_on, registered_on, on, origins)
    milestones = obligations.milestones(registry.agreements(on), registry.packings(on), shown)
    return [*milestones, *regulatory.duties(registry, on)]


def products_under_agreements(registry: Registry, on: date) -> set[int]:
    """The GTINs that an agreement names, or that are registered under one."""
    named = {
        int(gtin) for agreement in registry.agreements(on) for product in agreement.products for gtin in product.gtins
    }
    return named | {gtin for gtin, packing in registry.packings(on).items() if packing.agreement is not None}


def _anomalies(ledger: Ledger) -> list[Anomaly]:
    found = [
        anomaly
        for lot in ledger.lots
        if anomalies.contradicts(lot)
        for anomaly in anomalies.of_lot(lot, ledger.days.get((lot.gtin, lot.lot), ()), ledger.on, ledger.turned)
    ]
    return [*found, *odd_products(ledger.products, Validity(ledger.registry), ledger.on), *ledger.silent]


def _ended(ledger: Ledger, still: Iterable[Anomaly]) -> dict[str, dict[str, Any]]:
    gone = ledger.open_anomalies.keys() - {f"anomaly/{item.key}" for item in still}
    found = {}
    for subject in gone:
        told = ledger.open_anomalies[subject]
        until = _until(ledger, told)
        turn = anomalies.turn_of(told["kind"], told["subject"], until, into=True)
        found[subject] = anomalies.ended(told, until, () if turn is None else ledger.turned.get(turn, ()))
    return found


def _until(ledger: Ledger, told: Mapping[str, Any]) -> date:
    """The day from which on, as known now, an anomaly is none."""
    if told["kind"] == rhythm.KIND:
        return ledger.spoke.get(told["subject"], ledger.on)
    if told["kind"] not in anomalies.PLACE_OF_KIND:
        return anomalies.ends_on(told, (), ledger.on)
    return anomalies.ends_on(told, ledger.days.get(anomalies.lot_of(told["subject"]), ()), ledger.on)
