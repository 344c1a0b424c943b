"""Reads the rows of the exports, part by part, in the caller's snapshot and as known at its checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Final

import asyncpg
import orjson

from services.supply.asof import ENTRIES_AT, Cut, LotKey
from services.supply.balances import Balance, Wanted, balance_item, balances
from services.supply.by_day import market_days_at
from services.supply.derived import FORWARD, SIGN
from services.supply.export_files import Column, Row
from services.supply.indicators import measure, needs
from services.supply.known_facts import KnownFacts
from services.supply.lot import gtin_text
from services.supply.market import Market
from services.supply.measure import market
from services.supply.origin import Origins
from services.supply.places import NAME_OF, NAMES

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Parts = AsyncIterator[Sequence[Row]]
LOTS_A_PART: Final = 1_000
ROWS_A_PART: Final = 5_000

_STOCK: Final = ("usable", "blocked", "expired")
BALANCES: Final = (
    *(Column("gtin"), Column("lot"), Column("origin")),
    *(Column(name, "integer") for name in (*NAMES, *_STOCK)),
)
FLOWS: Final = (
    *(Column("gtin"), Column("lot"), Column("effective_on", "day")),
    *(Column("debit"), Column("credit"), Column("packs", "integer")),
)
INDICATOR_COLUMNS: Final = (
    *(Column("name"), Column("scope"), Column("on", "day"), Column("value", "decimal")),
    *(Column("why"), Column("coverage", "decimal"), Column("inputs")),
)

# Net packs by day of effect; what was posted and reversed is no flow.
_FLOWS_AT = f"""
SELECT gtin, lot, effective_on, leaves, reaches, sum(packs)::bigint FROM (
    SELECT gtin, lot, effective_on, packs * {SIGN} AS packs, {FORWARD}
    FROM journal WHERE {ENTRIES_AT} AND effective_on BETWEEN $2 AND $3 AND ($4::bigint IS NULL OR gtin = $4)
) forward GROUP BY gtin, lot, effective_on, leaves, reaches HAVING sum(packs) <> 0
ORDER BY gtin, lot, effective_on, leaves, reaches
"""


async def balance_rows(connection: Connection, cut: Cut, on: date, origins: Origins, wanted: Wanted) -> Parts:
    """Rows of BALANCES: the items of GET /balances."""
    after: LotKey | None = (-1, "")
    while after is not None:
        found, after = await balances(connection, cut, on, origins, wanted, after=after, limit=LOTS_A_PART)
        if found:
            yield [_balance(item, on) for item in found]


def _balance(balance: Balance, on: date) -> Row:
    item = balance_item(balance, on)
    places, stock = (item["places"][name] for name in NAMES), (item[name] for name in _STOCK)
    return (item["gtin"], item["lot"], item["origin"], *places, *stock)


async def flow_rows(
    connection: Connection, cut: Cut, first: date, last: date, gtin: int | None, timeout_seconds: float
) -> Parts:
    """Rows of FLOWS: net packs that moved between two places of a lot on a day from `first` to `last`."""
    query = await connection.cursor(_FLOWS_AT, cut.ends, first, last, gtin, timeout=timeout_seconds)
    while rows := await query.fetch(ROWS_A_PART, timeout=timeout_seconds):
        yield [(gtin_text(row[0]), row[1] or None, row[2], NAME_OF[row[3]], NAME_OF[row[4]], row[5]) for row in rows]


async def indicator_rows(
    connection: Connection,
    cut: Cut,
    days: Sequence[date],
    names: Sequence[str],
    scopes: Sequence[str],
    facts: KnownFacts,
    domestic_local_steps: frozenset[str],
    timeout_seconds: float,
) -> Parts:
    """Rows of INDICATOR_COLUMNS: the items of GET /indicators, a day at a time."""
    registry = await facts.registry(connection, cut)
    origins = Origins(registry, domestic_local_steps)
    async for sold in market_days_at(connection, cut, days, "days_365", origins, needs(names), timeout_seconds):
        yield await asyncio.to_thread(_indicators, market(sold, "days_365", origins), names, scopes)


def _indicators(seen: Market, names: Sequence[str], scopes: Sequence[str]) -> list[Row]:
    measured = (measure(name, scope, seen) for name in names for scope in scopes)
    return [
        (item.name, item.scope, item.on, item.value, item.why, item.coverage, orjson.dumps(item.inputs).decode())
        for item in measured
    ]
