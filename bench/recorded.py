"""Reads the movements back from the topic with their places: what an answer as known at a checkpoint must rest on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson
from confluent_kafka import Consumer, TopicPartition

from bench.movements import JSON
from shared import topics

POLL_RECORDS: Final = 5_000
POLL_SECONDS: Final = 5.0


class Recorded(NamedTuple):
    """An event and where it stands in the topic of movements."""

    key: str
    partition: int
    offset: int
    event: JSON


def movements(login: dict[str, Any], partitions: int, products: frozenset[str] | None = None) -> Iterator[Recorded]:
    """Every movement of these products (None: of all), each partition in its order."""
    consumer = Consumer({**login, "group.id": f"bench-{uuid.uuid4()}", "enable.auto.commit": False})
    try:
        for number in range(partitions):
            yield from _partition(consumer, number, products)
    finally:
        consumer.close()


def _partition(consumer: Consumer, number: int, products: frozenset[str] | None) -> Iterator[Recorded]:
    place = TopicPartition(topics.MOVEMENTS, number, 0)
    _, end = consumer.get_watermark_offsets(place)
    consumer.assign([place])
    following = 0
    while following < end:
        for message in consumer.consume(POLL_RECORDS, POLL_SECONDS):
            key, offset = (message.key() or b"").decode(), message.offset()
            assert offset is not None
            following = offset + 1
            if products is None or key in products:
                yield Recorded(key, number, offset, _event(message))


def _event(message: Any) -> JSON:
    headers = {name: value.decode() for name, value in message.headers()}
    attributes = {name: headers[f"ce_{name}"] for name in ("id", "source", "type", "time")}
    return {**attributes, "data": orjson.loads(message.value())}
