"""Reads CloudEvents 1.0 as producers send them (binary, structured, batch) and writes them as Kafka holds them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from shared.clock import rfc3339
from shared.errors import Fault, Invalid
from shared.events import corrections, fields, reader
from shared.events.catalogue import CATALOGUE, EventType, route
from shared.events.fields import Told
from shared.faults import faults
from shared.json_input import loads

SPEC_VERSION: Final = "1.0"
BINARY: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

# Faults that say: this is no CloudEvent at all.
NO_CLOUDEVENT: Final = "no_cloudevent"
_HTTP_PREFIX: Final = "ce-"
KAFKA_PREFIX: Final = "ce_"
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# JSON's own media type in all its spellings: application/json, text/json, application/anything+json.
_JSON: Final = re.compile(r"(application|text)/(json|[a-z0-9!#$&^_.+-]+\+json)")


# Made by the thousand a second: a struct takes a tenth of the time of a frozen dataclass.
class Said(msgspec.Struct, frozen=True):
    """A CloudEvent as it was sent: its attributes, beside which other names may stand, and data of unknown content."""

    attributes: Mapping[str, Any]
    data: Any

    @property
    def id(self) -> str | None:
        """The event's id where it has a usable one, to name it in faults: every fault repeats it."""
        value = self.attributes.get("id")
        return value if isinstance(value, str) and len(value) <= corrections.EVENT_ID_BYTES else None


class CloudEvent(msgspec.Struct, frozen=True):
    """A valid event of the catalogue. `time` is in UTC."""

    source: str
    id: str
    type: str
    time: datetime
    data: Told


@dataclass(frozen=True, slots=True)
class Part:
    """What could be read of an event that is not valid; None is what could not. `data` is as it was sent."""

    id: str | None
    source: str | None
    type: str | None
    time: datetime | None
    data: Any


class NotValid(Invalid):
    """A CloudEvent that the catalogue does not allow; `part` is for whoever has more to find wrong with it."""

    def __init__(self, faults: Sequence[Fault], part: Part) -> None:
        super().__init__(faults)
        self.part = part


class Record(NamedTuple):
    """What Kafka holds of an event: binary mode. Of an event the value is never null."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def media_type(content_type: str) -> str:
    """The media type alone, in small letters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    return _JSON.fullmatch(media_type(content_type)) is not None


def from_http_binary(headers: Mapping[str, str], body: bytes) -> Said:
    """An event whose attributes are `ce-*` headers, names in small letters. Raises Invalid if a part cannot be read.

    The items of `headers` may name one several times: no two readers would agree on which counts.
    """
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith(_HTTP_PREFIX):
            attribute = name.removeprefix(_HTTP_PREFIX)
            if attribute in attributes:
                raise Invalid([Fault(attribute, "duplicate_header", f"the header {name} stands twice")])
            attributes[attribute] = _header_text(name, value)
    return Said(attributes, loads(body))


