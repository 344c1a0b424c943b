"""Reads what took effect day by day: of single lots, and of the whole market, as known at a checkpoint."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import asyncpg

from services.supply.anomalies import LotDay
from services.supply.asof import ENTRIES_AT, Cut, market_lots_at
from services.supply.derived import SIGN
from services.supply.indicators import Need
from services.supply.introductions import name_authorisations
from services.supply.market_days import Change, MarketDays
from services.supply.measure import Sales, first_releases
from services.supply.origin import Origins
from services.supply.places import Place
from services.supply.supplied import Window
from services.supply.trades import trades_at

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LotKey = tuple[int, str]
LOTS_A_QUERY: Final = 1_000
CHANGES_A_PART: Final = 5_000


def _net(*places: Place) -> str:
    """SQL: the packs that reached any of `places`, less those that left."""
    of = ", ".join(str(place.value) for place in places)
    return f"coalesce(sum(packs * ((credit IN ({of}))::int - (debit IN ({of}))::int)), 0)::bigint"


_OF_LOTS = "(gtin, lot) IN (SELECT * FROM unnest({0}::bigint[], {1}::text[]))"
_LOT_DAYS = (
    f"SELECT gtin, lot, effective_on, {_net(Place.AVAILABLE)}, {_net(Place.QUARANTINE)},"
    f" -{_net(Place.PRODUCED)}, -{_net(Place.IMPORTED)}"
    " FROM {0} WHERE {1} GROUP BY gtin, lot, effective_on ORDER BY gtin, lot, effective_on"
)
_NOW = _LOT_DAYS.format("flows", _OF_LOTS.format("$1", "$2"))
_AT = _LOT_DAYS.format("journal", f"{ENTRIES_AT} AND {_OF_LOTS.format('$2', '$3')}")

_REACHED = f"""
coalesce(sum(packs * {SIGN}) FILTER (WHERE
    CASE WHEN reversal THEN debit = 4 AND credit IN (2, 3) ELSE credit = 4 AND debit IN (2, 3) END), 0)::bigint
"""
_CHANGES_AT = f"""
SELECT effective_on, gtin, lot, {_net(Place.AVAILABLE)}, {_net(Place.CONSUMED, Place.ADJUSTED)}, {_REACHED}
FROM journal WHERE {ENTRIES_AT} AND effective_on > $2 AND effective_on <= $3
GROUP BY effective_on, gtin, lot ORDER BY effective_on
"""


async def lot_days_now(connection: Connection, lots: Collection[LotKey]) -> dict[LotKey, list[LotDay]]:
    """What took effect of these lots on any day, by day: from the derived tables, as known in this transaction."""
    found: dict[LotKey, list[LotDay]] = {}
    for columns in _columns(lots):
        found |= _by_lot(await connection.fetch(_NOW, *columns))
    return found


async def lot_days_at(connection: Connection, cut: Cut, lots: Collection[LotKey]) -> dict[LotKey, list[LotDay]]:
    """The same as known at `cut`, from the journal."""
    found: dict[LotKey, list[LotDay]] = {}
    for columns in _columns(lots):
        found |= _by_lot(await connection.fetch(_AT, cut.ends, *columns))
    return found


def _columns(lots: Collection[LotKey]) -> list[tuple[list[int], list[str]]]:
    keys = sorted(lots)
    parts = [keys[start : start + LOTS_A_QUERY] for start in range(0, len(keys), LOTS_A_QUERY)]
    return [([gtin for gtin, _ in part], [lot for _, lot in part]) for part in parts]


def _by_lot(rows: Sequence[Any]) -> dict[LotKey, list[LotDay]]:
    return {key: [LotDay(*row[2:]) for row in days] for key, days in groupby(rows, key=lambda row: (row[0], row[1]))}


async def market_days_at(
    connection: Connection,
    cut: Cut,
    days: Sequence[date],
    window: Window,
    origins: Origins,
    needs: Collection[Need],
    timeout_seconds: float,
) -> AsyncIterator[Sales]:
    """The market on each of `days` (rising), as known at `cut`: by one fold of the journal, moved on from day to day. A
    day's lots are those of that day until the next is asked for."""
    first, last = days[0], days[-1]
    lots = await market_lots_at(connection, cut, first)
    await name_authorisations(connection, cut, lots, origins.registry)
    trades = await trades_at(connection, cut, needs)
    released_on = await asyncio.to_thread(first_releases, lots, origins)
    moved = MarketDays(lots, first, last, window, bool(needs))
    changes: list[Change] = []
    query = None if first == last else await connection.cursor(_CHANGES_AT, cut.ends, first, last)
    for day in days:
        while query is not None and (not changes or changes[-1].on <= day):
            moved.move_on(changes)
            changes = [Change(*row) for row in await query.fetch(CHANGES_A_PART, timeout=timeout_seconds)]
            query = query if changes else None
        upto = bisect_right(changes, day, key=attrgetter("on"))
        moved.move_on(changes[:upto])
        changes = changes[upto:]
        yield Sales(day, moved.lots(day), origins.registry, trades, released_on)
