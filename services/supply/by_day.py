"""Reads what took effect day by day: of single lots, from the derived tables or as known at a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any, Final

import asyncpg

from services.supply.anomalies import LotDay
from services.supply.asof import ENTRIES_AT, Cut
from services.supply.places import Place

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LotKey = tuple[int, str]
LOTS_A_QUERY: Final = 1_000


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
