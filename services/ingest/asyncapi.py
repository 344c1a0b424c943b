"""Describes events on Kafka as an AsyncAPI 3.0 document, made of the catalogue. Pure.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from typing import Any, Final

from services.ingest.catalogue_examples import KafkaWayIn
from services.ingest.event_schemas import attributes, data_name, data_schemas
from shared import topics
from shared.events import catalogue, reader
from shared.events.catalogue import CATALOGUE, EventType
from shared.events.cloudevent import BINARY
from shared.json_schema import COMPONENTS

VERSION: Final = "3.0.0"
KEY_BINDING: Final = "0.5.0"
INBOUND: Final = "inbound"
_DESCRIPTION: Final = (
    "Events of the medicine supply: CloudEvents 1.0 in Kafka's binary mode. A producer writes to its own inbound topic"
    " (or sends the same events over HTTP, see openapi.json); ingest judges each and sends it on to the trusted topics."
)
_HEADERS: Final = "CloudEventHeaders"
_MECHANISMS: Final = {"SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512", "PLAIN": "plain"}


def document(way_in: KafkaWayIn) -> dict[str, Any]:
    """The whole document, for producers who reach Kafka by `way_in`."""
    return {
        "asyncapi": VERSION,
        "info": {"title": "Supply Watch: events", "version": "1.0.0", "description": _DESCRIPTION},
        "defaultContentType": BINARY,
        "servers": _servers(way_in),
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {_message_name(event_type): _message(event_type) for event_type in CATALOGUE.values()},
            "schemas": {**data_schemas(), _HEADERS: _headers()},
            "securitySchemes": {
                "login": {
                    "type": _MECHANISMS[way_in.sasl_mechanism],
                    "description": "The Kafka user that belongs to a producer's key",
                }
            },
        },
    }


def _servers(way_in: KafkaWayIn) -> dict[str, Any]:
    protocol = "kafka-secure" if way_in.security_protocol.endswith("SSL") else "kafka"
    return {
        f"kafka-{number}": {
            "host": host.strip(),
            "protocol": protocol,
            "security": [{"$ref": "#/components/securitySchemes/login"}],
        }
        for number, host in enumerate(way_in.bootstrap.split(","), 1)
    }


def _channels() -> dict[str, Any]:
    everything = list(CATALOGUE.values())
    return {
        INBOUND: {
            "address": topics.inbound("{producer}"),
            "title": "What one producer says",
            "description": "Only that producer may write here. Any key will do; the product's as key keeps order",
            "parameters": {"producer": {"description": "The producer's name"}},
            "messages": _references(everything),
        },
        **{
            _trusted_name(topic): {
                "address": topic,
                "title": "Events that ingest has accepted",
                "description": "Written by ingest alone; the subject of each event is its key",
                "messages": _references(_on(topic)),
            }
            for topic in catalogue.trusted_topics()
        },
    }


def _operations() -> dict[str, Any]:
    """As ingest sees them: it receives from producers and sends to the trusted topics."""
    inbound = {"action": "receive", "summary": "Judges what a producer says", "channel": _channel(INBOUND)}
    return {
        "judge": inbound,
        **{
            f"accept-{_trusted_name(topic)}": {
                "action": "send",
                "summary": "Sends on what was accepted",
                "channel": _channel(_trusted_name(topic)),
            }
            for topic in catalogue.trusted_topics()
        },
    }


def _channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}"}


def _trusted_name(topic: str) -> str:
    """supply.movements.v1 -> movements"""
    return topic.split(".")[1]


def _on(topic: str) -> list[EventType]:
    """The types on a trusted topic; corrections follow what they correct, so they are on both."""
    return [event_type for event_type in CATALOGUE.values() if event_type.topic in (topic, None)]


def _references(types: list[EventType]) -> dict[str, Any]:
    names = [_message_name(event_type) for event_type in types]
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _message_name(event_type: EventType) -> str:
    return data_name(event_type)


def _message(event_type: EventType) -> dict[str, Any]:
    sample = catalogue.sample(event_type.name)
    said = {f"ce_{name}": sample[name] for name in ("specversion", "id", "source", "type", "time")}
    return {
        "name": event_type.name,
        "title": event_type.title,
        "summary": event_type.description,
        "contentType": BINARY,
        "headers": {
            "allOf": [
                {"$ref": COMPONENTS + _HEADERS},
                {"type": "object", "properties": {"ce_type": {"const": event_type.name}}},
            ]
        },
        "payload": {"$ref": COMPONENTS + data_name(event_type)},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": KEY_BINDING}},
        "examples": [{"headers": {**said, "content-type": BINARY}, "payload": sample["data"]}],
    }


def _headers() -> dict[str, Any]:
    said = attributes("ce_")
    authority = {
        "const": reader.REGULATOR.decode(),
        "description": "On the trusted topics alone: a regulator has said it. Ingest sets it by the sender's roles;"
        " what a producer sends under this name is not passed on",
    }
    return {
        "type": "object",
        "description": "CloudEvents attributes as record headers, UTF-8",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
        "properties": {
            **said,
            "ce_type": {"type": "string"},
            "content-type": {"const": BINARY},
            reader.AUTHORITY: authority,
        },
    }
