"""Journals as they are exported, made from what the fold decides; and signed heads of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from services.supply.evidence import Examination
from services.supply.findings import End, Head, Report, Row
from services.supply.fold import Journalled
from services.supply.record import CHAIN_START, Consumed
from tests.reference import JSON
from tests.supply_given import message
from tests.unit.supply_ledger import DictLedger, claim, decoded

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def journal(*partitions: Sequence[JSON], ledger: DictLedger | None = None) -> list[Row]:
    """The rows of a ledger whose partitions (0, 1, …) hold these events, recorded partition after partition."""
    book = ledger or DictLedger()
    for number, events in enumerate(partitions):
        messages = [
            message(told, offset, partition=number, timestamp=1_767_600_000_000 + offset * 1_000 + number)
            for offset, told in enumerate(events)
        ]
        held = claim(number)
        for start in range(0, len(messages), 7):
            book.write(decoded(messages[start : start + 7], held))
    return in_order(row for record in book.journal for row in rows_of(record))


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.topic_id, row.partition, row.kafka_offset, row.seq, row.gtin, row.lot))


def rows_of(journalled: Journalled) -> list[Row]:
    """As the writer stores them."""
    record = journalled.record
    raw = raw_of(record)
    data: Any = None if record.event is None else record.event.data
    if not journalled.entries:
        gtin, lot = getattr(data, "gtin", None) or 0, getattr(data, "lot", None) or ""
        return [Row(*place_of(record), 0, int(gtin), lot, moment_of(record), journalled.verdict, *(None,) * 8, *raw)]
    rows = []
    for seq, entry in enumerate(journalled.entries):
        moved = entry.transfer
        ends = (moved.credit, moved.debit) if entry.reversal else (moved.debit, moved.credit)
        days = (_text(moved.expires_on), _text(moved.period_start))
        about = (*ends, moved.packs, _text(moved.on), entry.reversal, *days, entry.cause)
        first = (journalled.verdict, *about, *raw) if seq == 0 else (None, *about, *(None,) * 6)
        rows.append(Row(*place_of(record), seq, moved.gtin, moved.lot, moment_of(record), *first))
    return rows


def place_of(record: Consumed) -> tuple[int, int, int]:
    return record.topic_id, record.partition, record.offset


def moment_of(record: Consumed) -> str:
    """As PostgreSQL writes it."""
    text = (EPOCH + timedelta(milliseconds=record.timestamp_ms)).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{text.rstrip('0').rstrip('.')}+00"


def raw_of(record: Consumed) -> tuple[Any, ...]:
    said = None if record.event is None else f"{record.event.time:%Y-%m-%d %H:%M:%S}+00"
    return record.event_key, said, record.key, record.headers, record.value, record.chain


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def ends_of(rows: Iterable[Row]) -> list[End]:
    """The positions of a ledger with these rows."""
    last = {(row.topic_id, row.partition): row for row in rows if row.chain is not None}
    return [End(*place, row.kafka_offset + 1, row.chain or CHAIN_START) for place, row in last.items()]


def heads_of(rows: Sequence[Row], *offsets: int) -> list[Head]:
    """Checkpoints 1, 2, … that were signed when every partition stood at these offsets (or at its end)."""
    found = []
    for n, offset in enumerate(offsets, 1):
        for end in ends_of(row for row in rows if row.kafka_offset < offset):
            found.append(Head(end.topic_id, end.partition, end.next_offset, end.chain, n))
    return found


def examined(rows: Iterable[Row], ends: Iterable[End], heads: Iterable[Head] = ()) -> Report:
    with Examination(ends, heads) as examination:
        for row in in_order(rows):
            examination.take(row)
        return examination.end()


def changed(row: Row, **told: Any) -> Row:
    return msgspec.structs.replace(row, **told)
