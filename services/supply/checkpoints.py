"""Takes checkpoints, and finds the one that an answer rests on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson

from services.supply.asof import Cut
from shared.errors import Fault, Problem

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_POSITIONS = "SELECT topic_id, partition, next_offset, chain FROM positions ORDER BY topic_id, partition"
_NEWEST = "SELECT n, at, places FROM checkpoints ORDER BY n DESC LIMIT 1"
_AT = "SELECT n, at, places FROM checkpoints WHERE at <= $1 ORDER BY at DESC LIMIT 1"
_INSERT = "INSERT INTO checkpoints (n, at, places) VALUES ($1, $2, $3)"
EMPTY: Final = Cut(0, datetime.min, (), (), ())


async def take(connection: Connection, before: Cut, now: datetime) -> Cut:
    """A checkpoint of what this transaction sees, after `before`. `now` is real time; the moments strictly increase."""
    at = now if before.n == 0 else max(now, before.at + timedelta(microseconds=1))
    rows = await connection.fetch(_POSITIONS)
    places = [
        {"topic_id": topic_id, "partition": partition, "next_offset": offset, "chain": chain.hex()}
        for topic_id, partition, offset, chain in rows
    ]
    await connection.execute(_INSERT, before.n + 1, at, orjson.dumps(places).decode())
    return _cut(before.n + 1, at, places)


async def newest(connection: Connection) -> Cut:
    """The newest checkpoint; before the first the empty one."""
    row = await connection.fetchrow(_NEWEST)
    return EMPTY if row is None else _cut(row[0], row[1], orjson.loads(row[2]))


async def known_at(connection: Connection, known: datetime | None) -> Cut:
    """The checkpoint for `known` (None: the newest). Before the first checkpoint: the empty state.

    Raises Problem 409 known_not_final for a moment beyond the newest checkpoint.
    """
    latest = await newest(connection)
    if known is None or known == latest.at:
        return latest
    if latest.n == 0 or known > latest.at:
        detail = f"what will be known at {known.isoformat()} is not final yet"
        raise Problem(
            409,
            "Not final yet",
            detail,
            [Fault("known", "known_not_final", detail)],
            code="known_not_final",
            retry_after_seconds=2,
        )
    row = await connection.fetchrow(_AT, known)
    return EMPTY if row is None else _cut(row[0], row[1], orjson.loads(row[2]))


def _cut(n: int, at: datetime, places: list[dict[str, Any]]) -> Cut:
    return Cut(
        n,
        at,
        tuple(place["topic_id"] for place in places),
        tuple(place["partition"] for place in places),
        tuple(place["next_offset"] for place in places),
    )