def _header_text(name: str, value: str) -> str:
    """HTTP binding 3.1.3.2: percent-encoded UTF-8, perhaps within double quotes."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise Invalid([Fault(name.removeprefix(_HTTP_PREFIX), "encoding", f"the header {name} is not UTF-8")]) from None


def from_kafka_binary(headers: Mapping[str, str], value: bytes) -> Said:
    """An event whose attributes are `ce_*` headers. Raises Invalid if the value cannot be read."""
    attributes = {
        name.removeprefix(KAFKA_PREFIX): text for name, text in headers.items() if name.startswith(KAFKA_PREFIX)
    }
    try:
        return Said(attributes, loads(value))
    except Invalid as error:
        id = Said(attributes, None).id
        raise Invalid(Fault(fault.field, fault.code, fault.detail, id=id) for fault in error.faults) from None


def from_structured(value: Any, index: int | None = None) -> Said:
    """An event as one JSON object. Raises Invalid if it is none."""
    if not isinstance(value, dict):
        raise Invalid([Fault(None, NO_CLOUDEVENT, "a CloudEvent is a JSON object", index)])
    said = Said(value, value.get("data"))
    return said if "data_base64" not in value else Said(value, _decoded(value, said.id, index))


def _decoded(value: dict[str, Any], id: str | None, index: int | None) -> Any:
    if "data" in value:
        raise Invalid([Fault("data_base64", "one_of", "an event has data or data_base64, not both", index, id)])
    try:
        return loads(base64.b64decode(value["data_base64"], validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise Invalid([Fault("data_base64", "base64", "not base64", index, id)]) from None
    except Invalid as error:
        fault = error.faults[0]
        raise Invalid([Fault("data_base64", fault.code, fault.detail, index, id)]) from None


def check(said: Said, index: int | None = None) -> CloudEvent:
    """The event that `said` holds, its data normalised.

    Raises Invalid if it is no CloudEvent, NotValid with every fault if it is none of the catalogue.
    """
    found = _envelope_faults(said, index)
    if found and any(fault.code == NO_CLOUDEVENT for fault in found):
        raise Invalid(found)
    time = _time_of(said, index, found)
    known = _type_of(said, index, found)
    data = None if known is None else _data_of(known, said, index, found)
    if found or time is None or known is None or data is None:
        raise NotValid(found, _part(said, found, known, time))
    return CloudEvent(said.attributes["source"], said.attributes["id"], known.name, time, data)


def _part(said: Said, found: Sequence[Fault], known: EventType | None, time: datetime | None) -> Part:
    source = None if any(fault.field == "source" for fault in found) else said.attributes["source"]
    return Part(said.id, source, None if known is None else known.name, time, said.data)


def _time_of(said: Said, index: int | None, found: list[Fault]) -> datetime | None:
    time = _time(said.attributes.get("time"))
    if isinstance(time, datetime):
        return time
    found.append(Fault(time.field, time.code, time.detail, index, said.id))
    return None


def _type_of(said: Said, index: int | None, found: list[Fault]) -> EventType | None:
    known = CATALOGUE.get(said.attributes["type"])
    if known is None:
        found.append(Fault("type", "unknown_type", "no type of the catalogue, see GET /catalogue", index, said.id))
    return known


def _data_of(known: EventType, said: Said, index: int | None, found: list[Fault]) -> Told | None:
    try:  # what model_validate does, after it has looked at six options of its own
        data: Told = known.model.__pydantic_validator__.validate_python(said.data)
        return data
    except ValidationError as error:
        found += faults(error, index, said.id, at=("data",))
        return None


def _envelope_faults(said: Said, index: int | None) -> list[Fault]:
    attributes = said.attributes
    found = [
        Fault(name, *fault, index, said.id)
        for name, fault_of in _ATTRIBUTES
        if (fault := fault_of(name, attributes.get(name))) is not None
    ]
    content_type = attributes.get("datacontenttype", BINARY)
    if content_type != BINARY and not (isinstance(content_type, str) and is_json(content_type)):
        detail = "the data of an event is application/json"
        found.append(Fault("datacontenttype", "choice", detail, index, said.id))
    return found


def _text_fault(name: str, value: Any) -> tuple[str, str] | None:
    if isinstance(value, str) and value:
        return None
    return NO_CLOUDEVENT, f"a CloudEvent has a non-empty string {name}"


def _version_fault(name: str, value: Any) -> tuple[str, str] | None:
    if value == SPEC_VERSION:
        return None
    return _text_fault(name, value) or (NO_CLOUDEVENT, f"the specversion we know is {SPEC_VERSION}")


def _id_fault(name: str, value: Any) -> tuple[str, str] | None:
    if fault := _text_fault(name, value):
        return fault
    if not value.isprintable() and _UNPRINTABLE.search(value):
        return "control_character", "holds a control character or a lone surrogate"
    return _refusal(corrections.event_id, value)


def _source_fault(name: str, value: Any) -> tuple[str, str] | None:
    if fault := _text_fault(name, value):
        return fault
    return _refusal(corrections.source, value)


def _refusal(check: Callable[[str], str], value: str) -> tuple[str, str] | None:
    try:
        check(value)
    except PydanticCustomError as error:
        return error.type, error.message()
    return None


_ATTRIBUTES: Final = (
    ("specversion", _version_fault),
    ("id", _id_fault),
    ("source", _source_fault),
    ("type", _text_fault),
)


def _time(value: Any) -> datetime | Fault:
    if value is None:
        return Fault("time", "missing", "an event says when it was said")
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return Fault("time", "time", "a time is RFC 3339 with an offset, e.g. 2026-11-23T16:20:00+07:00")
    try:
        instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return Fault("time", "time", "there is no such moment")
    if not fields.FIRST_YEAR <= instant.year <= fields.LAST_YEAR:
        return Fault("time", "range", f"the year is not within {fields.FIRST_YEAR} to {fields.LAST_YEAR}")
    return instant


def to_kafka(event: CloudEvent, *, by_regulator: bool) -> Record:
    """The record of `event`: attributes as headers, value normalised and compact with defaults left out.

    `by_regulator`: its sender has the role regulator, which readers of the trusted topics cannot know otherwise.
    """
    topic, key = route(event.type, event.data)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", rfc3339(event.time).encode()),
        ("ce_subject", key.encode()),
        ("content-type", b"application/json"),
    ]
    if by_regulator:
        headers.append((reader.AUTHORITY, reader.REGULATOR))
    return Record(topic, key.encode(), event.data.canonical(), headers)
