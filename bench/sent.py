"""Makes what producers send over HTTP in the measurement of ingest: seeded requests, ready to be written. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec
import orjson

from bench.movements import gtins
from shared.events.catalogue import sample
from shared.events.cloudevent import BATCH, STRUCTURED

JSON = dict[str, Any]
SEED: Final = 20_261
PRODUCTS: Final = 3_000
# What a manufacturer says, and how often.
TYPES: Final = {
    "supply.batch.produced.v1": 20,
    "supply.batch.released.v1": 20,
    "supply.export.shipped.v1": 15,
    "supply.stock.returned.v1": 10,
    "supply.batch.destroyed.v1": 10,
    "supply.stock.adjusted.v1": 10,
    "supply.stock.counted.v1": 12,
    "supply.event.corrected.v1": 3,
}
# Fields of which ingest asks that they hold the sender's own GLN.
_OWN: Final = ("manufacturer", "site", "exporter", "holder")
_LOT_CHARACTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
_ORIGINAL: Final = "supply.batch.produced.v1"


class Sender(msgspec.Struct, frozen=True):
    """A producer as the load generator knows it."""

    key: str
    gln: str


def requests(sender: Sender, host: str, events: int, count: int, seed: int) -> list[bytes]:
    """`count` HTTP requests of `events` each: a batch, or for 1 one structured event."""
    told = events_of(sender, Random(seed), seed)
    return [_request(sender, host, [next(told) for _ in range(events)]) for _ in range(count)]


def _request(sender: Sender, host: str, events: list[JSON]) -> bytes:
    one = len(events) == 1
    body = orjson.dumps(events[0] if one else events)
    lines = (
        "POST /events HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {sender.key}",
        f"Content-Type: {STRUCTURED if one else BATCH}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def events_of(sender: Sender, random: Random, seed: int) -> Iterator[JSON]:
    """What `sender` says, without end."""
    products = gtins(PRODUCTS)
    samples = {name: sample(name) for name in TYPES}
    number = 0
    while True:
        [type_] = random.choices(tuple(TYPES), tuple(TYPES.values()))
        gtin = random.choice(products)
        event = {**copy.deepcopy(samples[type_]), "id": f"{seed}-{number}", "source": f"urn:gln:{sender.gln}"}
        data = _varied(event["data"], sender, gtin, random)
        if type_ == "supply.event.corrected.v1":
            original = _varied(copy.deepcopy(samples[_ORIGINAL])["data"], sender, gtin, random)
            corrects = {"source": event["source"], "id": f"{seed}-{number - 1}", "type": _ORIGINAL}
            data |= {"corrects": corrects, "key": gtin, "replacement": {"type": _ORIGINAL, "data": original}}
        yield {**event, "data": data}
        number += 1


def _varied(data: JSON, sender: Sender, gtin: str, random: Random) -> JSON:
    lot = "".join(random.choices(_LOT_CHARACTERS, k=8))
    told = {"gtin": gtin, "lot": lot, "quantity": random.randint(1, 100_000)}
    own = dict.fromkeys(_OWN, sender.gln)
    return {**data, **{name: value for name, value in {**told, **own}.items() if name in data}}
