"""Writes the ledger: one batch, one transaction. The only module that writes journal, lots, flows and positions.

A transaction begins by moving the positions on, which only the holder of the newest epoch can; then it looks up what
is already known, lets `fold` decide, and writes what was decided. Whoever reads sees all of a batch or nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from services.supply import known_events
from services.supply.derived import FORWARD, SIGN
from services.supply.fold import Journalled, Verdict, correction_in, settle, topic_key
from services.supply.places import NAMES, PLACES
from services.supply.posting import POSTINGS, introduces, supplies
from services.supply.record import Consumed
from services.supply.rows import COPY_END, COPY_HEAD, IDENTITY_COLUMNS, JOURNAL_COLUMNS, identity_row, journal_rows
from shared.events.reader import EventCorrected

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ROWS_A_PART: Final = 1_000
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

# A batch looks up single keys, whatever the planner believes about the size of a table that has just been filled.
_BY_INDEX = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    " SET LOCAL plan_cache_mode = force_custom_plan"
)
# In partition order, so that two writers never wait for each other in a circle.
_ADVANCE = """
WITH step AS (
    SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
        AS step (topic_id, partition, epoch, old_offset, next_offset, chain)
), held AS (
    SELECT p.topic_id, p.partition FROM positions p JOIN step USING (topic_id, partition)
    WHERE p.epoch = step.epoch AND p.next_offset = step.old_offset
    ORDER BY p.topic_id, p.partition FOR UPDATE OF p
)
UPDATE positions p SET next_offset = step.next_offset, chain = step.chain
FROM step JOIN held USING (topic_id, partition)
WHERE p.topic_id = step.topic_id AND p.partition = step.partition
RETURNING p.topic_id, p.partition
"""
_CORRECTIONS = "event_key target source id time topic_id partition kafka_offset data".split()
_FACTS = "event_key type key source id time topic_id partition kafka_offset data by_regulator".split()

# The derived tables follow from the journal's own new rows, so that nothing is summed twice in two languages.
# A reversal swaps debit and credit: what it takes back is in `flows` and in the counts with the sign turned.
_NEW = """
SELECT gtin, lot, debit, credit, packs, effective_on, reversal, expires_on
FROM journal JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bigint[])
    AS step (topic_id, partition, first, next) USING (topic_id, partition)
WHERE kafka_offset >= step.first AND kafka_offset < step.next AND recorded_at BETWEEN $5 AND $6 AND debit IS NOT NULL
"""
_COUNT = "count(*) FILTER (WHERE debit = {0}) - count(*) FILTER (WHERE credit = {0})"
_PACKS = ", ".join(
    f"coalesce(sum(packs) FILTER (WHERE credit = {place.value}), 0)"
    f" - coalesce(sum(packs) FILTER (WHERE debit = {place.value}), 0)"
    for place in PLACES
)
_EARLIEST = (
    "min(effective_on) FILTER (WHERE debit <= 2), min(expires_on) FILTER (WHERE debit <= 2),"
    " min(effective_on) FILTER (WHERE debit IN (2, 3) AND credit = 4 AND NOT reversal)"
)
_LOT_COLUMNS = ["gtin", "lot", *NAMES, "produced_count", "imported_count", "introduced_on", "expires_on", "supplied_on"]
_SUMMED = [*NAMES, "produced_count", "imported_count"]
# MERGE where INSERT ... ON CONFLICT would lock each row before it changes it; a row that another writer has just
# inserted fails the batch, which is then tried again.
_LOTS = f"""
MERGE INTO lots AS held USING (
    SELECT gtin, lot, {_PACKS}, {_COUNT.format(1)}, {_COUNT.format(2)}, {_EARLIEST}
    FROM new GROUP BY gtin, lot ORDER BY gtin, lot
) AS added ({", ".join(_LOT_COLUMNS)}) ON held.gtin = added.gtin AND held.lot = added.lot
WHEN MATCHED THEN UPDATE SET
    {", ".join(f"{name} = held.{name} + added.{name}" for name in _SUMMED)},
    {", ".join(f"{name} = least(held.{name}, added.{name})" for name in _LOT_COLUMNS[-3:])}
WHEN NOT MATCHED THEN INSERT ({", ".join(_LOT_COLUMNS)})
    VALUES ({", ".join(f"added.{name}" for name in _LOT_COLUMNS)})
