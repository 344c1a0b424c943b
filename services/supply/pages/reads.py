"""Reads for pages what is kept: the last evaluation, what was told, lots by their number. Nothing is folded here.

What begins with a text lies between that and the text with the last character of all: texts are ordered by C.UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import orjson

from services.supply.asked import Asked
from services.supply.lot import gtin_text

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Item = dict[str, Any]
LAST: Final = "\U0010ffff"

_EVALUATION = """
SELECT checkpoint, "on", body->>'known', body->'goals', coalesce(body->'anomalies', '{}') FROM evaluations
WHERE name = 'newest'
"""
_TOLD = "SELECT subject, data::text FROM signals WHERE subject = ANY($1::text[])"
_BEGINNING = """
SELECT data::text FROM unnest($1::text[]) AS wanted (beginning)
JOIN LATERAL (
    SELECT subject, data FROM signals
    WHERE subject >= wanted.beginning AND subject < wanted.beginning || chr(1114111) ORDER BY subject LIMIT $2
) found ON true ORDER BY found.subject
"""
# With the predicates of the indexes signals_due and signals_open.
_DUE = """
SELECT coalesce(data->>'due_on', '9999'), subject, data::text FROM signals
WHERE starts_with(subject, 'obligation/') AND data->>'state' = 'open' AND ($4::text IS NULL OR data->>'kind' = $4)
AND (coalesce(data->>'due_on', '9999'), subject) > ($1, $2) ORDER BY 1, 2 LIMIT $3
"""
_SETTLED = """
SELECT data->>'due_on', subject, data::text FROM signals
WHERE starts_with(subject, 'obligation/') AND data->>'state' = $5 AND ($4::text IS NULL OR data->>'kind' = $4)
AND (coalesce(data->>'due_on', ''), subject) < ($1, $2) ORDER BY coalesce(data->>'due_on', '') DESC, 2 DESC LIMIT $3
"""
_ANOMALIES_OPEN = """
SELECT split_part(subject, '/', 2), subject, data::text FROM signals
WHERE starts_with(subject, 'anomaly/') AND data->>'until' IS NULL
AND ($4::text IS NULL OR split_part(subject, '/', 2) = $4)
AND (split_part(subject, '/', 2), subject) > ($1, $2) ORDER BY 1, 2 LIMIT $3
"""
_ANOMALIES_ENDED = """
SELECT split_part(subject, '/', 2), subject, data::text FROM signals
WHERE subject > $1 AND subject > $3 AND subject < $3 || chr(1114111) AND data->>'until' IS NOT NULL
ORDER BY subject LIMIT $2
"""
_LOTS = (
    "SELECT gtin, lot FROM lots WHERE lot >= $1 AND lot < $1 || chr(1114111) AND lot <> '' ORDER BY lot, gtin LIMIT $2"
)


async def evaluation(connection: Connection) -> Item | None:
    """The last evaluation: `checkpoint`, `on`, `known`, `goals` as in GET /goals, and by kind the open `anomalies`.

    None before the first.
    """
    row = await connection.fetchrow(_EVALUATION)
    if row is None:
        return None
    told = {"goals": orjson.loads(row[3]), "anomalies": orjson.loads(row[4])}
    return {"checkpoint": row[0], "on": row[1], "known": row[2], **told}


async def told(connection: Connection, subjects: Sequence[str]) -> dict[str, Item]:
    """The newest state of these subjects, of which anything was told."""
    return {subject: orjson.loads(data) for subject, data in await connection.fetch(_TOLD, list(subjects))}


async def told_beginning(connection: Connection, beginnings: Sequence[str], limit: int) -> list[Item]:
    """The newest states of subjects that begin with one of these; at most `limit` of each."""
    return [orjson.loads(row[0]) for row in await connection.fetch(_BEGINNING, list(beginnings), limit)]


async def obligations(
    connection: Connection, state: str, kind: str | None, after: tuple[str, str] | None, limit: int
) -> tuple[list[Item], tuple[str, str] | None]:
    """A page of obligations, and after which the next begins: open ones by the day on which they are due, those without
    one last; others the latest first."""
    if state == "open":
        rows = await connection.fetch(_DUE, *(after or ("", "")), limit + 1, kind)
    else:
        rows = await connection.fetch(_SETTLED, *(after or (LAST, LAST)), limit + 1, kind, state)
    return _page(rows, limit)


async def anomalies(
    connection: Connection, ended: bool, kind: str | None, after: tuple[str, str] | None, limit: int
) -> tuple[list[Item], tuple[str, str] | None]:
    """A page of anomalies by kind and subject, and after which the next begins."""
    if not ended:
        return _page(await connection.fetch(_ANOMALIES_OPEN, *(after or ("", "")), limit + 1, kind), limit)
    begins = "anomaly/" if kind is None else f"anomaly/{kind}/"
    return _page(await connection.fetch(_ANOMALIES_ENDED, (after or ("", ""))[1], limit + 1, begins), limit)


def _page(rows: Sequence[Any], limit: int) -> tuple[list[Item], tuple[str, str] | None]:
    following = (rows[limit - 1][0] or "", rows[limit - 1][1]) if len(rows) > limit else None
    return [orjson.loads(row[2]) for row in rows[:limit]], following


async def lots_called(connection: Connection, begins: str, limit: int) -> list[tuple[str, str]]:
    """Lots whose number begins so, with their GTINs."""
    return [(gtin_text(gtin), lot) for gtin, lot in await connection.fetch(_LOTS, begins, limit)]


def told_at(asked: Asked, held: Item | None) -> Item:
    """What a page says of how old it is."""
    return {
        "checkpoint": None if held is None else held["checkpoint"],
        "known": None if held is None else held["known"],
    }
