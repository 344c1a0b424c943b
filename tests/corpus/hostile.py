"""What a class of hostile records is: its HTTP request, its Kafka record, and what must become of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from shared.events import catalogue
from shared.events.cloudevent import BINARY, STRUCTURED
from shared.events.fields import check_digit

JSON = dict[str, Any]
Header = tuple[bytes, bytes]
AUTHORIZATION: Final = b"authorization"
GTIN: Final = "0952000001001" + check_digit("0952000001001")
TIME: Final = "2026-03-12T09:30:00+07:00"


@dataclass(frozen=True)
class Request:
    """An HTTP request to ingest, byte for byte.

    Whoever sends it adds Host, a valid Authorization unless there is one, and Content-Length unless the framing is
    given.
    """

    headers: tuple[Header, ...]
    body: bytes
    method: bytes = b"POST"
    target: bytes = b"/events"


@dataclass(frozen=True)
class Record:
    """A record for the sender's own topic, byte for byte. With `compression` its batch is small and the record huge."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    compression: str | None = None


@dataclass(frozen=True)
class Answer:
    """A status and the codes of its faults; 202 has none, nor has what the HTTP server itself refuses."""

    status: int
    codes: frozenset[str] = frozenset()


ACCEPTED: Final = Answer(202)


@dataclass(frozen=True)
class Hostile:
    """One class.

    `answer` is what HTTP says to `request`. `rejection` is the code under which `record` is kept, None if it is an
    accepted event: some of what looks hostile is legal, and must not be refused either.
    """

    name: str
    what: str
    request: Request | None = None
    answer: Answer | None = None
    record: Record | None = None
    rejection: str | None = None


@dataclass(frozen=True)
class Given:
    """Who sends (a manufacturer with these GLNs), whose GLN it could misuse, and what makes ids of a run its own."""

    glns: tuple[str, ...]
    foreign_gln: str
    run: str
    random: Random = field(compare=False)

    @property
    def source(self) -> str:
        return f"urn:gln:{self.glns[0]}"

    @property
    def foreign_source(self) -> str:
        return f"urn:gln:{self.foreign_gln}"

    def event(self, id: str, type_: str = "batch.released", **data: Any) -> JSON:
        """A valid event of the sender's, with some of its data changed; None takes a field away."""
        event = copy.deepcopy(catalogue.sample(f"supply.{type_}.v1"))
        event |= {"id": f"{self.run}/{id}", "source": self.source, "time": TIME}
        told = {**event["data"], **self._own(type_), **data}
        event["data"] = {name: value for name, value in told.items() if value is not None}
        return event

    def _own(self, type_: str) -> JSON:
        """The fields that decide who may say it, in favour of the sender."""
        own = catalogue.CATALOGUE[f"supply.{type_}.v1"].own_glns
        gtin = {"gtin": GTIN} if "gtin" in catalogue.sample(f"supply.{type_}.v1")["data"] else {}
        return {**dict.fromkeys(own, self.glns[0]), **gtin}


def text_of(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def with_raw(event: JSON, name: str, raw: str | bytes) -> bytes:
    """The JSON of `event` in which the field `name` of its data is `raw`, whatever that is."""
    mark = "@raw@"
    changed = {**event, "data": {**event["data"], name: mark}}
    return text_of(changed).replace(f'"{mark}"'.encode(), raw if isinstance(raw, bytes) else raw.encode())


def structured(
    name: str,
    what: str,
    content: bytes,
    status: int,
    *codes: str,
    content_type: bytes = STRUCTURED.encode(),
) -> Hostile:
    """The same bytes as a structured event over HTTP and over Kafka; refused there under the first of `codes`."""
    headers = ((b"content-type", content_type),)
    return Hostile(
        name,
        what,
        Request(headers, content),
        Answer(status, frozenset(codes)),
        Record(GTIN.encode(), content, headers),
        codes[0] if codes else None,
    )


def event(name: str, what: str, content: JSON, status: int, *codes: str) -> Hostile:
    """The same event, structured, over HTTP and over Kafka."""
    return structured(name, what, text_of(content), status, *codes)


def binary(
    name: str,
    what: str,
    content: JSON,
    status: int,
    *codes: str,
    changed: Mapping[str, bytes] | None = None,
    more: Sequence[tuple[str, bytes]] = (),
) -> Hostile:
    """`content` in binary mode, with attributes `changed` and `more` of them behind, over HTTP and over Kafka."""
    attributes = {**attributes_of(content), **(changed or {})}
    named = [*attributes.items(), *more]
    data = text_of(content["data"])
    form = (b"content-type", BINARY.encode())
    return Hostile(
        name,
        what,
        Request((form, *((f"ce-{key}".encode(), value) for key, value in named)), data),
        Answer(status, frozenset(codes)),
        Record(GTIN.encode(), data, (form, *((f"ce_{key}".encode(), value) for key, value in named))),
        codes[0] if codes else None,
    )


def attributes_of(content: JSON) -> dict[str, bytes]:
    """The attributes of an event, as headers hold them."""
    return {
        name: value.encode() for name, value in content.items() if name not in ("data", "datacontenttype", "subject")
    }


def over_http(
    name: str, what: str, headers: Sequence[Header], body: bytes, status: int, *codes: str, method: bytes = b"POST"
) -> Hostile:
    """A class that HTTP alone knows."""
    return Hostile(name, what, Request(tuple(headers), body, method), Answer(status, frozenset(codes)))


def over_kafka(name: str, what: str, record: Record, rejection: str | None) -> Hostile:
    """A class that Kafka alone knows."""
    return Hostile(name, what, record=record, rejection=rejection)


Classes = Iterator[Hostile]
