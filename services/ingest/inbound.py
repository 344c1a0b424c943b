"""Decides what a record of a producer's own topic says: an event, an EPCIS document, or why it is refused. Pure.

Whatever the bytes are, there is an answer: nothing that a producer can send raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn

from services.ingest.intake import MEDIA_TYPE
from services.ingest.judgement import judge, sent_on
from services.ingest.record_batch import header_bytes
from shared.errors import Fault, Invalid
from shared.events import cloudevent
from shared.events.cloudevent import BINARY, KAFKA_PREFIX, STRUCTURED, CloudEvent, Record
from shared.events.corrections import EVENT_ID_BYTES
from shared.json_input import loads
from shared.keys import Principal

# What is taken, and what is kept of a record that is larger.
MAX_VALUE_BYTES: Final = 1024 * 1024
MAX_KEY_BYTES: Final = 64 * 1024
MAX_HEADERS_BYTES: Final = 64 * 1024

DETAIL_CHARACTERS: Final = 1_000
SIZE: Final = "size"
ENCODING: Final = "encoding"
NO_VALUE: Final = "no_value"
UNKNOWN_PRODUCER: Final = "unknown_producer"
DUPLICATE_HEADER: Final = "duplicate_header"

CONTENT_TYPE: Final = "content-type"
_CLOUDEVENTS: Final = "application/cloudevents"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Header = tuple[str, bytes | None]


class Inbound(NamedTuple):
    """A record as its producer sent it, cut to what we keep of one.

    `at` is when Kafka took it, in milliseconds of the Unix epoch. What is not UTF-8 in the name of a header stands
    there as lone surrogates (surrogateescape), so that nothing is lost. `fault` is what the reading itself found.
    """

    topic: str
    partition: int
    offset: int
    at: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The record says this event, and someone of these roles has said it."""

    event: CloudEvent
    roles: frozenset[str]

    def record(self) -> Record:
        """What is sent on."""
        return sent_on(self.event, self.roles)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the record is not taken: the code of the first fault, and every fault in words."""

    code: str
    detail: str
    event_id: str | None = None


UNKNOWN: Final = Refused(UNKNOWN_PRODUCER, "no producer with a valid key has this topic")


@dataclass(frozen=True, slots=True)
class Document:
    """The record holds this JSON, an EPCIS document, event or list of events, of which nothing more is known yet."""

    content: Any


def cut(record: Inbound, value_bytes: int | None = None) -> Inbound:
    """`record` with no more of it than we keep, and the fault `size` if it had more.

    `value_bytes` is the size of a value that has been cut already.
    """
    headers_bytes = 0
    for name, value in record.headers:
        headers_bytes += header_bytes(name, value)
    sizes = (
        ("value", len(record.value or b"") if value_bytes is None else value_bytes, MAX_VALUE_BYTES),
        ("key", len(record.key or b""), MAX_KEY_BYTES),
        ("headers", headers_bytes, MAX_HEADERS_BYTES),
    )
    over = [f"{part}: {size} bytes, {limit} are taken" for part, size, limit in sizes if size > limit]
    if not over:
        return record
    return record._replace(
        value=None if record.value is None else record.value[:MAX_VALUE_BYTES],
        key=None if record.key is None else record.key[:MAX_KEY_BYTES],
        headers=_first(record.headers, MAX_HEADERS_BYTES),
        fault=Fault(None, SIZE, "; ".join(over)),
    )


def _first(headers: Sequence[Header], limit_bytes: int) -> list[Header]:
    """As many of the headers as fit into the limit, whole."""
    kept: list[Header] = []
    for name, value in headers:
        limit_bytes -= header_bytes(name, value)
        if limit_bytes < 0:
            break
        kept.append((name, value))
    return kept


def read(record: Inbound, sender: Principal | None, now: datetime, ahead: timedelta) -> Accepted | Refused | Document:
    """What `record` says; `sender` is the producer that its topic belongs to, None if there is none (any more)."""
    try:
        if sender is None:
            return UNKNOWN
        return _read(record, sender, now, ahead)
    except Invalid as error:
        return refused(error.faults)


def _read(record: Inbound, sender: Principal, now: datetime, ahead: timedelta) -> Accepted | Document:
    if record.fault is not None:
        raise Invalid([record.fault])
    if record.value is None:
        _refuse(NO_VALUE, "the record has no value")
    headers = _texts(record.headers)
    content_type = headers.get(CONTENT_TYPE, BINARY)
    form = cloudevent.media_type(content_type)
    if form == STRUCTURED:
        said = cloudevent.from_structured(loads(record.value))
    elif form.startswith(_CLOUDEVENTS) or not cloudevent.is_json(content_type):
        _refuse(MEDIA_TYPE, f"send {STRUCTURED}, or {BINARY} with ce_* headers; one event a record", CONTENT_TYPE)
    elif any(name.startswith(KAFKA_PREFIX) for name in headers):
        said = cloudevent.from_kafka_binary(headers, record.value)
    else:
        content = loads(record.value)
        if is_document(content):
            return Document(content)
        said = cloudevent.from_structured(content)
    return Accepted(judge(said, sender, now, ahead), sender.roles)


def is_document(content: Any) -> bool:
    """Whether JSON that came without a word of CloudEvents is meant to be EPCIS: it has a context, or is a list."""
    return isinstance(content, list) or (isinstance(content, dict) and "@context" in content)


def _texts(headers: Iterable[Header]) -> dict[str, str]:
    """The headers that have a value, names in small letters. Raises Invalid."""
    found: dict[str, str] = {}
    for name, value in headers:
        if not name.isascii() and _escaped(name):
            _refuse(ENCODING, "the name of a header is not UTF-8")
        if value is None:
            continue
        lower = name.lower()
        if lower in found and (lower == CONTENT_TYPE or lower.startswith(KAFKA_PREFIX)):
            _refuse(DUPLICATE_HEADER, f"the header {lower[:80]} stands twice")
        try:
            found[lower] = value.decode()
        except UnicodeDecodeError:
            _refuse(ENCODING, f"the header {lower[:80]} is not UTF-8")
    return found


def _escaped(name: str) -> bool:
    """Whether it holds bytes that are not UTF-8, as Inbound has them."""
    return any("\ud800" <= character <= "\udfff" for character in name)


def _refuse(code: str, detail: str, field: str | None = None) -> NoReturn:
    raise Invalid([Fault(field, code, detail)])


def refused(faults: Sequence[Fault]) -> Refused:
    """One code and one text for `faults`, of which there is at least one."""
    told: list[str] = []
    length = 0
    for fault in faults:
        line = f"{fault.field[:200]}: {fault.detail}" if fault.field else fault.detail
        length += len(line) + 2
        if length > DETAIL_CHARACTERS and told:
            told.append(f"and {len(faults) - len(told)} more")
            break
        told.append(line)
    text = "; ".join(told)[: DETAIL_CHARACTERS + 100]
    return Refused(faults[0].code, "".join(c if c.isprintable() else "\ufffd" for c in text), _id(faults))


def _id(faults: Sequence[Fault]) -> str | None:
    """The event's id, if it is one that can be looked for."""
    id = next((fault.id for fault in faults if fault.id), None)
    return None if id is None or len(id.encode()) > EVENT_ID_BYTES or _CONTROL.search(id) else id
