"""Gathers the JSON Schemas of all events: of the data of each type, and of the CloudEvent around it. Pure."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from shared.events import catalogue
from shared.events.catalogue import CATALOGUE, EventType
from shared.events.cloudevent import BINARY, SPEC_VERSION
from shared.events.corrections import EventId, Source
from shared.json_schema import COMPONENTS, hoisted

EVENT: Final = "CloudEvent"
BATCH: Final = "CloudEvents"
_ID: Final[dict[str, Any]] = {**TypeAdapter(EventId).json_schema(), "description": "Unique in source"}
_SOURCE: Final[dict[str, Any]] = {**TypeAdapter(Source).json_schema(), "description": "One of the producer's own GLNs"}


def data_name(event_type: EventType) -> str:
    """The name of the data's schema, e.g. BatchProduced."""
    return event_type.model.__name__


def data_names() -> list[str]:
    return [data_name(event_type) for event_type in CATALOGUE.values()]


def data_schemas() -> dict[str, Any]:
    """By name: the data of every type, and the parts that such data has."""
    table: dict[str, Any] = {}
    for event_type in CATALOGUE.values():
        own = {key: item for key, item in catalogue.schema(event_type.name).items() if not key.startswith("$")}
        inner = {"$defs": catalogue.schema(event_type.name).get("$defs", {})}
        table[data_name(event_type)] = hoisted({**own, **inner}, table)
    return table


def attributes(prefix: str = "") -> dict[str, Any]:
    """The CloudEvents attributes that ingest reads, without `type`; the same names with `prefix` are headers."""
    said: dict[str, Any] = {
        "specversion": {"const": SPEC_VERSION},
        "id": _ID,
        "source": _SOURCE,
        "time": {"type": "string", "format": "date-time", "description": "When it was said, with offset"},
        "subject": {"type": "string", "description": "May be left out: ingest sets it to the key"},
    }
    return {prefix + name: schema for name, schema in said.items()}


def cloud_event(event_type: EventType) -> dict[str, Any]:
    """A structured CloudEvent of this type."""
    return {
        "title": event_type.title,
        "description": event_type.description,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "properties": {
            **attributes(),
            "type": {"const": event_type.name},
            "datacontenttype": {"const": BINARY},
            "data": {"$ref": COMPONENTS + data_name(event_type)},
        },
    }


def request_schemas(limit_events: int) -> dict[str, Any]:
    """By name: one CloudEvent of any type, a batch of them, and the data of each."""
    return {
        **data_schemas(),
        EVENT: {"oneOf": [cloud_event(event_type) for event_type in CATALOGUE.values()]},
        BATCH: {"type": "array", "maxItems": limit_events, "items": {"$ref": COMPONENTS + EVENT}},
    }
