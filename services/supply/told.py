"""Keeps what is told: the newest state of every subject as a signal with a version, and the evaluation behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import orjson

from services.supply import checkpoints
from services.supply.asof import Cut

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
SUBJECTS_A_STEP: Final = 1_000
# To be raised when it changes what is odd about a record, or how that is told: then all of them are looked at anew.
ODD_RULES: Final = 2

_HELD = "SELECT subject, version, data::text FROM signals WHERE subject = ANY($1::text[])"
_OBLIGATIONS = "SELECT subject, data::text FROM signals WHERE starts_with(subject, 'obligation/')"
# With the predicate of the index signals_open.
_OPEN = "starts_with(subject, 'anomaly/') AND data->>'until' IS NULL"
_OPEN_OF_KINDS = f"""
SELECT subject, data::text FROM signals WHERE {_OPEN} AND split_part(subject, '/', 2) = ANY($1::text[])
"""
_OPEN_OF_SUBJECTS = f"SELECT subject, data::text FROM signals WHERE {_OPEN} AND subject = ANY($1::text[])"
_COUNT_OPEN = f"SELECT split_part(subject, '/', 2), count(*) FROM signals WHERE {_OPEN} GROUP BY 1"
# In the order of the subjects, so that two who write wait for one another in no circle.
_PUT = """
INSERT INTO signals AS held (subject, version, published, at, data)
SELECT subject, version, 0, $4, data::jsonb
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (subject, version, data) ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET version = excluded.version, at = excluded.at, data = excluded.data
"""
_EVALUATED = """
INSERT INTO evaluations AS held (name, checkpoint, "on", body) VALUES ('newest', $1, $2, $3)
ON CONFLICT (name) DO UPDATE SET checkpoint = excluded.checkpoint, "on" = excluded."on", body = excluded.body
WHERE held.checkpoint < excluded.checkpoint
"""


_NEWEST_EVALUATION = "SELECT checkpoint, (body->'odd_rules')::int FROM evaluations WHERE name = 'newest'"


class Outdated(Exception):
    """What was evaluated is older than what has been told already."""


async def open_anomalies(connection: Connection, kinds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The anomalies of these kinds that were last told as open, by subject of the signal."""
    rows = await connection.fetch(_OPEN_OF_KINDS, kinds)
    return {subject: orjson.loads(text) for subject, text in rows}


async def count_open(connection: Connection) -> dict[str, int]:
    """How many anomalies are open, by kind."""
    return {kind: count for kind, count in await connection.fetch(_COUNT_OPEN)}


def is_news(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether a subject's state differs; the day on which it was looked at is no news by itself."""
    return {**old, "on": None} != {**new, "on": None}


async def put(
    connection: Connection,
    told: Mapping[str, dict[str, Any]],
    now: datetime,
    floor: int,
    news: Callable[[dict[str, Any], dict[str, Any]], bool] = is_news,
) -> int:
    """Writes the states that are news, each with a version above its last and not below `floor`. How many they are."""
    subjects = sorted(told)
    written = 0
    for start in range(0, len(subjects), SUBJECTS_A_STEP):
        step = subjects[start : start + SUBJECTS_A_STEP]
        rows = await connection.fetch(_HELD, step)
        held = {subject: (version, orjson.loads(text)) for subject, version, text in rows}
        fresh = [name for name in step if name not in held or news(told[name], held[name][1])]
        if fresh:
            versions = [max(held.get(subject, (0,))[0] + 1, floor) for subject in fresh]
            texts = [orjson.dumps(told[subject]).decode() for subject in fresh]
            await connection.execute(_PUT, fresh, versions, texts, now)
        written += len(fresh)
    return written


async def end(connection: Connection, over: Mapping[str, date], now: datetime, floor: int) -> int:
    """Ends those of these anomalies that are told as open, by subject of the signal. How many they are."""
    subjects = sorted(over)
    ended = {}
    for start in range(0, len(subjects), SUBJECTS_A_STEP):
        for subject, text in await connection.fetch(_OPEN_OF_SUBJECTS, subjects[start : start + SUBJECTS_A_STEP]):
            data = orjson.loads(text)
            ended[subject] = {**data, "until": max(data["since"], over[subject].isoformat())}
    return await put(connection, ended, now, floor)


async def cancelled(connection: Connection, told: Collection[str]) -> dict[str, dict[str, Any]]:
    """The obligations that were told before and no longer are."""
    held = {subject: orjson.loads(text) for subject, text in await connection.fetch(_OBLIGATIONS)}
    return {subject: {**data, "state": "cancelled"} for subject, data in held.items() if subject not in told}


async def odd_until(connection: Connection) -> Cut:
    """The checkpoint up to which what is odd about records has been told; the empty one if by other rules."""
    row = await connection.fetchrow(_NEWEST_EVALUATION)
    if row is None or row[1] != ODD_RULES:
        return checkpoints.EMPTY
    return await checkpoints.numbered(connection, row[0]) or checkpoints.EMPTY


async def put_evaluation(connection: Connection, cut: Cut, on: date, body: dict[str, Any]) -> None:
    """Makes this the newest evaluation. Raises Outdated where a later one is kept."""
    text = orjson.dumps({**body, "odd_rules": ODD_RULES}).decode()
    if await connection.execute(_EVALUATED, cut.n, on, text) != "INSERT 0 1":
        raise Outdated(f"a later evaluation than that of checkpoint {cut.n} has been told")
