"""Measures everything on a day from lots and facts: indicators, goals, obligations, anomalies. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from services.supply import anomalies, goals, obligations, regulatory, rhythm
from services.supply.anomalies import Anomaly, Behind, LotDay, Turn
from services.supply.cross_checks import Product
from services.supply.figures import Measured
from services.supply.goals import Assessment, Goal
from services.supply.indicators import INDICATORS, measure
from services.supply.kept import Kept
from services.supply.lot import LotState, MarketLot, gtin_text
from services.supply.market import Market, products_on
from services.supply.obligations import Obligation
from services.supply.origin import Origins
from services.supply.registry import Registry
from services.supply.registry_day import RegistryDay
from services.supply.supplied import Window
from services.supply.trade import Trade

LotKey = tuple[int, str]
# What alerts watch of each product, and of each substance.
OF_PRODUCTS: Final = ("months_of_stock", "stock_expiring", "supply_change")
OF_SUBSTANCES: Final = ("import_dependency", "concentration_hhi", "largest_supplier_share")


class Ledger(msgspec.Struct, frozen=True):
    """What was read of the ledger for one day: by product its lots up to it, first exports, trade and what is checked.

    `changed` are the products of which anything changed since the reading before (None: any may have), `reached` the
    packs that reached available, of their lots. `open_anomalies` are those of lots, authorisations and producers that
    were told as open before, by subject of the signal; `days` is what took effect of the lots that contradict
    themselves or did, `turned` the events behind what is overdrawn or was; `silent` are the producers that are, `spoke`
    is when those who were spoke again, by subject of the anomaly.
    """

    on: date
    lots_of: Mapping[int, Sequence[LotState]]
    reached: Mapping[LotKey, int]
    exported_on: Mapping[LotKey, date]
    registry: Registry
    days: Mapping[LotKey, Sequence[LotDay]] = {}
    open_anomalies: Mapping[str, Mapping[str, Any]] = {}
    trades: Mapping[int, Trade] = {}
    products: Mapping[int, Product] = {}
    turned: Mapping[Turn, tuple[Behind, ...]] = {}
    silent: Sequence[Anomaly] = ()
    spoke: Mapping[str, date] = {}
    changed: frozenset[int] | None = None


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

    `fresh` are the products that were worked out anew (None: all); of single products the indicators are those of what
    changed. `anomalies` are those of lots, authorisations and producers; `ended` those that were told and are open no
    more, with `until`.
    """

    on: date
    fresh: frozenset[int] | None
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
    kept: Kept,
    untold: frozenset[int] | None = None,
) -> Picture:
    """All that can be said of the ledger's day. `at_deadline`: by goal, what was measured on its last day; `kept` what
    was worked out before, which is brought up to date; `untold` the products that changed since the last that was told,
    beside those that have now (None: all)."""
    day = kept.day(ledger.registry, ledger.on)
    worked_out = (ledger.lots_of, ledger.reached, ledger.trades, ledger.products)
    fresh = kept.move_on(day, *worked_out, ledger.changed)
    over, odd = kept.markets, _anomalies(ledger, kept)
    products = None if fresh is None or untold is None else fresh | untold
    return Picture(
        on=ledger.on,
        fresh=fresh,
        indicators=[*_indicators(over["days_365"], definitions), *of_products(over["days_365"], products)],
        goals=assessments(over, definitions, at_deadline),
        obligations=duties(day.origins, ledger.on, _under_agreements(ledger), ledger.exported_on, ledger.trades),
        anomalies=odd,
        ended=_ended(ledger, odd),
    )


def _under_agreements(ledger: Ledger) -> list[LotState]:
    """The lots of the products that agreements are about."""
    products = products_under_agreements(ledger.registry, ledger.on)
    return [lot for gtin in sorted(products) for lot in ledger.lots_of.get(gtin, ())]


def windows_of(definitions: Iterable[Goal]) -> set[Window]:
    """The last 365 days, and every other window of a goal."""
    return {"days_365", *(goal.window for goal in definitions)}


def of_products(seen: Market, products: frozenset[int] | None) -> list[Measured]:
    """What alerts watch of registered products and of their substances: of those in `products` (None: of all)."""
    found, substances = [], set()
    for gtin, packing in sorted(seen.day.packings.items()):
        if products is None or gtin in products:
            substances.add(packing.product.substance)
            found += [measure(name, f"gtin:{gtin_text(gtin)}", seen) for name in OF_PRODUCTS]
    for substance in sorted(substances):
        found += [measure(name, f"substance:{substance}", seen) for name in OF_SUBSTANCES]
    return found


def measured(goal: Goal, seen: Sales, domestic_local_steps: frozenset[str]) -> Measured:
    """The goal's indicator on a day."""
    return measure(goal.indicator, goal.scope, market(seen, goal.window, Origins(seen.registry, domestic_local_steps)))


def markets(seen: Sales, definitions: Iterable[Goal], domestic_local_steps: frozenset[str]) -> dict[Window, Market]:
    """The market over the last 365 days, and over every other window of a goal."""
    origins = Origins(seen.registry, domestic_local_steps)
    return {window: market(seen, window, origins) for window in windows_of(definitions)}


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
    origins: Origins,
    on: date,
    lots: Iterable[LotState],
    exported_on: Mapping[LotKey, date],
    trades: Mapping[int, Trade],
) -> list[Obligation]:
    """The dated duties on a day. `lots` and their first exports: at least those of `products_under_agreements`;
    `trades` tell which products an interrupted site makes, and are not looked at where none is."""
    registry = origins.registry
    registered_on: dict[int, date] = {}
    for held in registry.authorisations(on):
        if held.origin == "domestic":
            for pack in held.packs:
                gtin = int(pack.gtin)
                registered_on[gtin] = min(held.granted_on, registered_on.get(gtin, held.granted_on))
    shown = obligations.evidence(lots, exported_on, registered_on, on, origins)
    milestones = obligations.milestones(registry.agreements(on), registry.packings(on), shown)
    made = made_at(trades, on) if has_interrupted_site(registry, on) else {}
    return [*milestones, *regulatory.duties(registry, on, made)]


def has_interrupted_site(registry: Registry, on: date) -> bool:
    return any(held.site is not None and held.gtin is None for held in registry.interruptions(on))


def made_at(trades: Mapping[int, Trade], on: date) -> dict[str, set[int]]:
    """By GLN of the site or firm, the products of which it has made lots up to a day."""
    found: dict[str, set[int]] = defaultdict(set)
    for gtin, trade in trades.items():
        for said in trade.introductions:
            if said.kind == "produced" and said.on <= on:
                for gln in (said.firm, said.site):
                    if gln is not None:
                        found[gln].add(gtin)
    return found


def products_under_agreements(registry: Registry, on: date) -> set[int]:
    """The GTINs that an agreement names, or that are registered under one."""
    named = {
        int(gtin) for agreement in registry.agreements(on) for product in agreement.products for gtin in product.gtins
    }
    return named | {gtin for gtin, packing in registry.packings(on).items() if packing.agreement is not None}


def _anomalies(ledger: Ledger, kept: Kept) -> list[Anomaly]:
    found = [
        anomaly
        for lot in kept.overdrawn
        for anomaly in anomalies.of_lot(lot, ledger.days.get((lot.gtin, lot.lot), ()), ledger.on, ledger.turned)
    ]
    return [*found, *kept.odd, *ledger.silent]


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
