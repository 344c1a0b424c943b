"""Reads the ledger as it was known at a checkpoint and in effect on a day, by folding the journal up to a cut.

The same questions about the newest state are answered from the derived tables (`lots_now`); a test holds the two to
the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.correction import Correction, Family, Original
from services.supply.known_events import correction_of, family, originals
from services.supply.lot import LotState
from services.supply.places import NAMES, PLACES
from services.supply.posting import POSTINGS
from services.supply.registry import Fact, fact_of
from shared.events import reader

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LotKey = tuple[int, str]
_FACT_TYPES: Final = frozenset(name for name, struct in reader.STRUCTS.items() if struct not in POSTINGS)


class Cut(msgspec.Struct, frozen=True):
    """Checkpoint `n`, taken at the real moment `at`: the first offset of every partition that it leaves out."""

    n: int
    at: datetime
    topic_ids: tuple[int, ...]
    partitions: tuple[int, ...]
    next_offsets: tuple[int, ...]

    @property
    def columns(self) -> tuple[list[int], list[int], list[int]]:
        return list(self.topic_ids), list(self.partitions), list(self.next_offsets)


# Arguments $1 to $3 of every query that is asked at a cut: see Cut.columns.
CUT: Final = (
    "JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS cut (topic_id, partition, next_offset)"
    " USING (topic_id, partition)"
)
BEFORE: Final = "kafka_offset < cut.next_offset"
_SUMS = ", ".join(
    f"coalesce(sum(packs * ((credit = {place.value})::int - (debit = {place.value})::int))"
    f" FILTER (WHERE effective_on <= $4), 0)::bigint AS {name}"
    for place, name in zip(PLACES, NAMES, strict=True)
)
_FORWARD = (
    "CASE WHEN reversal THEN credit ELSE debit END AS debit, CASE WHEN reversal THEN debit ELSE credit END AS credit"
)
_SIGN = "CASE WHEN reversal THEN -1 ELSE 1 END"

_LOTS_AT = f"""
WITH entries AS (
    SELECT gtin, lot, debit, credit, packs, effective_on, reversal, expires_on
    FROM journal {CUT} WHERE {BEFORE} AND debit IS NOT NULL {{where}}
), balances AS (
    SELECT gtin, lot, {_SUMS} FROM entries GROUP BY gtin, lot
), standing AS (
    SELECT gtin, lot, debit, credit, effective_on, expires_on, sum(sign) AS times
    FROM (SELECT gtin, lot, effective_on, expires_on, packs, {_FORWARD}, {_SIGN} AS sign FROM entries) forward
    WHERE debit <= 2 OR (debit = 3 AND credit = 4)
    GROUP BY gtin, lot, debit, credit, effective_on, expires_on, packs HAVING sum(sign) > 0
), facts AS (
    SELECT gtin, lot,
        coalesce(sum(times) FILTER (WHERE debit = 1), 0)::bigint AS produced_count,
        coalesce(sum(times) FILTER (WHERE debit = 2), 0)::bigint AS imported_count,
        min(effective_on) FILTER (WHERE debit <= 2) AS introduced_on,
        min(expires_on) FILTER (WHERE debit <= 2) AS expires_on,
        min(effective_on) FILTER (WHERE credit = 4) AS supplied_on
    FROM standing GROUP BY gtin, lot
)
SELECT b.*, coalesce(produced_count, 0), coalesce(imported_count, 0), introduced_on, expires_on, supplied_on
FROM balances b LEFT JOIN facts USING (gtin, lot) ORDER BY gtin, lot
"""
_LOTS_NOW = f"""
SELECT l.gtin, l.lot, {_SUMS.replace("$4", "$1")},
    produced_count, imported_count, introduced_on, expires_on, supplied_on
