"""Writes chunks of movements to the trusted topic as ingest writes them, and says what they must come to."""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any, Final

import orjson
from confluent_kafka import Producer

from bench.expected import NOTHING, Expected, expected
from bench.movements import CORRECTED, JSON, Market, chunk
from shared import topics
from shared.events.reader import AUTHORITY, REGULATOR

PARTITIONS: Final = 6  # of supply.movements.v1, see deploy/kafka/topics.yaml
QUEUE_RECORDS: Final = 200_000
FLUSH_TIMEOUT_SECONDS: Final = 120.0
AT_ONCE: Final = 2
Config = dict[str, Any]
# Value, headers, key.
Written = tuple[bytes | None, Sequence[tuple[str, bytes | None]], str]


class NotWritten(Exception):
    """Kafka did not take a record."""


def fill(login: Config, market: Market, numbers: Iterable[int], done: Callable[[int], None]) -> Expected:
    """Writes these chunks, two at a time; `done` is told the records of each that stands in Kafka."""
    found = NOTHING
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, mp_context=context, max_tasks_per_child=1) as pool:
        for part in pool.map(_fill_one, *zip(*((login, market, number) for number in numbers), strict=True)):
            found += part
            done(part.records)
    return found


def _fill_one(login: Config, market: Market, number: int) -> Expected:
    gc.disable()  # millions of small dicts, none in a cycle; the process ends after one chunk
    events = chunk(number, market)
    write(login, topics.MOVEMENTS, PARTITIONS, ((*record_of(event), _key(event)) for event in events))
    return expected(events)


def write(login: Config, topic: str, partitions: int, records: Iterable[Written]) -> None:
    """Writes (value, headers, key); returns when Kafka has acknowledged all of them."""
    faults: Counter[str] = Counter()

    def acknowledged(error: Any, _: Any) -> None:
        if error is not None:
            faults[str(error)] += 1

    producer = Producer(
        {
            **login,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 20,
            "batch.size": 512 * 1024,
            "queue.buffering.max.messages": QUEUE_RECORDS,
        }
    )
    for value, headers, key in records:
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    key.encode(),
                    partition=_partition(key, partitions),
                    headers=[*headers],
                    on_delivery=acknowledged,
                )
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(FLUSH_TIMEOUT_SECONDS) or faults:
        raise NotWritten(f"Kafka did not acknowledge everything: {dict(faults) or 'no answer'}")


@cache
def _partition(key: str, partitions: int) -> int:
    return topics.partition_for(key.encode(), partitions)


def record_of(event: JSON) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of a movement."""
    return record_bytes(event, _key(event))


def record_bytes(event: JSON, key: str, *, by_regulator: bool = False) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of an event, byte for byte as ingest writes them (a test compares the two)."""
    attributes = {name: event[name].encode() for name in ("id", "source", "type", "time")}
    headers = [("ce_specversion", b"1.0"), *((f"ce_{name}", value) for name, value in attributes.items())]
    headers += [("ce_subject", key.encode()), ("content-type", b"application/json")]
    headers += [(AUTHORITY, REGULATOR)] * by_regulator
    return orjson.dumps(event["data"]), headers


def _key(event: JSON) -> str:
    data = event["data"]
    return str(data["key"] if event["type"] == CORRECTED else data["gtin"])
