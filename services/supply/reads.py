"""Reads what a day's measurement needs, live or as known at a checkpoint, in the caller's transaction."""

from __future__ import annotations

from datetime import date

import asyncpg

from services.supply.anomalies import LOT_KINDS, contradicts, lot_of
from services.supply.asof import Cut, lots_now, market_lots_at, reached_now
from services.supply.by_day import lot_days_now
from services.supply.lot import market_lot
from services.supply.measure import Ledger, Sales
from services.supply.registry import Registry
from services.supply.told import open_anomalies

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_EXPORTED_NOW = """
SELECT gtin, lot, min(effective_on) FROM flows WHERE credit = 6 AND packs > 0 AND effective_on <= $1 GROUP BY gtin, lot
"""


async def ledger_now(connection: Connection, on: date, registry: Registry) -> Ledger:
    """The newest state, from the derived tables, as known in this transaction."""
    lots = await lots_now(connection, on)
    told = await open_anomalies(connection, LOT_KINDS)
    odd = {(lot.gtin, lot.lot) for lot in lots if contradicts(lot)}
    return Ledger(
        on=on,
        lots=lots,
        reached=await reached_now(connection, on),
        exported_on={(gtin, lot): day for gtin, lot, day in await connection.fetch(_EXPORTED_NOW, on)},
        registry=registry,
        days=await lot_days_now(connection, odd | {lot_of(data["subject"]) for data in told.values()}),
        open_anomalies=told,
    )


async def sales_now(connection: Connection, on: date, registry: Registry) -> Sales:
    """The market's part of the newest state, from the derived tables."""
    reached = await reached_now(connection, on)
    lots = [market_lot(lot, reached.get((lot.gtin, lot.lot), 0)) for lot in await lots_now(connection, on)]
    return Sales(on, lots, registry)


async def sales_at(connection: Connection, cut: Cut, on: date, registry: Registry) -> Sales:
    """The market's part of the state as known at `cut`, folded from the journal."""
    return Sales(on, await market_lots_at(connection, cut, on), registry)
