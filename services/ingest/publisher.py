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
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.ingest import metrics
from services.ingest.lane import Lanes, acknowledged
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
        self._lanes: Lanes | None = None
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
                partitions = {topic: len(await producer.partitions_for(topic)) for topic in TOPICS}
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("kafka away", error=str(error), retry_seconds=RECONNECT_SECONDS)
            self._retire(producer)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._lanes = Lanes(producer, partitions)
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
            lanes = await self._current()
            started = time.perf_counter()
            try:
                places = await self._acknowledged(lanes, records)
            except (KafkaError, TimeoutError) as error:
                metrics.PUBLISH_FAILURES.inc()
                self._replace(lanes, error)
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

    async def _current(self) -> Lanes:
        if self._lanes is None:
            try:
                async with asyncio.timeout(self._settings.connect_wait_seconds):
                    await self._connected.wait()
            except TimeoutError:
                raise self._away("Kafka is away; nothing was recorded") from None
        assert self._lanes is not None
        return self._lanes

    async def _acknowledged(self, lanes: Lanes, records: Sequence[Record]) -> list[Place]:
        """Raises KafkaError or TimeoutError."""
        added = [lanes.add(record) for record in records]
        await acknowledged((batch for batch, _ in added), self._settings.publish_timeout_seconds)
        return [Place(batch.topic, batch.partition, batch.first_offset.result() + number) for batch, number in added]

    def _away(self, detail: str) -> Transient:
        return Transient(detail, self._settings.retry_after_seconds)

    def _replace(self, lanes: Lanes, error: BaseException) -> None:
        """Retires the client of `lanes` unless another request has done so already."""
        if lanes is not self._lanes:
            return
        log.warning("client retired", error=f"{type(error).__name__}: {error}")
        self._lanes = None
        self._connected.clear()
        self._wanted.set()
        metrics.KAFKA_CONNECTED.set(0)
        self._retire(lanes.producer)

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Lets it send what it holds when Kafka is back, then closes it; other requests may still wait for it."""
        task = asyncio.create_task(_stop(producer))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _close(self) -> None:
        lanes, self._lanes = self._lanes, None
        self._connected.clear()
        if lanes is not None:
            try:
                async with asyncio.timeout(self._settings.shutdown_timeout_seconds / 2):
                    await _stop(lanes.producer)
            except TimeoutError:
                log.warning("closed with unsent events")
        await stop_tasks(*self._retired)


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except KafkaError as error:
        log.warning("client closed", error=str(error))
