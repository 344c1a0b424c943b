"""The bare way in: Starlette, msgspec and an idempotent producer, as a reader of their documentation writes it.

It decodes events into typed structs, finds the key, and answers when Kafka has acknowledged: nothing is checked beyond
the types of the envelope, nobody is asked who they are. Each event is one send, and the client gathers them. With
BENCH_GROUPED=1 what a partition gets of a batch is handed over as one record batch instead, which is the fastest that
aiokafka can do, and what ingest does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final

import msgspec
import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import topics
from shared.events.cloudevent import BATCH

# The settings that ingest's own producer has.
LINGER_MS: Final = 2
BATCH_BYTES: Final = 256 * 1024
REQUEST_BYTES: Final = 8 * 1024 * 1024
PARTITION_CACHE_KEYS: Final = 65_536
_partition_for = lru_cache(PARTITION_CACHE_KEYS)(topics.partition_for)


class Event(msgspec.Struct):
    id: str
    source: str
    type: str
    time: str
    specversion: str
    data: msgspec.Raw


class _Keyed(msgspec.Struct):
    """What the data of a movement, or of a correction of one, is keyed by."""

    gtin: str | None = None
    key: str | None = None


_one = msgspec.json.Decoder(Event)
_many = msgspec.json.Decoder(list[Event])
_keyed = msgspec.json.Decoder(_Keyed)


class Bare:
    """The application and its producer."""

    def __init__(self, grouped: bool) -> None:
        self._grouped = grouped
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0

    def app(self) -> Starlette:
        routes = [Route("/events", self.post, methods=["POST"]), Route("/ready", _ready)]
        return Starlette(routes=routes, lifespan=self._life)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(
            bootstrap_servers=os.environ["BENCH_KAFKA_BOOTSTRAP"],
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-256",
            sasl_plain_username=os.environ["BENCH_KAFKA_USERNAME"],
            sasl_plain_password=os.environ["BENCH_KAFKA_PASSWORD"],
            enable_idempotence=True,
            acks="all",
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )
        await producer.start()
        self._producer, self._partitions = producer, len(await producer.partitions_for(topics.MOVEMENTS))
        yield
        await producer.stop()

    async def post(self, request: Request) -> Response:
        body = await request.body()
        events = _many.decode(body) if request.headers["content-type"] == BATCH else [_one.decode(body)]
        places = await (self._send_grouped(events) if self._grouped else self._send(events))
        return Response(msgspec.json.encode({"accepted": places}), 202, media_type="application/json")

    async def _send(self, events: list[Event]) -> list[dict[str, Any]]:
        assert self._producer is not None
        futures = []
        for event in events:
            key = _key(event)
            place = {"partition": _partition_for(key, self._partitions), "headers": _headers(event, key)}
            futures.append(await self._producer.send(topics.MOVEMENTS, bytes(event.data), key, **place))
        sent = await asyncio.gather(*futures)
        return [_place(event, found.partition, found.offset) for event, found in zip(events, sent, strict=True)]

    async def _send_grouped(self, events: list[Event]) -> list[dict[str, Any]]:
        assert self._producer is not None
        groups: dict[int, list[int]] = {}
        keys = [_key(event) for event in events]
        for number, key in enumerate(keys):
            groups.setdefault(_partition_for(key, self._partitions), []).append(number)
        futures = []
        for partition, numbers in groups.items():
            batch = self._producer.create_batch()
            for number in numbers:
                event, key = events[number], keys[number]
                batch.append(timestamp=None, key=key, value=bytes(event.data), headers=_headers(event, key))
            batch.close()
            futures.append(await self._producer.send_batch(batch, topics.MOVEMENTS, partition=partition))
        sent = await asyncio.gather(*futures)
        places: list[dict[str, Any]] = [{}] * len(events)
        for (partition, numbers), first in zip(groups.items(), sent, strict=True):
            for offset, number in enumerate(numbers, first.offset):
                places[number] = _place(events[number], partition, offset)
        return places


async def _ready(_: Request) -> Response:
    return Response()


def _key(event: Event) -> bytes:
    found = _keyed.decode(event.data)
    return (found.gtin or found.key or "").encode()


def _headers(event: Event, key: bytes) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", event.time.encode()),
        ("ce_subject", key),
        ("content-type", b"application/json"),
    ]


def _place(event: Event, partition: int, offset: int) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "topic": topics.MOVEMENTS, "partition": partition, "offset": offset}


if __name__ == "__main__":
    grouped = os.environ["BENCH_GROUPED"] == "1"
    uvicorn.run(
        Bare(grouped).app(), host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), loop="uvloop", log_level="warning"
    )
