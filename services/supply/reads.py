"""Reads what a day's measurement needs, live or as known at a checkpoint, in the caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import date
from typing import Final

import asyncpg

from services.supply import rhythm
from services.supply.anomalies import (
    LOT_KINDS,
    Anomaly,
    of_lot,
    turns,
)
from services.supply.asof import (
    Cut,
    cut_now,
    exported_at,
    lots_now,
    lots_of_at,
    market_lots_at,
    odd_lots_at,
    reached_now,
)
from services.supply.by_day import lot_days_at
from services.supply.checkpoints import EMPTY
from services.supply.checks import products_to_check, turned_by
from services.supply.cross_checks import KINDS as CROSS_KINDS
from services.supply.cross_checks import Validity, odd_products
from services.supply.goals import Assessment, Goal
from services.supply.indicators import Need, needs
from services.supply.introductions import name_authorisations
from services.supply.lot import market_lot
from services.supply.measure import (
    Sales,
    assessments,
    deadlines_before,
    duties,
    has_interrupted_site,
    markets,
    measured,
    products_under_agreements,
)
from services.supply.obligations import Obligation
from services.supply.odd import odd_at
from services.supply.origin import Origins
from services.supply.registry import Registry
from services.supply.rhythm import Rhythms
from services.supply.trades import trades_at
from services.supply.words import listen, named_at, speakers_at

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LOTS_A_PART: Final = 1_000


async def anomalies_at(
    connection: Connection, cut: Cut, on: date, kinds: Collection[str], registry: Registry
) -> AsyncIterator[Iterable[Anomaly]]:
    """What is open on `on` as known at `cut`, of these kinds, in parts; of several with one key the earliest is meant.

    What is odd about records follows what is known alone, whatever the day.
    """
    if not set(LOT_KINDS).isdisjoint(kinds):
        lots = await odd_lots_at(connection, cut, on)
        for start in range(0, len(lots), LOTS_A_PART):
            part = lots[start : start + LOTS_A_PART]
            days = await lot_days_at(connection, cut, [(lot.gtin, lot.lot) for lot in part])
            turned = await turned_by(connection, cut, turns(part, (), days, on))
            found = (anomaly for lot in part for anomaly in of_lot(lot, days.get((lot.gtin, lot.lot), ()), on, turned))
            yield [anomaly for anomaly in found if anomaly.kind in kinds]
    if not set(CROSS_KINDS).isdisjoint(kinds):
        odd_ones = await _cross_checked_at(connection, cut, on, registry)
        yield [anomaly for anomaly in odd_ones if anomaly.kind in kinds]
    if rhythm.KIND in kinds:
        rhythms = Rhythms()
        await listen(connection, cut, EMPTY, rhythms)
        silent = rhythms.silent(on)
        yield rhythm.anomalies(silent, await named_at(connection, [word.place for _, _, word in silent.values()]))
    async for odd in odd_at(connection, cut, kinds):
        yield odd


async def _cross_checked_at(connection: Connection, cut: Cut, on: date, registry: Registry) -> list[Anomaly]:
    lots = await market_lots_at(connection, cut, on)
    trades = await trades_at(connection, cut, ("introductions", "shipments"))
    validity = Validity(registry)
    speakers = await speakers_at(connection, cut)
    products = await products_to_check(connection, cut, lots, trades, speakers, validity, on)
    return await asyncio.to_thread(odd_products, products, validity, on)


async def duties_at(connection: Connection, cut: Cut, on: date, origins: Origins) -> list[Obligation]:
    """The dated duties on `on` as known at `cut`."""
    products = sorted(products_under_agreements(origins.registry, on))
    lots = await lots_of_at(connection, cut, on, products)
    await name_authorisations(connection, cut, lots, origins.registry)
    exported_on = await exported_at(connection, cut, on, products)
    made: tuple[Need, ...] = ("introductions",)
    trades = await trades_at(connection, cut, made) if has_interrupted_site(origins.registry, on) else {}
    return await asyncio.to_thread(duties, origins, on, lots, exported_on, trades)


async def goals_at(
    connection: Connection, cut: Cut, on: date, registry: Registry, goals: Sequence[Goal], steps: frozenset[str]
) -> list[Assessment]:
    """Every goal on `on` as known at `cut`."""
    passed = deadlines_before(goals, on)
    needed = needs([goal.indicator for goal in goals])
    at_deadline = {}
    for day in sorted(set(passed.values())):
        sold = await sales_at(connection, cut, day, registry, needed)
        for goal in (goal for goal in goals if passed.get(goal.goal) == day):
            at_deadline[goal.goal] = await asyncio.to_thread(measured, goal, sold, steps)
    sold = await sales_at(connection, cut, on, registry, needed)
    over = await asyncio.to_thread(markets, sold, goals, steps)
    return assessments(over, goals, at_deadline)


async def sales_now(connection: Connection, on: date, registry: Registry, needed: Collection[Need] = ()) -> Sales:
    """The market's part of the newest state, from the derived tables."""
    reached = await reached_now(connection, on)
    lots = [market_lot(lot, reached.get((lot.gtin, lot.lot), 0)) for lot in await lots_now(connection, on)]
    await name_authorisations(connection, None, lots, registry)
    return Sales(on, lots, registry, await trades_at(connection, await cut_now(connection), needed))


async def sales_at(
    connection: Connection, cut: Cut, on: date, registry: Registry, needed: Collection[Need] = ()
) -> Sales:
    """The market's part of the state as known at `cut`, folded from the journal."""
    lots = await market_lots_at(connection, cut, on)
    await name_authorisations(connection, cut, lots, registry)
    return Sales(on, lots, registry, await trades_at(connection, cut, needed))
