"""What is kept and told of a refused record: its row, its record on supply.rejected.v1, its JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from services.ingest.inbound import SIZE, Header, Inbound, Refused
from services.ingest.tables import Rejection
from shared import topics
from shared.clock import rfc3339
from shared.errors import Fault
from shared.events.cloudevent import Record

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
REJECTED: Final = "rejected"
INCOMPLETE: Final = "incomplete"
OPEN: Final = "open"
REPLAYED: Final = "replayed"
_LINE_BREAKS: Final = str.maketrans("", "", "\r\n\t")


class Refusal(NamedTuple):
    """A record of a producer's topic, and why it is not taken."""

    producer: str
    record: Inbound
    why: Refused


def pack_headers(headers: Sequence[Header]) -> bytes:
    """As the table holds them."""
    return msgspec.msgpack.encode([(name.encode("utf-8", "surrogateescape"), value) for name, value in headers])


def unpack_headers(packed: bytes) -> list[Header]:
    found = msgspec.msgpack.decode(packed, type=list[tuple[bytes, bytes | None]])
    return [(name.decode("utf-8", "surrogateescape"), value) for name, value in found]


def moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else EPOCH + at_ms * MILLISECOND


def told(refusal: Refusal, now: datetime) -> Record:
    """The record on supply.rejected.v1: the value as it was sent, everything else in headers of our own."""
    producer, record, why = refusal
    taken = moment(record.at)
    headers = {
        "code": why.code.encode(),
        "detail": why.detail.encode(),
        "topic": record.topic.encode(),
        "partition": b"%d" % record.partition,
        "offset": b"%d" % record.offset,
        "recorded_at": None if taken is None else rfc3339(taken).encode(),
        "time": rfc3339(now).encode(),
        "event_id": None if why.event_id is None else why.event_id.encode(),
        "truncated": b"true" if _is_cut(record) else None,
        "raw_key": record.key,
        "raw_headers": msgspec.json.encode([(header_name(name), value) for name, value in record.headers]),
    }
    given = [(name, value) for name, value in headers.items() if value is not None]
    return Record(topics.REJECTED, producer.encode(), record.value, given)


def header_name(name: str) -> bytes:
    """As it was sent."""
    return name.encode("utf-8", "surrogateescape")


def _is_cut(record: Inbound) -> bool:
    return record.fault is not None and record.fault.code == SIZE


def row(refusal: Refusal) -> dict[str, Any]:
    """The columns of a refused record that are not the same for all."""
    producer, record, why = refusal
    return {
        "producer": producer,
        "event_id": why.event_id,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "at": moment(record.at),
        "code": why.code,
        "detail": why.detail,
        "truncated": _is_cut(record),
        "raw_key": record.key,
        "raw_value": record.value,
        "raw_headers": pack_headers(record.headers),
    }


def record_of(row: Rejection) -> Inbound:
    """What was sent, to be judged anew."""
    fault = Fault(None, row.code, row.detail) if row.truncated else None
    at = None if row.at is None else (row.at - EPOCH) // MILLISECOND
    headers = unpack_headers(row.raw_headers)
    place = (row.topic or "", -1 if row.partition is None else row.partition, -1 if row.offset is None else row.offset)
    return Inbound(*place, at, row.raw_key, row.raw_value, headers, fault)


def item(row: Rejection) -> dict[str, Any]:
    """An item of GET /rejections."""
    plain = "id kind producer event_id topic partition offset code detail state truncated".split()
    return {
        **{name: getattr(row, name) for name in plain},
        "received_at": rfc3339(row.received_at),
        "replayed_at": None if row.replayed_at is None else rfc3339(row.replayed_at),
    }


def raw(row: Rejection) -> dict[str, Any]:
    """What was sent, for its producer and for operators."""
    headers = [
        {"name": _shown(header_name(name)), "value": None if value is None else _shown(value)}
        for name, value in unpack_headers(row.raw_headers)
    ]
    return {
        "key": None if row.raw_key is None else _shown(row.raw_key),
        "value": None if row.raw_value is None else _shown(row.raw_value),
        "headers": headers,
        "recorded_at": None if row.at is None else rfc3339(row.at),
    }


def _shown(raw: bytes) -> dict[str, str | None]:
    """{"base64", "text"}: the text only where all of it can be printed."""
    return {"base64": base64.b64encode(raw).decode(), "text": printed(raw)}


def printed(raw: bytes) -> str | None:
    """The text that `raw` is; None where it is none, or holds what a reader would not see."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if text.translate(_LINE_BREAKS).isprintable() else None
