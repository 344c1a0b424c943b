"""Keeps what is told: the newest state of every subject as a signal with a version, and the evaluation behind it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import orjson

from services.supply.asof import Cut

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
SUBJECTS_A_STEP: Final = 1_000

_HELD = "SELECT subject, version, data::text FROM signals WHERE subject = ANY($1::text[])"
_OBLIGATIONS = "SELECT subject, data::text FROM signals WHERE starts_with(subject, 'obligation/')"
# With the predicate of the index signals_open.
_OPEN = "starts_with(subject, 'anomaly/') AND data->>'until' IS NULL"
_OPEN_OF_KINDS = f"""
SELECT subject, data::text FROM signals WHERE {_OPEN} AND split_part(subject, '/', 2) = ANY($1::text[])
"""
_OPEN_ANOMALIES = f"SELECT subject, data::text FROM signals WHERE {_OPEN}"
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


class Outdated(Exception):
    """What was evaluated is older than what has been told already."""


async def open_anomalies(connection: Connection, kinds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The anomalies of these kinds that were last told as open, by subject of the signal."""
    rows = await connection.fetch(_OPEN_OF_KINDS, kinds)
    return {subject: orjson.loads(text) for subject, text in rows}


async def count_open(connection: Connection) -> dict[str, int]:
    """How many anomalies are open, by kind."""
    return {kind: count for kind, count in await connection.fetch(_COUNT_OPEN)}


async def put(connection: Connection, told: Mapping[str, dict[str, Any]], now: datetime, floor: int) -> int:
    """Writes the states that are news, each with a version above its last and not below `floor`. How many they are."""
    subjects = sorted(told)
    written = 0
    for start in range(0, len(subjects), SUBJECTS_A_STEP):
        step = subjects[start : start + SUBJECTS_A_STEP]
        rows = await connection.fetch(_HELD, step)
        held = {subject: (version, orjson.loads(text)) for subject, version, text in rows}
        fresh = [name for name in step if name not in held or _is_news(held[name][1], told[name])]
        if fresh:
            versions = [max(held.get(subject, (0,))[0] + 1, floor) for subject in fresh]
            texts = [orjson.dumps(told[subject]).decode() for subject in fresh]
            await connection.execute(_PUT, fresh, versions, texts, now)
        written += len(fresh)
    return written


def _is_news(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a subject's state differs; the day on which it was looked at is no news by itself."""
    return {**old, "on": None} != {**new, "on": None}


async def gone(connection: Connection, told: Mapping[str, Any], on: date) -> dict[str, dict[str, Any]]:
    """What was told before and no longer is: obligations are cancelled, anomalies end."""
    obligations = {subject: orjson.loads(text) for subject, text in await connection.fetch(_OBLIGATIONS)}
    anomalies = {subject: orjson.loads(text) for subject, text in await connection.fetch(_OPEN_ANOMALIES)}
    return {
        **{name: {**data, "state": "cancelled"} for name, data in obligations.items() if name not in told},
        **{name: {**data, "until": on.isoformat()} for name, data in anomalies.items() if name not in told},
    }


async def put_evaluation(connection: Connection, cut: Cut, on: date, body: dict[str, Any]) -> None:
    """Makes this the newest evaluation. Raises Outdated where a later one is kept."""
    if await connection.execute(_EVALUATED, cut.n, on, orjson.dumps(body).decode()) != "INSERT 0 1":
        raise Outdated(f"a later evaluation than that of checkpoint {cut.n} has been told")