"""
_FLOWS = f"""
MERGE INTO flows AS held USING (
    SELECT gtin, lot, effective_on, {FORWARD}, sum(packs * {SIGN}) AS packs
    FROM new GROUP BY gtin, lot, effective_on, leaves, reaches ORDER BY gtin, lot, effective_on, leaves, reaches
) AS added ON held.gtin = added.gtin AND held.lot = added.lot AND held.effective_on = added.effective_on
    AND held.debit = added.leaves AND held.credit = added.reaches
WHEN MATCHED THEN UPDATE SET packs = held.packs + added.packs
WHEN NOT MATCHED THEN INSERT (gtin, lot, effective_on, debit, credit, packs)
    VALUES (added.gtin, added.lot, added.effective_on, added.leaves, added.reaches, added.packs)
"""
_DERIVE = f"WITH new AS MATERIALIZED ({_NEW}), counted AS ({_LOTS}) {_FLOWS}"
# A reversed introduction or supply leaves the earliest dates to be found again among the entries that stand.
_REFRESH = """
UPDATE lots SET introduced_on = facts.introduced_on, expires_on = facts.expires_on, supplied_on = facts.supplied_on
FROM (
    SELECT gtin, lot,
        min(effective_on) FILTER (WHERE debit <= 2) AS introduced_on,
        min(expires_on) FILTER (WHERE debit <= 2) AS expires_on,
        min(effective_on) FILTER (WHERE debit IN (2, 3) AND credit = 4) AS supplied_on
    FROM (
        SELECT gtin, lot, effective_on, expires_on,
            CASE WHEN reversal THEN credit ELSE debit END AS debit,
            CASE WHEN reversal THEN debit ELSE credit END AS credit
        FROM journal WHERE (gtin, lot) IN (SELECT * FROM unnest($1::bigint[], $2::text[])) AND debit IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5, 6, packs
        HAVING sum(CASE WHEN reversal THEN -1 ELSE 1 END) > 0
    ) standing GROUP BY gtin, lot
) facts WHERE lots.gtin = facts.gtin AND lots.lot = facts.lot
"""
_CLEAR = """
UPDATE lots SET introduced_on = NULL, expires_on = NULL, supplied_on = NULL
WHERE (gtin, lot) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))
"""


class NotOwner(Exception):
    """A position was moved or claimed by another consumer: nothing of the batch is written."""


class Advance(msgspec.Struct, frozen=True):
    """One partition's step in a batch: from `old_offset` to `next_offset`, by the holder of `epoch`."""

    topic_id: int
    partition: int
    epoch: int
    old_offset: int
    next_offset: int
    chain: bytes


class Written(msgspec.Struct, frozen=True):
    """What a batch came to: records by verdict, and entries of the journal."""

    verdicts: dict[Verdict, int]
    entries: int


