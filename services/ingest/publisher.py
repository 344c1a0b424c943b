"""Hands records to Kafka and answers when every one is acknowledged; heals by itself when Kafka was away.

An idempotent client that has given up on a batch can be left with a gap in its sequence numbers, which the broker
refuses for ever. So a client that failed once is retired, with whatever it still holds, and a fresh one takes its
place: the caller was told that the outcome is unknown, and sending the same event again is always safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.ingest import metrics
from services.ingest.settings import IngestSettings
from shared import kafka, topics
from shared.errors import Transient
from shared.events.cloudevent import Record
from shared.telemetry import logger
from shared.web import stop_tasks

RECONNECT_SECONDS: Final = 0.5
START_TIMEOUT_SECONDS: Final = 20.0
# Where events, refused records and keys go; the number of partitions of each never changes.
TOPICS: Final = (topics.MOVEMENTS, topics.REGISTRY, topics.REJECTED, topics.ACCESS)

# From this many records for one partition on, they are handed over as one batch: a third of the time a record.
WHOLE_BATCH_RECORDS: Final = 8
PARTITION_CACHE_KEYS: Final = 65_536

_partition_for = lru_cache(PARTITION_CACHE_KEYS)(topics.partition_for)
log = logger(__name__)


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Publisher:
    """The one way to Kafka. Run `run` as a task; `publish` from anywhere."""

    def __init__(
        self, settings: IngestSettings, new_producer: Callable[[IngestSettings], AIOKafkaProducer] = kafka.producer
    ) -> None:
        self._settings = settings
        self._new_producer = new_producer
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._connected = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._retired: set[asyncio.Task[None]] = set()
        self._in_flight = 0

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def run(self) -> None:
        """Keeps one started client for as long as the task lives."""
        try:
            while True:
                await self._wanted.wait()
                await self._connect()
        finally:
            await self._close()

    async def _connect(self) -> None:
        producer = self._new_producer(self._settings)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await producer.start()
                for topic in TOPICS:
                    self._partitions[topic] = len(await producer.partitions_for(topic))
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("kafka away", error=str(error), retry_seconds=RECONNECT_SECONDS)
            self._retire(producer)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._producer = producer
        self._wanted.clear()
        self._connected.set()
        metrics.KAFKA_CONNECTED.set(1)

    async def publish(self, records: Sequence[Record]) -> list[Place]:
        """Where each record was acknowledged to lie, in their order.

        Raises Transient when Kafka does not acknowledge all in time; any part may then be recorded.
        """
        if not records:
            return []
        with self._room(len(records)):
            producer = await self._current()
            started = time.perf_counter()
            try:
                places = await self._acknowledged(producer, records)
            except (KafkaError, TimeoutError) as error:
                metrics.PUBLISH_FAILURES.inc()
                self._replace(producer, error)
                raise self._away("Kafka did not acknowledge in time; any part may be recorded") from error
            metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
            return places

    @contextmanager
    def _room(self, count: int) -> Iterator[None]:
        if self._in_flight + count > self._settings.in_flight_limit_events and self._in_flight:
            raise Transient("too many events are waiting for Kafka", retry_after_seconds=1)
        self._in_flight += count
        metrics.IN_FLIGHT_EVENTS.set(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= count
            metrics.IN_FLIGHT_EVENTS.set(self._in_flight)

    async def _current(self) -> AIOKafkaProducer:
        try:
            async with asyncio.timeout(self._settings.connect_wait_seconds):
                await self._connected.wait()
        except TimeoutError:
            raise self._away("Kafka is away; nothing was recorded") from None
        assert self._producer is not None
        return self._producer

    async def _acknowledged(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Place]:
        """Raises KafkaError or TimeoutError."""
        groups: dict[tuple[str, int], list[int]] = {}
        for index, record in enumerate(records):
            partition = _partition_for(record.key, self._partitions[record.topic])
            groups.setdefault((record.topic, partition), []).append(index)
        async with asyncio.timeout(self._settings.publish_timeout_seconds):
            sent = await asyncio.gather(
                *(
                    _send(producer, topic, partition, [records[index] for index in indexes])
                    for (topic, partition), indexes in groups.items()
                )
            )
        places: list[Place | None] = [None] * len(records)
        for ((topic, partition), indexes), offsets in zip(groups.items(), sent, strict=True):
            for index, offset in zip(indexes, offsets, strict=True):
                places[index] = Place(topic, partition, offset)
        return [place for place in places if place is not None]

    def _away(self, detail: str) -> Transient:
        return Transient(detail, self._settings.retry_after_seconds)

    def _replace(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        """Retires `producer` unless another request has done so already."""
        if producer is not self._producer:
            return
        log.warning("client retired", error=f"{type(error).__name__}: {error}")
        self._producer = None
        self._connected.clear()
        self._wanted.set()
        metrics.KAFKA_CONNECTED.set(0)
        self._retire(producer)

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Lets it send what it holds when Kafka is back, then closes it; other requests may still wait for it."""
        task = asyncio.create_task(_stop(producer))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        self._connected.clear()
        if producer is not None:
            try:
                async with asyncio.timeout(self._settings.shutdown_timeout_seconds / 2):
                    await _stop(producer)
            except TimeoutError:
                log.warning("closed with unsent events")
        await stop_tasks(*self._retired)


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]) -> list[int]:
    """The offsets of `records`. A few are left to the client to gather with those of others, many are one batch."""
    futures: list[asyncio.Future[Any]] = []
    counts: list[int] = []
    if len(records) < WHOLE_BATCH_RECORDS:
        for record in records:
            _, key, value, headers = record
            futures.append(await producer.send(topic, value, key, partition=partition, headers=headers))
            counts.append(1)
    else:
        for batch in _batches(producer, records):
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            counts.append(batch.record_count())
    for future in futures:
        future.add_done_callback(_looked_at)
    # Not gather: it would cancel the futures of a request that is given up, by which the client keeps its books.
    await asyncio.wait(futures)
    return [future.result().offset + n for future, count in zip(futures, counts, strict=True) for n in range(count)]


def _batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[Any]:
    """Closed batches that hold `records` in their order."""
    batch = producer.create_batch()
    for record in records:
        told = {"timestamp": None, "key": record.key, "value": record.value, "headers": record.headers}
        if batch.append(**told) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(**told)  # an empty batch takes a record of any size
    batch.close()
    yield batch


def _looked_at(future: asyncio.Future[Any]) -> None:
    """Whoever gave up waiting has been told; a failure that comes later is no news."""
    if not future.cancelled():
        future.exception()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except KafkaError as error:
        log.warning("client closed", error=str(error))
