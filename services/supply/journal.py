"""Writes the ledger: one batch, one transaction. The only module that writes journal, lots, flows and positions.

A transaction begins by moving the positions on, which only the holder of the newest epoch can; then it looks up what
is already known, lets `fold` decide, and writes what was decided. Whoever reads sees all of a batch or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from services.supply import known_events
from services.supply.fold import (
    NO_PRODUCT,
    Journalled,
    LotChange,
    LotKey,
    Sums,
    Verdict,
    correction_in,
    fold,
    sums,
    topic_key,
)
from services.supply.places import NAMES, PLACES
from services.supply.posting import POSTINGS, UNNAMED_LOT
from services.supply.record import Consumed
from shared.events.reader import EventCorrected

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
YIELD_EVERY_ROWS: Final = 1_000
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_ADVANCE = """
UPDATE positions SET next_offset = $5, chain = $6
WHERE topic_id = $1 AND partition = $2 AND epoch = $3 AND next_offset = $4
"""
_JOURNAL = (
    "gtin lot topic_id partition kafka_offset seq recorded_at verdict debit credit packs effective_on reversal"
    " expires_on period_start cause event_key said_at record_key headers value chain"
).split()
_EVENT_IDS = "event_key content topic_id partition kafka_offset".split()
_CORRECTIONS = "event_key target source id time topic_id partition kafka_offset data".split()
_FACTS = "event_key type key source id time topic_id partition kafka_offset data".split()

_LOT_TYPES = ["bigint", "text", *["bigint"] * 12, "date", "date", "date"]
_LOT_COLUMNS = ["gtin", "lot", *NAMES, "produced_count", "imported_count", "introduced_on", "expires_on", "supplied_on"]
_LOTS = f"""
INSERT INTO lots AS held ({", ".join(_LOT_COLUMNS)})
SELECT * FROM unnest({", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_LOT_TYPES, 1))})
ON CONFLICT (gtin, lot) DO UPDATE SET
    {", ".join(f"{name} = held.{name} + excluded.{name}" for name in [*NAMES, "produced_count", "imported_count"])},
    {", ".join(f"{name} = least(held.{name}, excluded.{name})" for name in _LOT_COLUMNS[-3:])}
"""
_FLOWS = """
INSERT INTO flows AS held (gtin, lot, effective_on, debit, credit, packs)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::date[], $4::smallint[], $5::smallint[], $6::bigint[])
ON CONFLICT (gtin, lot, effective_on, debit, credit) DO UPDATE SET packs = held.packs + excluded.packs
"""
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
    """What a batch came to: records by verdict, and entries."""

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
                await _advance(connection, advances)
                known = await known_events.load(connection, records)
                journalled = fold(records, known)
                await _insert(connection, journalled)
                await _derive(connection, sums(journalled))
        return _tally(journalled)

    async def _ensure_months(self, connection: Connection, records: Sequence[Consumed]) -> None:
        """Makes the journal's part of each month that the batch reaches into."""
        for instant in {record.timestamp_ms // 86_400_000 for record in records}:
            day = EPOCH + timedelta(days=instant)
            if (day.year, day.month) not in self._months:
                await connection.execute(_month_part(day))
                self._months.add((day.year, day.month))


def _month_part(day: datetime) -> str:
    """DDL that is harmless when two instances run it at once: one lock for all of them."""
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    name = f"journal_{day:%Y_%m}"
    return (
        "DO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtext('journal_parts'));"
        f" CREATE TABLE IF NOT EXISTS {name} PARTITION OF journal"
        f" FOR VALUES FROM ('{day:%Y-%m}-01 00:00:00+00') TO ('{following:%Y-%m}-01 00:00:00+00'); END $$"
    )


async def _advance(connection: Connection, advances: Sequence[Advance]) -> None:
    """In partition order, so that two writers never wait for each other in a circle."""
    for step in sorted(advances, key=lambda step: (step.topic_id, step.partition)):
        status = await connection.execute(
            _ADVANCE, step.topic_id, step.partition, step.epoch, step.old_offset, step.next_offset, step.chain
        )
        if status != "UPDATE 1":
            raise NotOwner(f"partition {step.partition} of topic {step.topic_id} at {step.old_offset}")


async def _insert(connection: Connection, journalled: Sequence[Journalled]) -> None:
    """The insert-only tables, by COPY."""
    rows: list[tuple[Any, ...]] = []
    for number, row in enumerate(journalled, 1):
        _journal_rows(row, rows)
        if number % YIELD_EVERY_ROWS == 0:
            await asyncio.sleep(0)
    await connection.copy_records_to_table("journal", records=rows, columns=_JOURNAL)
    fresh = [row.record for row in journalled if row.verdict == Verdict.RECORDED]
    identities = ((r.event_key, r.content, r.topic_id, r.partition, r.offset) for r in fresh)
    await connection.copy_records_to_table("event_ids", records=identities, columns=_EVENT_IDS)
    if corrections := list(_correction_rows(fresh)):
        await connection.copy_records_to_table("corrections", records=corrections, columns=_CORRECTIONS)
    if facts := list(_fact_rows(fresh)):
        await connection.copy_records_to_table("facts", records=facts, columns=_FACTS)


def _journal_rows(row: Journalled, rows: list[tuple[Any, ...]]) -> None:
    """Appends the rows of one record: entry 0 with the raw bytes, further entries with the transfer alone."""
    record = row.record
    recorded_at = EPOCH + timedelta(milliseconds=record.timestamp_ms)
    place = (record.topic_id, record.partition, record.offset)
    said_at = None if record.event is None else record.event.time
    raw = (record.event_key, said_at, record.key, record.headers, record.value, record.chain)
    if not row.entries:
        nothing = (None,) * 8
        rows.append((_product(record), _lot(record), *place, 0, recorded_at, int(row.verdict), *nothing, *raw))
        return
    for seq, entry in enumerate(row.entries):
        moved = entry.transfer
        ends = (moved.credit, moved.debit) if entry.reversal else (moved.debit, moved.credit)
        about = (moved.packs, moved.on, entry.reversal, moved.expires_on, moved.period_start, entry.cause)
        verdict, kept = (int(row.verdict), raw) if seq == 0 else (None, (None,) * len(raw))
        rows.append((moved.gtin, moved.lot, *place, seq, recorded_at, verdict, *ends, *about, *kept))


def _product(record: Consumed) -> int:
    gtin = getattr(record.event and record.event.data, "gtin", None)
    return int(gtin) if isinstance(gtin, str) else NO_PRODUCT


def _lot(record: Consumed) -> str:
    return getattr(record.event and record.event.data, "lot", None) or UNNAMED_LOT


def _correction_rows(fresh: Iterable[Consumed]) -> Iterable[tuple[Any, ...]]:
    for record in fresh:
        found = correction_in(record)
        if found is not None:
            place = (record.topic_id, record.partition, record.offset, _json(record))
            yield (found.key, found.target, found.source, found.id, found.time, *place)


def _fact_rows(fresh: Iterable[Consumed]) -> Iterable[tuple[Any, ...]]:
    for record in fresh:
        event = record.event
        if event is None or type(event.data) in POSTINGS or isinstance(event.data, EventCorrected):
            continue
        place = (record.topic_id, record.partition, record.offset, _json(record))
        yield (record.event_key, event.type, topic_key(record), event.source, event.id, event.time, *place)


def _json(record: Consumed) -> str:
    """What the reader made of the data: jsonb refuses some of what JSON may hold in fields that nobody reads."""
    assert record.event is not None
    return msgspec.json.encode(record.event.data).decode()


async def _derive(connection: Connection, added: Sums) -> None:
    """The derived tables, in key order, so that two writers never wait for each other in a circle."""
    if added.lots:
        lots = sorted(added.lots.items())
        await connection.execute(_LOTS, *_columns(_lot_row(key, change) for key, change in lots))
        refresh = [key for key, change in lots if change.refresh]
        if refresh:
            for statement in (_CLEAR, _REFRESH):
                await connection.execute(statement, *_columns(refresh))
    flows = sorted((*key, packs) for key, packs in added.flows.items())
    if flows:
        await connection.execute(_FLOWS, *_columns(flows))


def _lot_row(key: LotKey, change: LotChange) -> tuple[Any, ...]:
    places = [change.packs[place] for place in PLACES]
    counts = (change.produced_count, change.imported_count)
    return (*key, *places, *counts, change.introduced_on, change.expires_on, change.supplied_on)


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _tally(journalled: Iterable[Journalled]) -> Written:
    verdicts = dict.fromkeys(Verdict, 0)
    entries = 0
    for row in journalled:
        verdicts[row.verdict] += 1
        entries += len(row.entries)
    return Written(verdicts, entries)
