"""Makes events about packs as producers send them, in few words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from shared import topics
from shared.events.fields import check_digit
from tests.reference import CORRECTED, JSON, topic_key

MAKER: Final = "9520000000004"
SOURCE: Final = f"urn:gln:{MAKER}"
TIME: Final = "2026-01-05T03:00:00Z"
DAY: Final = "2026-01-05"
EXPIRY: Final = "2028-01-05"
# What an event needs beside gtin, lot and quantity, so that a test names only what it is about.
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "batch.produced": {"produced_on": DAY, "expires_on": EXPIRY, "manufacturer": MAKER},
    "batch.released": {"released_on": DAY},
    "batch.rejected": {"rejected_on": DAY, "reason": "assay"},
    "import.received": {"received_on": DAY, "expires_on": EXPIRY, "importer": MAKER, "country_of_origin": "FR"},
    "export.shipped": {"shipped_on": DAY, "destination": "LA", "exporter": MAKER},
    "stock.returned": {"returned_on": DAY, "from": "consumed", "to": "available", "reason": "unopened"},
    "consumption.reported": {"period_start": DAY, "period_end": DAY},
    "batch.recalled": {"level": 1, "recalled_on": DAY, "reason": "impurity"},
    "recall.closed": {"closed_on": DAY, "recovered": 0},
    "batch.destroyed": {"destroyed_on": DAY, "reason": "expired"},
    "stock.counted": {"counted_on": DAY, "holder": MAKER, "covers": "holder"},
    "stock.adjusted": {"adjusted_on": DAY, "reason": "shelf count"},
}
WITHOUT_QUANTITY: Final = ("batch.recalled", "recall.closed", "stock.adjusted")


def gtin(number: int) -> str:
    """A GTIN of the demonstration prefix."""
    digits = f"0952{number:09d}"
    return digits + check_digit(digits)


GTIN: Final = gtin(1)


def data(kind: str, **told: Any) -> dict[str, Any]:
    """The data of an event `supply.<kind>.v1`; `from_` stands for from, None leaves a field out."""
    found: dict[str, Any] = {"gtin": GTIN, "lot": "L1", "quantity": 10, **DEFAULTS[kind]}
    if kind in WITHOUT_QUANTITY:
        del found["quantity"]
    found |= {name.rstrip("_"): value for name, value in told.items()}
    return {name: value for name, value in found.items() if value is not None}


def event(kind: str, id: str, *, source: str = SOURCE, time: str = TIME, **told: Any) -> dict[str, Any]:
    """A structured CloudEvent about packs."""
    return _event(f"supply.{kind}.v1", id, source, time, data(kind, **told))


def _event(type_: str, id: str, source: str, time: str, told: JSON) -> dict[str, Any]:
    return {"specversion": "1.0", "type": type_, "id": id, "source": source, "time": time, "data": dict(told)}


def correction(
    id: str,
    of: JSON,
    replacement: JSON | None = None,
    *,
    original: JSON | None = None,
    source: str = SOURCE,
    time: str = TIME,
) -> dict[str, Any]:
    """Corrects `of`, an event; `original` is the first event of the chain where `of` is a correction itself."""
    return _event(CORRECTED, id, source, time, correcting(of, replacement, original=original))


def correcting(of: JSON, replacement: JSON | None = None, *, original: JSON | None = None) -> dict[str, Any]:
    """The data of a correction; `replacement` is {"type", "data"}, for instance an event."""
    first = original or of
    told: dict[str, Any] = {
        "corrects": {"source": of["source"], "id": of["id"], "type": first["type"]},
        "key": first["data"]["gtin"],
        "corrected_on": DAY,
        "reason": "typing error",
    }
    if replacement is not None:
        told["replacement"] = {"type": replacement["type"], "data": replacement["data"]}
    return told


class Message(NamedTuple):
    """A Kafka record as the consumer hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


def message(told: JSON, offset: int, *, partition: int = 0, timestamp: int = 1_767_600_000_000) -> Message:
    """The record of the movements topic in which an event lies, as ingest writes it (`authority`: of its sender)."""
    attributes = {
        name: told[name] for name in ("specversion", "id", "source", "type", "time", "authority") if name in told
    }
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    key = told["data"]["key"] if told["type"] == CORRECTED else topic_key(told["data"])
    value = json.dumps(told["data"]).encode()
    return Message(topics.MOVEMENTS, partition, offset, timestamp, key.encode(), headers, value)