FROM lots l JOIN flows USING (gtin, lot) GROUP BY l.gtin, l.lot ORDER BY gtin, lot
"""
_REACHED_AT = f"""
SELECT gtin, lot, sum(packs * CASE WHEN reversal THEN -1 ELSE 1 END)::bigint
FROM journal {CUT} WHERE {BEFORE} AND effective_on <= $4
AND ((NOT reversal AND credit = 4 AND debit IN (2, 3)) OR (reversal AND debit = 4 AND credit IN (2, 3)))
GROUP BY gtin, lot
"""
_REACHED_NOW = """
SELECT gtin, lot, sum(packs)::bigint FROM flows
WHERE effective_on <= $1 AND credit = 4 AND debit IN (2, 3) GROUP BY gtin, lot
"""


async def lots_at(
    connection: Connection, cut: Cut, effective_on: date, keys: Sequence[LotKey] | None = None
) -> list[LotState]:
    """The lots (all, or those of `keys`) with their packs up to `effective_on`, as known at `cut`; by gtin, lot."""
    where = ""
    arguments: tuple[list[int], list[str]] | tuple[()] = ()
    if keys is not None:
        where = "AND (gtin, lot) IN (SELECT * FROM unnest($5::bigint[], $6::text[]))"
        arguments = ([gtin for gtin, _ in keys], [lot for _, lot in keys])
    rows = await connection.fetch(_LOTS_AT.format(where=where), *cut.columns, effective_on, *arguments)
    return [_lot_state(row) for row in rows]


async def lots_now(connection: Connection, effective_on: date) -> list[LotState]:
    """All lots with their packs up to `effective_on`, from the derived tables, as known in this transaction."""
    return [_lot_state(row) for row in await connection.fetch(_LOTS_NOW, effective_on)]


async def reached_at(connection: Connection, cut: Cut, effective_on: date) -> dict[LotKey, int]:
    """Packs of each lot that were released, or imported without hold, up to `effective_on`, as known at `cut`."""
    rows = await connection.fetch(_REACHED_AT, *cut.columns, effective_on)
    return {(gtin, lot): packs for gtin, lot, packs in rows}


async def reached_now(connection: Connection, effective_on: date) -> dict[LotKey, int]:
    """The same from the derived tables."""
    return {(gtin, lot): packs for gtin, lot, packs in await connection.fetch(_REACHED_NOW, effective_on)}


def _lot_state(row: Any) -> LotState:
    return LotState(row[0], row[1], (0, *row[2:12]), *row[12:17])


_FACTS = f"SELECT event_key, type, key, data::text, time, source, id FROM facts {CUT} WHERE {BEFORE}"
_MARKING = f"""
SELECT c.event_key, c.target, c.source, c.id, c.time, c.data::text FROM corrections c {CUT} WHERE {BEFORE}
AND (c.data->'replacement'->>'type' = ANY($4::text[]) OR c.target IN (SELECT event_key FROM facts))
"""


async def facts_at(connection: Connection, cut: Cut) -> list[Fact]:
    """Registry facts and marks of lots as they count at `cut`: after corrections, whatever these turned into them."""
    rows = await connection.fetch(_FACTS, *cut.columns)
    said = {row[0]: row for row in rows}
    touching = [correction_of(row) for row in await connection.fetch(_MARKING, *cut.columns, list(_FACT_TYPES))]
    if not touching:
        return [fact_of(row[1], row[3], *row[4:7]) for row in rows]
    by_target, roots = await _families(connection, cut, touching)
    corrected = {root.key: root for root in roots}
    facts = [fact_of(row[1], row[3], *row[4:7]) for key, row in said.items() if key not in corrected]
    for root in roots:
        counts = Family(root, by_target).effective()
        if counts.data is None or type(counts.data) in POSTINGS:
            continue
        # A corrected fact keeps its own rank among facts of the same day.
        facts.append(Fact(counts.data, root.time, root.source, root.id))
    return facts


_PLACES_OF = f"SELECT event_key FROM event_ids {CUT} WHERE {BEFORE} AND event_key = ANY($4::bytea[])"


async def _families(
    connection: Connection, cut: Cut, touching: Iterable[Correction]
) -> tuple[dict[bytes, list[Correction]], list[Original]]:
    """All corrections around `touching` and the originals below them, each only if recorded before the cut."""
    starts = {correction.key for correction in touching} | {correction.target for correction in touching}
    found = await family(connection, climb_from=starts, keys=starts)
    targets = {correction.target for correction in found.values()}
    wanted = list(found.keys() | targets)
    before = {row[0] for row in await connection.fetch(_PLACES_OF, *cut.columns, wanted)}
    by_target: dict[bytes, list[Correction]] = {}
    for correction in found.values():
        if correction.key in before:
            by_target.setdefault(correction.target, []).append(correction)
    roots = await originals(connection, (targets - found.keys()) & before)
    return by_target, roots
