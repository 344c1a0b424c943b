"""Checks that every column of the journal follows from the raw bytes: the records are read and folded anew.

Entries depend on what was recorded before. Corrections lie in their original's partition, so that the order of that
partition decides. Records of one event may lie in several partitions, whose common order of recording is not kept:
there it is checked that exactly one of them stands as recorded, those of equal content as duplicates, others as
conflicts, and that within a partition nothing of the event comes before the recorded one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import groupby, product
from operator import itemgetter
from typing import Any, Final

import msgspec

from services.supply.correction import MAX_DEPTH, Correction
from services.supply.findings import Findings, Row, Span, at
from services.supply.fold import (
    NO_PRODUCT,
    Journalled,
    Known,
    Verdict,
    correction_in,
    fold,
    original_in,
    target_key,
)
from services.supply.posting import UNNAMED_LOT
from services.supply.record import Consumed, Header, pack_headers, read
from services.supply.scratch import Scratch, Seen
from shared.events import reader
from shared.events.reader import EventCorrected

RECORDS_A_BATCH: Final = 500
MAX_STEPS: Final = MAX_DEPTH + 1
MAX_NAMES: Final = 64
MAX_SHOWN: Final = 60
_U32: Final = struct.Struct(">I")
_NULL: Final = 0xFFFFFFFF
_CHECKED: Final = (
    "gtin lot recorded_at verdict debit credit packs effective_on reversal expires_on period_start cause event_key"
    " said_at record_key headers value chain"
).split()
_RAW: Final = ("record_key", "headers", "value", "chain")


class Taken(msgspec.Struct):
    """One record of the journal: its rows, and what its raw bytes hold (`keys`: the event keys it may stand under)."""

    row: Row
    rows: Sequence[Row]
    consumed: Consumed
    keys: frozenset[bytes | None]

    @property
    def recorded(self) -> bool:
        return self.consumed.event is not None and self.row.verdict == Verdict.RECORDED


class EntriesCheck:
    """All records, one after the other; findings go to `found`."""

    def __init__(self, scratch: Scratch, found: Findings) -> None:
        self._scratch = scratch
        self._found = found
        self._batch: list[Taken] = []

    def take(self, raw: Row, rows: Sequence[Row]) -> None:
        """The rows of one record, `raw` being its entry 0."""
        taken = read_again(raw, rows)
        if taken is None:
            self._found.add("changed", "its headers are not what a record's headers are kept as", at(raw))
            return
        self._batch.append(taken)
        if len(self._batch) == RECORDS_A_BATCH:
            self._check()

    def end(self) -> None:
        """After the last record: the events that were told more than once."""
        self._check()
        for _, told in groupby(self._scratch.not_alone(), itemgetter(0)):
            _check_event([_Told(*row[1:]) for row in told], self._found)

    def _check(self) -> None:
        batch, self._batch = self._batch, []
        recorded = [taken.consumed for taken in batch if taken.recorded]
        known = self._known(recorded)
        folded = {id(row.record): row for row in fold(recorded, known)}
        self._scratch.add_events(_seen(taken) for taken in batch if taken.consumed.event is not None)
        for taken in batch:
            _compare(taken, folded.get(id(taken.consumed)), self._found)

    def _known(self, records: Sequence[Consumed]) -> Known:
        """What the ledger knew of the corrections around these records, in bounded steps; see known_events.load."""
        here = [found for found in map(correction_in, records) if found is not None]
        keys = {record.event_key for record in records if record.event_key is not None}
        targets = {found.target for found in here}
        family: dict[bytes, Correction] = {}
        self._climb("key", targets, family, lambda correction: correction.target)
        above = {*keys, *targets, *family, *(correction.target for correction in family.values())}
        self._climb("target", above, family, lambda correction: correction.key)
        roots = {found.target for found in (*family.values(), *here)} - family.keys()
        originals = [_consumed_again(seen) for seen in self._scratch.recorded("key", roots) if seen.target is None]
        return Known({}, map(original_in, originals), family.values())

    def _climb(self, column: str, keys: set[bytes], family: dict[bytes, Correction], following: Any) -> None:
        for _ in range(MAX_STEPS):
            seen = (item for item in self._scratch.recorded(column, keys) if item.target and item.key not in family)
            fresh = [found for found in map(correction_in, map(_consumed_again, seen)) if found is not None]
            if not fresh:
                return
            family.update((correction.key, correction) for correction in fresh)
            keys = {following(correction) for correction in fresh}


def read_again(raw: Row, rows: Sequence[Row]) -> Taken | None:
    """A record from its raw bytes alone; None where the headers are not as they are kept."""
    headers = kept_headers(raw.headers)
    if headers is None:
        return None
    event, content, key = None, None, None
    try:
        event = read(raw.record_key, headers, raw.value)  # type: ignore[arg-type]  # as Kafka delivers them: some null
    except reader.Unreadable:
        keys = claimed_keys(headers)
    else:
        content, key = reader.content_hash(event), reader.event_key(event.source, event.id)
        keys = frozenset({key})
    place = (raw.topic_id, raw.partition, raw.kafka_offset)
    assert raw.headers is not None
    consumed = Consumed(*place, 0, raw.record_key, raw.headers, raw.value, b"", event, key, content)
    return Taken(raw, rows, consumed, keys)


def kept_headers(packed: bytes | None) -> list[Header] | None:
    """The headers that record.pack_headers packed, null ones as null; None for anything else."""
    found: list[Header] = []
    try:
        (count,) = _U32.unpack_from(packed or b"")
        at = 4
        for _ in range(count):
            name, at = _part(packed or b"", at)
            value, at = _part(packed or b"", at)
            found.append(((name or b"").decode("utf-8", "surrogateescape"), value))
    except (struct.error, UnicodeDecodeError):
        return None
    return found if pack_headers(found) == packed else None


def _part(packed: bytes, at: int) -> tuple[bytes | None, int]:
    (length,) = _U32.unpack_from(packed, at)
    at += 4
    return (None, at) if length == _NULL else (packed[at : at + length], at + length)


def claimed_keys(headers: Sequence[Header]) -> frozenset[bytes | None]:
    """The event keys that an unreadable record may stand under: of a header that stands twice the last one counted,
    which the sorted headers no longer tell."""
    named = [
        [_text(value) for name, value in headers if name == wanted][:MAX_NAMES] for wanted in ("ce_source", "ce_id")
    ]
    pairs = product(*(values or [None] for values in named))
    return frozenset(reader.event_key(source, id_) if source and id_ else None for source, id_ in pairs)


def _text(value: bytes | None) -> str | None:
    """None where it is not UTF-8: then nothing is named."""
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        return None


def _seen(taken: Taken) -> Seen:
    record, verdict = taken.consumed, taken.row.verdict
    assert record.event is not None and record.event_key is not None and record.content is not None
    data = record.event.data
    target = target_key(data) if isinstance(data, EventCorrected) else None
    raw = (record.key, record.headers, record.value) if taken.recorded else (None, None, None)
    place = (record.topic_id, record.partition, record.offset)
    return Seen(record.event_key, record.content, *place, -1 if verdict is None else verdict, target, *raw)


def _consumed_again(seen: Seen) -> Consumed:
    event = reader.read(kept_headers(seen.headers) or [], seen.value)  # type: ignore[arg-type]
    place = (seen.topic_id, seen.partition, seen.kafka_offset)
    return Consumed(*place, 0, seen.record_key, seen.headers or b"", seen.value, b"", event, seen.key, seen.content)


def _compare(taken: Taken, folded: Journalled | None, found: Findings) -> None:
    """Every row of a record with what its raw bytes come to."""
    place = at(taken.row)
    if taken.consumed.event is None and taken.row.verdict != Verdict.UNREADABLE:
        found.add("changed", f"verdict: nobody can read the record, but it stands as {taken.row.verdict}", place)
    elif taken.consumed.event is not None and taken.row.verdict not in (0, 1, 2):
        found.add("changed", f"verdict: the record can be read, but it stands as {taken.row.verdict}", place)
    expected = expected_rows(taken, folded)
    left = [row for row in taken.rows if row is taken.row or row.seq != 0]
    for seq, wanted in enumerate(expected):
        row = taken.row if seq == 0 else _best(left, seq, wanted)
        if row is None:
            found.add("missing", f"entry {seq} of the record is not there", place)
            continue
        left = [other for other in left if other is not row]
        keys = taken.keys if seq == 0 else frozenset({None})
        wrong = _differing(row, wanted, keys)
        if wrong:
            given = {"event_key": next(iter(keys)), **wanted}
            told = (f"{name} is {_shown(getattr(row, name))}, not {_shown(given[name])}" for name in wrong)
            found.add("changed", f"entry {seq} is not what its bytes give: {'; '.join(told)}", place)
    for row in left:
        found.add("inserted", f"entry {row.seq}: the record's bytes give no such entry", place)


def _shown(value: Any) -> str:
    """A value of a column in few characters."""
    text = value.hex() if isinstance(value, bytes) else "null" if value is None else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _best(rows: Sequence[Row], seq: int, wanted: dict[str, Any]) -> Row | None:
    """Of several entries with one number the one that is as expected."""
    same = [row for row in rows if row.seq == seq]
    return next((row for row in same if not _differing(row, wanted, frozenset({None}))), same[0] if same else None)


def _differing(row: Row, wanted: dict[str, Any], keys: frozenset[bytes | None]) -> list[str]:
    names = [name for name in wanted if getattr(row, name) != wanted[name]]
    if "said_at" in names and _same_moment(row.said_at, wanted["said_at"]):
        names.remove("said_at")
    if "recorded_at" in names and _same_moment(row.recorded_at, wanted["recorded_at"]):
        names.remove("recorded_at")
    return names if row.event_key in keys else [*names, "event_key"]


def _same_moment(text: str | None, wanted: datetime | str | None) -> bool:
    """PostgreSQL and Python write the same moment in several ways."""
    if text is None or wanted is None:
        return text == wanted
    try:
        return datetime.fromisoformat(text) == (datetime.fromisoformat(wanted) if isinstance(wanted, str) else wanted)
    except (ValueError, TypeError):
        return False


def expected_rows(taken: Taken, folded: Journalled | None) -> list[dict[str, Any]]:
    """The columns that follow from the raw bytes, row by row (event_key apart: see Taken.keys)."""
    event = taken.consumed.event
    first = {"said_at": None if event is None else event.time}
    entries = () if folded is None else folded.entries
    if not entries:
        data = None if event is None else event.data
        gtin, lot = getattr(data, "gtin", None), getattr(data, "lot", None)
        product_of = int(gtin) if isinstance(gtin, str) else NO_PRODUCT
        return [{"gtin": product_of, "lot": lot or UNNAMED_LOT, **_NOTHING_MOVED, **first}]
    rows = []
    for seq, entry in enumerate(entries):
        moved = entry.transfer
        debit, credit = (moved.credit, moved.debit) if entry.reversal else (moved.debit, moved.credit)
        row: dict[str, Any] = {
            "gtin": moved.gtin,
            "lot": moved.lot,
            "debit": debit,
            "credit": credit,
            "packs": moved.packs,
            "effective_on": moved.on.isoformat(),
            "reversal": entry.reversal,
            "expires_on": _day(moved.expires_on),
            "period_start": _day(moved.period_start),
            "cause": entry.cause,
        }
        rest = {"recorded_at": taken.row.recorded_at, "verdict": None, "said_at": None, **dict.fromkeys(_RAW)}
        rows.append(row | (first if seq == 0 else rest))
    return rows


_NOTHING_MOVED: Final = dict.fromkeys(
    ("debit", "credit", "packs", "effective_on", "reversal", "expires_on", "period_start", "cause")
)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


class _Told(msgspec.Struct):
    """A record of an event that was told more than once."""

    content: bytes
    topic_id: int
    partition: int
    offset: int
    verdict: int

    @property
    def span(self) -> Span:
        return Span(self.topic_id, self.partition, self.offset, self.offset)


def _check_event(told: Sequence[_Told], found: Findings) -> None:
    """The records of one event, in the order of their places."""
    recorded = [item for item in told if item.verdict == Verdict.RECORDED]
    firsts = list(_firsts(told))
    if not recorded:
        detail = "verdict: none of the records of this event stands as recorded"
        found.add("changed", detail, *(item.span for item in firsts))
        return
    if len(recorded) > 1:
        others = [item for item in recorded if item not in firsts] or recorded
        found.add("changed", "verdict: several records of one event stand as recorded", *(item.span for item in others))
        return
    (first,) = recorded
    if first not in firsts:
        detail = "verdict: the first record of an event is the one that stands, this one is later"
        before = next(item for item in firsts if (item.topic_id, item.partition) == (first.topic_id, first.partition))
        found.add("changed", detail, first.span, before.span)
    for item in told:
        expected = Verdict.DUPLICATE if item.content == first.content else Verdict.CONFLICT
        if item is not first and item.verdict in (1, 2) and item.verdict != expected:
            found.add("changed", f"verdict: it stands as {item.verdict}, its content gives {expected.value}", item.span)


def _firsts(told: Sequence[_Told]) -> Iterator[_Told]:
    """The first of each partition."""
    for _, items in groupby(told, lambda item: (item.topic_id, item.partition)):
        yield next(items)
