"""Decides what two producers write to their own topics in the measurement of the edge, and what must come of it. Pure.

Of ten records about nine are good, half of them structured, half binary. The rest is hostile, each class in turn of the
corpus (`tests/corpus`) that the edge refuses, that is small, and that the client library can write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from random import Random
from typing import Any, Final

import msgspec
import orjson

from bench.sent import SEED, Sender, events_of
from shared import topics
from shared.events.cloudevent import BINARY, STRUCTURED
from tests.corpus.every import every, given
from tests.corpus.hostile import Record

HOSTILE_SHARE: Final = 0.1
PARTITIONS: Final = 3  # of inbound.<producer>, see deploy/kafka/topics.yaml
# Good events differ in their id; what else they say comes round again after so many.
DIFFERENT: Final = 2_000
LARGEST_BYTES: Final = 16 * 1024
_ID: Final = "@id@"
_ATTRIBUTES: Final = ("specversion", "source", "type", "time")

Headers = list[tuple[str, bytes | None]]
# Value, headers, key.
Written = tuple[bytes | None, Headers, str]
# (topic, partition, offset)
Place = tuple[str, int, int]


class Expected(msgspec.Struct):
    """What must come of all records: how many good ones each source said, under the ids 0 and up; the code of each
    place that holds a hostile one; and how many records are JSON, which is all that the bare way asks."""

    records: int = 0
    good: dict[str, int] = msgspec.field(default_factory=dict)
    codes: dict[Place, str] = msgspec.field(default_factory=dict)
    json: int = 0

    @property
    def accepted(self) -> int:
        return sum(self.good.values())


class _Good(msgspec.Struct, frozen=True):
    """An event without its id: structured between the halves of its JSON, binary if there is but one."""

    key: str
    parts: tuple[bytes, ...]
    headers: tuple[tuple[str, bytes], ...]

    def record(self, id: bytes) -> tuple[bytes, Headers]:
        if len(self.parts) == 1:
            return self.parts[0], [*self.headers, ("ce_id", id)]
        return id.join(self.parts), [*self.headers]


class _Hostile(msgspec.Struct, frozen=True):
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    code: str
    is_json: bool


def told(name: str, sender: Sender, foreign_gln: str, count: int, expected: Expected) -> Iterator[Written]:
    """`count` records of the producer `name`; `expected` grows as they are taken.

    They must be the first on the topic, one after the other, each on the partition that its key has.
    """
    random, topic = Random(f"{SEED} {name}"), topics.inbound(name)
    good = cycle(_good(sender))
    hostile = cycle(_hostile(sender, foreign_gln))
    source, ids = f"urn:gln:{sender.gln}", 0
    offsets, partition_of = [0] * PARTITIONS, _Partitions()
    for _ in range(count):
        partition = partition_of[(event := next(good)).key]
        value: bytes | None
        if random.random() < HOSTILE_SHARE:
            bad = next(hostile)
            value, headers = bad.value, [*bad.headers]
            expected.codes[topic, partition, offsets[partition]] = bad.code
            expected.json += bad.is_json
        else:
            value, headers = event.record(b"%d" % ids)
            ids += 1
            expected.json += 1
        offsets[partition] += 1
        yield value, headers, event.key
    expected.records += count
    expected.good[source] = ids


class _Partitions(dict[str, int]):
    def __missing__(self, key: str) -> int:
        self[key] = found = topics.partition_for(key.encode(), PARTITIONS)
        return found


def _good(sender: Sender) -> list[_Good]:
    said = islice(events_of(sender, Random(SEED), SEED), DIFFERENT)
    return [(_structured if number % 2 else _binary)(event) for number, event in enumerate(said)]


def _structured(event: Mapping[str, Any]) -> _Good:
    parts = orjson.dumps({**event, "id": _ID}).split(_ID.encode())
    return _Good(_key(event), tuple(parts), (("content-type", STRUCTURED.encode()),))


def _binary(event: Mapping[str, Any]) -> _Good:
    attributes = ((f"ce_{name}", str(event[name]).encode()) for name in _ATTRIBUTES)
    headers = (("content-type", BINARY.encode()), *attributes)
    return _Good(_key(event), (orjson.dumps(event["data"]),), headers)


def _key(event: Mapping[str, Any]) -> str:
    data = event["data"]
    return str(data.get("gtin") or data["key"])


def _hostile(sender: Sender, foreign_gln: str) -> list[_Hostile]:
    classes = every(given((sender.gln,), foreign_gln, "hostile"))
    found = ((one.rejection, one.record) for one in classes)
    return [
        _Hostile(record.value, headers, code, _is_json(record.value))
        for code, record in found
        if code is not None and record is not None and (headers := _written(record)) is not None
    ]


def _written(record: Record) -> tuple[tuple[str, bytes | None], ...] | None:
    """Its headers as the client library takes them; None if it is large, or cannot be written so."""
    size = sum(len(part or b"") for header in record.headers for part in header) + len(record.value or b"")
    if record.compression is not None or size + len(record.key or b"") > LARGEST_BYTES:
        return None
    try:
        return tuple((name.decode(), value) for name, value in record.headers)
    except UnicodeDecodeError:
        return None


def _is_json(value: bytes | None) -> bool:
    """As the bare way decides."""
    try:
        msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
