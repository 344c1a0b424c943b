"""Packs what the journal keeps of a record as rows of PostgreSQL's binary COPY format. Pure.

A row is packed here in a few calls of struct where a driver would look at each of its 22 values by itself. Rows are
made while the batch before is being written: as if the record were new and nothing corrected it, which nearly always
holds; `fold.settle` says which rows have to be packed anew.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.supply.fold import NO_PRODUCT, Entry, Journalled, Verdict
from services.supply.posting import UNNAMED_LOT, Transfer
from services.supply.record import Consumed

JOURNAL_COLUMNS: Final = (
    "gtin topic_id partition kafka_offset seq recorded_at verdict debit credit packs effective_on reversal"
    " event_key said_at chain expires_on period_start cause lot record_key headers value"
).split()  # what is always as long comes first, to be packed in one call
IDENTITY_COLUMNS: Final = "event_key content topic_id partition kafka_offset".split()
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END: Final = b"\xff\xff"

# Every value is its length (32 bits) and its bytes; -1 is null. A row begins with the number of its values.
_NULL: Final = b"\xff\xff\xff\xff"
_size: Final = struct.Struct(">i").pack
_PLACE: Final = ">h iq ih ih iq ih iq"  # number of values, gtin, topic_id, partition, kafka_offset, seq, recorded_at
_VERDICT: Final = " ih"
_TRANSFER: Final = " ih ih iq ii ib"  # debit, credit, packs, effective_on, reversal
_SAID: Final = " i16s iq i32s"  # event_key, said_at, chain
_FIRST: Final = struct.Struct(_PLACE + _VERDICT + _TRANSFER + _SAID)
_FURTHER: Final = struct.Struct(_PLACE + " i" + _TRANSFER)
_STILL: Final = struct.Struct(_PLACE + _VERDICT)
_DAY: Final = struct.Struct(">ii")
_MOMENT: Final = struct.Struct(">iq")
_IDENTITY: Final = struct.Struct(">h i16s i16s ih ih iq")
_COLUMNS: Final = len(JOURNAL_COLUMNS)
_NULL_LENGTH: Final = -1
_NO_TRANSFER: Final = _NULL * 5
_NOTHING_SAID: Final = _NULL * 3
_NO_DATES_NO_CAUSE: Final = _NULL * 3
_NOTHING_RAW: Final = _NULL * 3
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
_EPOCH_MILLISECONDS: Final = 946_684_800_000
_MICROSECOND: Final = timedelta(microseconds=1)


def posted_rows(record: Consumed, moved: Sequence[Transfer]) -> bytes:
    """The rows of a new event that nothing corrects: what nearly every record comes to."""
    if len(moved) == 1:
        return _first(record, Verdict.RECORDED, moved[0])
    return journal_rows(Journalled(record, Verdict.RECORDED, [Entry(transfer) for transfer in moved]))


def journal_rows(row: Journalled) -> bytes:
    """The rows of one record: entry 0 with the raw bytes, further entries with the transfer alone."""
    record = row.record
    if not row.entries:
        return _still(record, row.verdict)
    first, *further = row.entries
    rows = [_first(record, row.verdict, first.transfer, first.reversal, first.cause)]
    rows += [_further(record, seq, entry) for seq, entry in enumerate(further, 1)]
    return b"".join(rows)


def identity_row(record: Consumed) -> bytes:
    """The row of event_ids of a readable record."""
    place = (2, record.topic_id, 2, record.partition, 8, record.offset)
    return _IDENTITY.pack(len(IDENTITY_COLUMNS), 16, record.event_key, 16, record.content, *place)


def _first(
    record: Consumed, verdict: Verdict, moved: Transfer, reversal: bool = False, cause: bytes | None = None
) -> bytes:
    """Entry 0 of an event that moves something."""
    event, lot, raw_key, headers, value = record.event, moved.lot.encode(), record.key, record.headers, record.value
    assert event is not None and value is not None
    debit, credit = (moved.credit, moved.debit) if reversal else (moved.debit, moved.credit)
    fixed = _FIRST.pack(
        *(_COLUMNS, 8, moved.gtin, 2, record.topic_id, 2, record.partition, 8, record.offset, 2, 0),
        *(8, (record.timestamp_ms - _EPOCH_MILLISECONDS) * 1000, 2, verdict),
        *(2, debit, 2, credit, 8, moved.packs, 4, moved.on.toordinal() - _EPOCH_DAY, 1, reversal),
        *(16, record.event_key, 8, (event.time - _EPOCH) // _MICROSECOND, 32, record.chain),
    )
    key = _bytes(raw_key)
    texts = (_size(len(lot)), lot, key, _size(len(headers)), headers, _size(len(value)), value)
    return b"".join((fixed, _dates_and_cause(moved, cause), *texts))


def _further(record: Consumed, seq: int, entry: Entry) -> bytes:
    """A further entry of an event: its transfer alone."""
    moved = entry.transfer
    debit, credit = (moved.credit, moved.debit) if entry.reversal else (moved.debit, moved.credit)
    fixed = _FURTHER.pack(
        *_place(moved.gtin, record, seq),
        _NULL_LENGTH,
        *(2, debit, 2, credit, 8, moved.packs, 4, moved.on.toordinal() - _EPOCH_DAY, 1, entry.reversal),
    )
    lot = _bytes(moved.lot.encode())
    return b"".join((fixed, _NOTHING_SAID, _dates_and_cause(moved, entry.cause), lot, _NOTHING_RAW))


def _still(record: Consumed, verdict: Verdict) -> bytes:
    """Entry 0 of a record that moves nothing."""
    event = record.event
    said_at = _NULL if event is None else _MOMENT.pack(8, (event.time - _EPOCH) // _MICROSECOND)
    said = (_bytes(record.event_key), said_at, _bytes(record.chain))
    raw = (_bytes(record.key), _bytes(record.headers), _bytes(record.value))
    fixed = _STILL.pack(*_place(_product(record), record, 0), 2, verdict)
    return b"".join((fixed, _NO_TRANSFER, *said, _NO_DATES_NO_CAUSE, _bytes(_lot(record).encode()), *raw))


def _place(gtin: int, record: Consumed, seq: int) -> tuple[int, ...]:
    at = (2, record.topic_id, 2, record.partition, 8, record.offset, 2, seq)
    return (_COLUMNS, 8, gtin, *at, 8, (record.timestamp_ms - _EPOCH_MILLISECONDS) * 1000)


def _dates_and_cause(moved: Transfer, cause: bytes | None) -> bytes:
    if moved.expires_on is None and moved.period_start is None and cause is None:
        return _NO_DATES_NO_CAUSE
    return b"".join((_day(moved.expires_on), _day(moved.period_start), _bytes(cause)))


def _day(day: date | None) -> bytes:
    return _NULL if day is None else _DAY.pack(4, day.toordinal() - _EPOCH_DAY)


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _size(len(value)) + value


def _product(record: Consumed) -> int:
    gtin = getattr(record.event and record.event.data, "gtin", None)
    return int(gtin) if isinstance(gtin, str) else NO_PRODUCT


def _lot(record: Consumed) -> str:
    return getattr(record.event and record.event.data, "lot", None) or UNNAMED_LOT
