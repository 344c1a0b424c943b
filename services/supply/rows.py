"""Packs what the journal keeps of a record as rows of PostgreSQL's binary COPY format. Pure.

A row is packed here in a few calls of struct where a driver would look at each of its 22 values by itself. Rows are
made while the batch before is being written: as if the record were new and nothing corrected it, which nearly always
holds; `fold.settle` says which rows have to be packed anew.
"""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.supply.fold import NO_PRODUCT, Entry, Journalled, Verdict
from services.supply.posting import UNNAMED_LOT
from services.supply.record import Consumed

JOURNAL_COLUMNS: Final = (
    "gtin topic_id partition kafka_offset seq lot recorded_at verdict debit credit packs effective_on reversal"
    " expires_on period_start cause event_key said_at record_key headers value chain"
).split()
IDENTITY_COLUMNS: Final = "event_key content topic_id partition kafka_offset".split()
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END: Final = b"\xff\xff"

# Every value is its length (32 bits) and its bytes; -1 is null. A row begins with the number of its values.
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct(">i")
_PLACE: Final = struct.Struct(">h iq ih ih iq ih i")  # gtin, topic_id, partition, kafka_offset, seq, length of lot
_MOVED: Final = struct.Struct(">iq ih ih ih iq ii ib")  # recorded_at, verdict, debit, credit, packs, effective_on, …
_STILL: Final = struct.Struct(">iq ih")  # recorded_at, verdict
_DAY: Final = struct.Struct(">ii")
_MOMENT: Final = struct.Struct(">iq")
_IDENTITY: Final = struct.Struct(">h i16s i16s ih ih iq")
_NOTHING_MOVED: Final = _NULL * 8
_NOTHING_RAW: Final = _NULL * 6
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
_EPOCH_MILLISECONDS: Final = 946_684_800_000
_MICROSECOND: Final = timedelta(microseconds=1)


def journal_rows(row: Journalled) -> bytes:
    """The rows of one record: entry 0 with the raw bytes, further entries with the transfer alone."""
    record = row.record
    if not row.entries:
        place = _place(_product(record), record, 0, _lot(record))
        still = _STILL.pack(8, _recorded_at(record), 2, row.verdict)
        return b"".join((place, still, _NOTHING_MOVED, _raw(record)))
    parts = []
    for seq, entry in enumerate(row.entries):
        moved = entry.transfer
        parts.append(_place(moved.gtin, record, seq, moved.lot))
        parts.append(_moved(entry, record, row.verdict if seq == 0 else None))
        parts.append(_raw(record) if seq == 0 else _NOTHING_RAW)
    return b"".join(parts)


def identity_row(record: Consumed) -> bytes:
    """The row of event_ids of a readable record."""
    place = (2, record.topic_id, 2, record.partition, 8, record.offset)
    return _IDENTITY.pack(len(IDENTITY_COLUMNS), 16, record.event_key, 16, record.content, *place)


def _place(gtin: int, record: Consumed, seq: int, lot: str) -> bytes:
    named = lot.encode()
    at = (2, record.topic_id, 2, record.partition, 8, record.offset, 2, seq)
    return _PLACE.pack(len(JOURNAL_COLUMNS), 8, gtin, *at, len(named)) + named


def _moved(entry: Entry, record: Consumed, verdict: Verdict | None) -> bytes:
    moved = entry.transfer
    debit, credit = (moved.credit, moved.debit) if entry.reversal else (moved.debit, moved.credit)
    about = (2, debit, 2, credit, 8, moved.packs, 4, moved.on.toordinal() - _EPOCH_DAY, 1, entry.reversal)
    head = _MOVED.pack(8, _recorded_at(record), 2, verdict or 0, *about)
    if verdict is None:
        head = head[: _MOMENT.size] + _NULL + head[_STILL.size :]
    return b"".join((head, _day(moved.expires_on), _day(moved.period_start), _bytes(entry.cause)))


def _raw(record: Consumed) -> bytes:
    key, said = record.event_key, record.event
    moment = _NULL if said is None else _MOMENT.pack(8, (said.time - _EPOCH) // _MICROSECOND)
    parts = (_bytes(key), moment, _bytes(record.key), _bytes(record.headers), _bytes(record.value))
    return b"".join((*parts, _bytes(record.chain)))


def _recorded_at(record: Consumed) -> int:
    return (record.timestamp_ms - _EPOCH_MILLISECONDS) * 1000


def _day(day: date | None) -> bytes:
    return _NULL if day is None else _DAY.pack(4, day.toordinal() - _EPOCH_DAY)


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def _product(record: Consumed) -> int:
    gtin = getattr(record.event and record.event.data, "gtin", None)
    return int(gtin) if isinstance(gtin, str) else NO_PRODUCT


def _lot(record: Consumed) -> str:
    return getattr(record.event and record.event.data, "lot", None) or UNNAMED_LOT
