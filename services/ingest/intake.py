"""Decides what an HTTP request says: the events in it, all valid and allowed, or every fault and the status. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from services.ingest import authority
from services.ingest.judgement import judge
from shared.errors import Fault, Invalid, Problem
from shared.events import cloudevent
from shared.events.cloudevent import BATCH, BINARY, NO_CLOUDEVENT, STRUCTURED, CloudEvent, Said
from shared.json_input import loads
from shared.keys import Principal

TOO_MANY: Final = "too_many"
MEDIA_TYPE: Final = "media_type"
CONTENT_ENCODING: Final = "content_encoding"

# Reads one event when it is called, so that one that cannot be read does not hide the others. Raises Invalid.
Telling = Callable[[], Said]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many events a request may hold, and how far ahead of us their time may be."""

    events: int
    ahead: timedelta


def read(headers: Mapping[str, str], body: bytes, sender: Principal, now: datetime, limits: Limits) -> list[CloudEvent]:
    """The events of a request, as `told` and `judged` say. Raises Problem with every fault of every event."""
    return judged(told(headers, body, limits), sender, now, limits)


def judged(told: Sequence[Telling], sender: Principal, now: datetime, limits: Limits) -> list[CloudEvent]:
    """The events in what was told, all valid and allowed. Raises Problem with every fault of every event:

    400 if one is no CloudEvent, 403 if every fault is one of authority, else 422.
    """
    events: list[CloudEvent] = []
    found: list[Fault] = []
    for index, said in enumerate(told):
        try:
            events.append(judge(said(), sender, now, limits.ahead))
        except Invalid as error:
            found += (_at(index, fault) for fault in error.faults)
    if found:
        raise Problem(*_verdict(found), faults=found)
    return events


def told(headers: Mapping[str, str], body: bytes, limits: Limits) -> Sequence[Telling]:
    """Each event of a request, not judged yet. `headers` have names in small letters.

    Raises Problem: 400 what is not JSON, 413 too many events, 415 not a media type of ours.
    """
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        detail = "bodies are taken uncompressed"
        raise Problem(415, "Unsupported Media Type", detail, [Fault("content-encoding", CONTENT_ENCODING, detail)])
    content_type = headers.get("content-type", "")
    form = cloudevent.media_type(content_type)
    if form == STRUCTURED:
        value = _loaded(body)
        return [partial(cloudevent.from_structured, value, 0)]
    if form == BATCH:
        return _batch(_loaded(body), limits.events)
    if cloudevent.is_json(content_type):
        return _binary(headers, body)
    detail = f"send {STRUCTURED}, {BATCH}, or {BINARY} with ce-* headers"
    raise Problem(415, "Unsupported Media Type", detail, [Fault("content-type", MEDIA_TYPE, detail)])


def _batch(value: Any, limit: int) -> Sequence[Telling]:
    if not isinstance(value, list):
        raise _bad_request([Fault(None, NO_CLOUDEVENT, "a batch is a JSON array of CloudEvents")])
    if len(value) > limit:
        detail = f"{len(value)} events; a request holds up to {limit}"
        raise Problem(413, "Content Too Large", detail, [Fault(None, TOO_MANY, detail)])
    return [partial(cloudevent.from_structured, item, index) for index, item in enumerate(value)]


def _binary(headers: Mapping[str, str], body: bytes) -> Sequence[Telling]:
    try:
        said = cloudevent.from_http_binary(headers, body)
    except Invalid as error:
        raise _bad_request([_at(0, fault) for fault in error.faults]) from None
    return [partial(_same, said)]


def _same(said: Said) -> Said:
    return said


def _loaded(body: bytes) -> Any:
    try:
        return loads(body)
    except Invalid as error:
        raise _bad_request(error.faults) from None


def _bad_request(faults: Sequence[Fault]) -> Problem:
    return Problem(400, "Bad Request", f"no CloudEvents 1.0 in JSON: {faults[0].detail}", faults)


def _at(index: int, fault: Fault) -> Fault:
    return Fault(fault.field, fault.code, fault.detail, index, fault.id)


def _summary(faults: Sequence[Fault]) -> str:
    first = faults[0]
    told = f"{first.field}: {first.detail}" if first.field else first.detail
    return told if len(faults) == 1 else f"{told} (and {len(faults) - 1} more, see errors)"


def _verdict(faults: Sequence[Fault]) -> tuple[int, str, str]:
    codes = {fault.code for fault in faults}
    detail = f"nothing was recorded: {_summary(faults)}"
    if NO_CLOUDEVENT in codes:
        return 400, "Bad Request", detail
    if codes <= authority.CODES:
        return 403, "Forbidden", detail
    return 422, "Unprocessable Content", detail