class Journal:
    """The writer of one instance. Not for concurrent use: batches are written one after the other."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._months: set[tuple[int, int]] = set()

    async def write(self, advances: Sequence[Advance], records: Sequence[Consumed]) -> Written:
        """Records the batch. Raises NotOwner; asyncpg's errors pass through, and then nothing was written."""
        async with self._pool.acquire() as connection:
            await self._ensure_months(connection, records)
            async with connection.transaction():
                await connection.execute(_BY_INDEX)
                await _advance(connection, advances)
                settled = settle(records, await known_events.load(connection, records))
                entries = await _insert(connection, records, settled)
                await _derive(connection, advances, records, settled)
        return _tally(records, settled, entries)

    async def _ensure_months(self, connection: Connection, records: Sequence[Consumed]) -> None:
        """Makes the journal's part of each month that the batch reaches into."""
        for instant in {record.timestamp_ms // 86_400_000 for record in records}:
            day = EPOCH + timedelta(days=instant)
            if (day.year, day.month) not in self._months:
                await connection.execute(_month_part(day))
                self._months.add((day.year, day.month))


def _month_part(day: datetime) -> str:
    """DDL that is harmless when two instances run it at once: one lock for all of them.

    A part is made by itself and then attached, which neither waits for those who read the journal nor holds them up;
    PARTITION OF would do both, for as long as the longest export takes.
    """
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    name = f"journal_{day:%Y_%m}"
    return (
        "DO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtext('journal_parts'));"
        f" IF to_regclass('{name}') IS NULL THEN CREATE TABLE {name} (LIKE journal INCLUDING ALL);"
        f" ALTER TABLE journal ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{day:%Y-%m}-01 00:00:00+00') TO ('{following:%Y-%m}-01 00:00:00+00'); END IF; END $$"
    )


async def _advance(connection: Connection, advances: Sequence[Advance]) -> None:
    """Moves every position on; NotOwner if another has moved or claimed one of them."""
    rows = await connection.fetch(_ADVANCE, *_columns(msgspec.structs.astuple(step) for step in advances))
    moved = {(row[0], row[1]) for row in rows}
    for step in advances:
        if (step.topic_id, step.partition) not in moved:
            raise NotOwner(f"partition {step.partition} of topic {step.topic_id} at {step.old_offset}")


async def _insert(connection: Connection, records: Sequence[Consumed], settled: Mapping[int, Journalled]) -> int:
    """The insert-only tables, by COPY. How many entries the journal got."""
    rows = [record.rows for record in records]
    recorded = list(records)
    for number, row in settled.items():
        rows[number] = journal_rows(row)
    if settled:
        recorded = [
            record
            for number, record in enumerate(records)
            if number not in settled or settled[number].verdict == Verdict.RECORDED
        ]
    copied = await _copy(connection, "journal", JOURNAL_COLUMNS, rows)
    identities = [record.identity or identity_row(record) for record in recorded]
    await _copy(connection, "event_ids", IDENTITY_COLUMNS, identities)
    if corrections := list(_correction_rows(recorded)):
        await connection.copy_records_to_table("corrections", records=corrections, columns=_CORRECTIONS)
    if facts := list(_fact_rows(recorded)):
        await connection.copy_records_to_table("facts", records=facts, columns=_FACTS)
    return copied


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[bytes]) -> int:
    """COPY of packed rows; the number of rows that PostgreSQL took."""

    async def parts() -> AsyncIterator[bytes]:
        yield COPY_HEAD
        for start in range(0, len(rows), ROWS_A_PART):
            yield b"".join(rows[start : start + ROWS_A_PART])
        yield COPY_END

    status = await connection.copy_to_table(table, source=parts(), columns=columns, format="binary")
    return int(status.removeprefix("COPY "))


def _correction_rows(fresh: Iterable[Consumed]) -> Iterable[tuple[Any, ...]]:
    for record in fresh:
        if not record.rows and (found := correction_in(record)) is not None:
            place = (record.topic_id, record.partition, record.offset, _json(record))
            yield (found.key, found.target, found.source, found.id, found.time, *place)


def _fact_rows(fresh: Iterable[Consumed]) -> Iterable[tuple[Any, ...]]:
    for record in fresh:
        event = record.event
        if event is None or type(event.data) in POSTINGS or isinstance(event.data, EventCorrected):
            continue
        said = (event.source, event.id, event.time)
        place = (record.topic_id, record.partition, record.offset, _json(record))
        yield (record.event_key, event.type, topic_key(record), *said, *place, event.by_regulator)


def _json(record: Consumed) -> str:
    """What the reader made of the data: jsonb refuses some of what JSON may hold in fields that nobody reads."""
    assert record.event is not None
    return msgspec.json.encode(record.event.data).decode()


async def _derive(
    connection: Connection,
    advances: Sequence[Advance],
    records: Sequence[Consumed],
    settled: Mapping[int, Journalled],
) -> None:
    """The derived tables, in key order, so that two writers never wait for each other in a circle."""
    steps = _columns((step.topic_id, step.partition, step.old_offset, step.next_offset) for step in advances)
    moments = [record.timestamp_ms for record in records]
    window = [EPOCH + timedelta(milliseconds=moment) for moment in (min(moments), max(moments))]
    await connection.execute(_DERIVE, *steps, *window)
    refresh = sorted(_taken_back(settled.values()))
    if refresh:
        for statement in (_CLEAR, _REFRESH):
            await connection.execute(statement, *_columns(refresh))


def _taken_back(settled: Iterable[Journalled]) -> set[tuple[int, str]]:
    """The lots of which an introduction or a supply was reversed: `_REFRESH` finds their earliest dates again."""
    return {
        (moved.gtin, moved.lot)
        for row in settled
        for moved in (entry.transfer for entry in row.entries if entry.reversal)
        if introduces(moved.debit) or supplies(moved.debit, moved.credit)
    }


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _tally(records: Sequence[Consumed], settled: Mapping[int, Journalled], entries: int) -> Written:
    verdicts = dict.fromkeys(Verdict, 0)
    verdicts[Verdict.RECORDED] = len(records) - len(settled)
    for row in settled.values():
        verdicts[row.verdict] += 1
    return Written(verdicts, entries)
