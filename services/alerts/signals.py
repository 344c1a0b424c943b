"""Reads supply.signals.v1 in batches and has each batch applied; Kafka's offsets are only a hint of where to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from pydantic import BaseModel

from services.alerts import metrics
from services.alerts.facts import Facts, Signal
from services.alerts.queries import Queries
from services.alerts.settings import AlertsSettings
from services.alerts.store.alerts import AlertStore, Batch, Unreadable
from shared import topics
from shared.clock import day_of
from shared.errors import Transient
from shared.kafka import HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS, security
from shared.patience import patiently
from shared.signals import Anomaly, Goal, Indicator, Obligation
from shared.signals import Signal as SignalRecord
from shared.stream import faststream_security
from shared.telemetry import logger

GROUP: Final = "alerts"
BATCH_WAIT_MS: Final = 100
GRACEFUL_TIMEOUT_SECONDS: Final = 3.0
# What fits a row of an index of PostgreSQL beside the name of a rule.
SUBJECT_MAX_BYTES: Final = 2_500
CATCH_UP_POLL_SECONDS: Final = 0.2
_MODELS: Final[dict[str, type[BaseModel]]] = {
    "indicator": Indicator,
    "goal": Goal,
    "obligation": Obligation,
    "anomaly": Anomaly,
}

log = logger(__name__)


def decode(value: bytes | None) -> Signal:
    """The signal in a record. Raises ValueError or OverflowError for one that supply cannot have meant.

    What it returns the database can hold and rules can look at: a record that ended the process would do so for ever.
    """
    if b"\\u0000" in (value or b""):
        raise ValueError("holds the character NUL, which PostgreSQL's jsonb cannot")
    record = SignalRecord.model_validate(orjson.loads(value or b""))  # which, unlike pydantic, takes no NaN
    signal = Signal(record.subject, record.version, record.at.astimezone(UTC), record.data)
    model = _MODELS.get(signal.kind)
    if model is None or len(signal.subject.encode()) > SUBJECT_MAX_BYTES:
        raise ValueError(f"no signal has the subject {record.subject[:100]!r}")
    model.model_validate(record.data)
    Facts(signal, day_of(signal.at))
    return signal


def batch_of(records: Sequence[ConsumerRecord[Any, Any]]) -> Batch:
    """What `records` hold, each looked at by itself: an unreadable one is kept and its neighbours go on."""
    signals, unreadable, positions = [], [], {}
    for record in records:
        positions[record.partition] = record.offset + 1
        try:
            signals.append(decode(record.value))
        except (ValueError, OverflowError) as error:
            unreadable.append(Unreadable(record.partition, record.offset, str(error), record.value))
    metrics.SIGNALS.labels("read").inc(len(signals))
    metrics.SIGNALS.labels("unreadable").inc(len(unreadable))
    return Batch(topics.SIGNALS, tuple(signals), positions, tuple(unreadable))


class Signals:
    """The consumer. `fail` is told of a bug, because FastStream swallows what a handler raises."""

    def __init__(
        self, store: AlertStore, queries: Queries, settings: AlertsSettings, fail: Callable[[BaseException], None]
    ) -> None:
        self._store = store
        self._queries = queries
        self._settings = settings
        self._fail = fail
        self._broker: KafkaBroker | None = None
        self._positions = Positions(queries, fail)

    async def run(self) -> None:
        """Until cancelled; starts again when Kafka was away at the start."""
        await patiently("the topic of signals", self._start)
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self._positions.stop()
        if self._broker is not None:
            await self._broker.stop()

    async def answers(self, timeout_seconds: float) -> bool:
        """Whether Kafka answers now."""
        return self._broker is not None and await self._broker.ping(timeout_seconds)

    async def lag(self, timeout_seconds: float) -> int | None:
        """How many offsets of the topic are not applied, whichever instance does it; None while Kafka does not say.

        Raises Transient while the database is away.
        """
        consumer = self._positions.consumer()
        known = consumer.partitions_for_topic(topics.SIGNALS) if consumer is not None else None
        if consumer is None or not known:
            return None
        try:
            async with asyncio.timeout(timeout_seconds):
                ends = await consumer.end_offsets([TopicPartition(topics.SIGNALS, n) for n in known])
        except (KafkaError, TimeoutError):
            return None
        applied = await self._queries.positions(topics.SIGNALS)
        waiting: int = sum(max(0, end - applied.get(place.partition, 0)) for place, end in ends.items())
        return waiting

    async def _start(self) -> None:
        broker = self._declared()
        try:
            await broker.start()
        except (KafkaError, OSError) as error:
            self._positions.stop()
            await broker.stop()
            raise Transient("Kafka is away") from error
        self._broker = broker

    def _declared(self) -> KafkaBroker:
        settings = self._settings
        broker = KafkaBroker(
            settings.kafka_bootstrap,
            security=faststream_security(settings),
            client_id=f"alerts-{settings.instance}",
            apply_types=False,
            allow_auto_create_topics=False,
            graceful_timeout=GRACEFUL_TIMEOUT_SECONDS,
            logger=None,
        )
        subscriber = broker.subscriber(
            topics.SIGNALS,
            batch=True,
            group_id=GROUP,
            auto_offset_reset="earliest",
            max_records=settings.signals_batch_records,
            batch_timeout_ms=BATCH_WAIT_MS,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            listener=self._positions,
            decoder=_as_it_came,
        )
        self._positions.consumer = lambda: subscriber.consumer
        subscriber(self._handle)
        return broker

    async def _handle(self, message: KafkaMessage) -> None:
        try:
            records = message.raw_message
            batch = batch_of(records if isinstance(records, tuple) else (records,))
            with metrics.APPLY_SECONDS.time():
                await patiently("signals to apply", lambda: self._store.apply(batch))
            await _hint(message)
        except Exception as error:  # noqa: BLE001 - FastStream would swallow it
            self._fail(error)


async def _hint(message: KafkaMessage) -> None:
    """Tells Kafka how far we are; it takes no offsets of a group that has changed since, and need not."""
    try:
        await message.ack()
    except KafkaError as error:
        log.info("offset hint not taken", error=str(error) or type(error).__name__)


async def _as_it_came(message: Any) -> Any:
    return message


class Positions(ConsumerRebalanceListener):  # type: ignore[misc]
    """Goes back to what the database has applied where Kafka's offset is ahead of it, as after a restore.

    Nothing is read before that is known: a batch applied first would move the database's position past what it lacks.
    aiokafka swallows what a listener raises, so this one only pauses and starts a task that ends in `_guarded`.
    """

    def __init__(self, queries: Queries, fail: Callable[[BaseException], None]) -> None:
        self._queries = queries
        self._fail = fail
        self._task: asyncio.Task[None] | None = None
        self.consumer: Callable[[], AIOKafkaConsumer | None] = lambda: None

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.stop()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.stop()
        partitions, consumer = tuple(assigned), self.consumer()
        if partitions and consumer is not None:
            consumer.pause(*partitions)
            self._task = asyncio.create_task(self._guarded(consumer, partitions))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _guarded(self, consumer: AIOKafkaConsumer, partitions: tuple[TopicPartition, ...]) -> None:
        try:
            await patiently("positions", lambda: self._go_back(consumer, partitions))
        except Exception as error:  # noqa: BLE001 - nobody awaits the task, and the partitions would stay paused
            self._fail(error)

    async def _go_back(self, consumer: AIOKafkaConsumer, partitions: tuple[TopicPartition, ...]) -> None:
        """Raises Transient while the database or Kafka is away; cancelled when the partitions are taken away."""
        applied = await self._queries.positions(topics.SIGNALS)
        try:
            offsets = {partition: await consumer.position(partition) for partition in partitions}
        except KafkaError as error:
            raise Transient("Kafka is away") from error
        for partition, offset in offsets.items():
            wanted = applied.get(partition.partition, 0)
            if wanted < offset:
                log.info("reading signals again", partition=partition.partition, from_offset=wanted)
                consumer.seek(partition, wanted)
        consumer.resume(*partitions)


class CaughtUp:
    """Whether the signals up to the end that the topic had at the start have been applied, by whichever instance."""

    def __init__(self, queries: Queries, settings: AlertsSettings) -> None:
        self._queries = queries
        self._settings = settings
        self._done = asyncio.Event()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    async def wait(self) -> None:
        await self._done.wait()

    async def run(self) -> None:
        ends = await patiently("the end of the signals", self._ends)
        while not await patiently("positions", lambda: self._reached(ends)):
            await asyncio.sleep(CATCH_UP_POLL_SECONDS)
        self._done.set()

    async def _reached(self, ends: dict[int, int]) -> bool:
        applied = await self._queries.positions(topics.SIGNALS)
        return all(applied.get(partition, 0) >= end for partition, end in ends.items())

    async def _ends(self) -> dict[int, int]:
        """The end of every partition that holds anything."""
        consumer = AIOKafkaConsumer(topics.SIGNALS, **security(self._settings), group_id=None, enable_auto_commit=False)
        try:
            await consumer.start()
            partitions = [
                TopicPartition(topics.SIGNALS, n) for n in consumer.partitions_for_topic(topics.SIGNALS) or ()
            ]
            if not partitions:
                raise Transient(f"topic {topics.SIGNALS} is not there")
            begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        except (KafkaError, OSError) as error:
            raise Transient("Kafka is away") from error
        finally:
            await consumer.stop()
        return {partition.partition: ends[partition] for partition in partitions if ends[partition] > begins[partition]}
