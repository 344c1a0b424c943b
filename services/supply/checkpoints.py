"""Takes checkpoints, signs those that go outside, and finds the one that an answer rests on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson

from services.supply.asof import Cut
from services.supply.signing import Signed, Signer, moment_text, signed_places, stored_places
from shared.errors import Fault, Problem

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_POSITIONS = "SELECT topic_id, partition, next_offset, chain FROM positions ORDER BY topic_id, partition"
_NEWEST = "SELECT n, at, places FROM checkpoints ORDER BY n DESC LIMIT 1"
_AT = "SELECT n, at, places FROM checkpoints WHERE at <= $1 ORDER BY at DESC LIMIT 1"
_NUMBERED = "SELECT n, at, places FROM checkpoints WHERE n = $1"
_SIGNED_COLUMNS = "n, at, places, previous, key_id, signature"
_INSERT = f"INSERT INTO checkpoints ({_SIGNED_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"
_SIGNED = f"SELECT {_SIGNED_COLUMNS} FROM checkpoints WHERE signature IS NOT NULL"
_NEWEST_SIGNED = f"{_SIGNED} ORDER BY n DESC LIMIT 1"
_SIGNED_AFTER = f"{_SIGNED} AND n > $1 ORDER BY n LIMIT $2"
_SIGNED_AT = f"{_SIGNED} AND n = $1"
# Nothing moved: one signed checkpoint in this time still says that the ledger stands where it stood.
SIGN_UNCHANGED_EVERY: Final = timedelta(minutes=1)
EMPTY: Final = Cut(0, datetime.min, (), (), ())


async def take(connection: Connection, before: Cut, now: datetime, signer: Signer) -> tuple[Cut, Signed | None]:
    """A checkpoint of what this transaction sees, after `before`, and signed if it is to go outside: when a position
    has moved since the last signed one, and else once a minute. `now` is real time; the moments strictly increase."""
    at = now if before.n == 0 else max(now, before.at + timedelta(microseconds=1))
    rows = await connection.fetch(_POSITIONS)
    places = [
        {"topic_id": topic_id, "partition": partition, "next_offset": offset, "chain": chain.hex()}
        for topic_id, partition, offset, chain in rows
    ]
    last = await newest_signed(connection)
    signed = None
    if last is None or last.places != signed_places(places) or _moment(last) <= at - SIGN_UNCHANGED_EVERY:
        signed = signer.sign(before.n + 1, at, signed_places(places), None if last is None else last.digest)
    await _insert(connection, before.n + 1, at, places, signed)
    return _cut(before.n + 1, at, places), signed


async def adopt(connection: Connection, signed: Signed) -> None:
    """Takes a checkpoint back that this ledger took before it was restored from an older backup."""
    await _insert(connection, signed.n, _moment(signed), stored_places(signed.places), signed)


async def _insert(
    connection: Connection, n: int, at: datetime, places: list[dict[str, Any]], signed: Signed | None
) -> None:
    seal = (None, None, None) if signed is None else (signed.previous, signed.key, signed.signature)
    await connection.execute(_INSERT, n, at, orjson.dumps(places).decode(), *seal)


def _moment(signed: Signed) -> datetime:
    return datetime.fromisoformat(signed.at)


async def newest_signed(connection: Connection) -> Signed | None:
    row = await connection.fetchrow(_NEWEST_SIGNED)
    return None if row is None else _signed(row)


async def signed_at(connection: Connection, n: int) -> Signed | None:
    """The signed checkpoint with this number, if it is one."""
    row = await connection.fetchrow(_SIGNED_AT, n)
    return None if row is None else _signed(row)


async def signed_after(connection: Connection, n: int, limit: int) -> list[Signed]:
    """The next signed checkpoints after `n`, in order."""
    return [_signed(row) for row in await connection.fetch(_SIGNED_AFTER, n, limit)]


def _signed(row: Any) -> Signed:
    n, at, places, previous, key, signature = row
    return Signed(n, moment_text(at), signed_places(orjson.loads(places)), previous, key, signature)


async def newest(connection: Connection) -> Cut:
    """The newest checkpoint; before the first the empty one."""
    row = await connection.fetchrow(_NEWEST)
    return EMPTY if row is None else _cut(row[0], row[1], orjson.loads(row[2]))


async def numbered(connection: Connection, n: int) -> Cut | None:
    """The checkpoint with this number, if there is one."""
    row = await connection.fetchrow(_NUMBERED, n)
    return None if row is None else _cut(row[0], row[1], orjson.loads(row[2]))


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
