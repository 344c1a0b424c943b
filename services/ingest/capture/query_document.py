"""Shows events as they were captured, in an EPCISQueryDocument. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.ingest.capture.negotiation import VERSION
from services.ingest.epcis.frame_rules import QUERY_DOCUMENT
from shared.clock import rfc3339

STANDARD_CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
QUERY: Final = "SimpleEventQuery"


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as JSON, by the id it goes by, with the frame of its document, and when it was recorded."""

    id: str
    event: str
    frame: str
    recorded_at: datetime


def query_document(events: Sequence[Shown], now: datetime) -> bytes:
    """`events`, of which there is at least one, as JSON. Each has its id and says when it was recorded."""
    around = [json.loads(one.frame)["context"] for one in events]
    context = STANDARD_CONTEXT if around[0] is None else around[0]
    shown = [_event(one, None if own == around[0] else own) for one, own in zip(events, around, strict=True)]
    body = {"queryResults": {"queryName": QUERY, "resultsBody": {"eventList": shown}}}
    document = {
        "@context": context,
        "type": QUERY_DOCUMENT,
        "schemaVersion": VERSION,
        "creationDate": rfc3339(now),
        "epcisBody": body,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _event(one: Shown, context: Any) -> dict[str, Any]:
    """`context` is that of its document, where it is another than that of the answer."""
    event: dict[str, Any] = json.loads(one.event)
    event.setdefault("eventID", one.id)
    event["recordTime"] = rfc3339(one.recorded_at)
    if context is not None:
        own = [one for one in _items(event.get("@context")) if one not in _items(context)]
        event["@context"] = [*_items(context), *own]
    return event


def _items(context: Any) -> list[Any]:
    return [] if context is None else context if isinstance(context, list) else [context]
