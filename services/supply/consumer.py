"""Consumes the trusted topics: claims what Kafka assigns, decodes one batch while those before are written.

Partitions are dealt to lanes, each with its own transactions, so that PostgreSQL folds one lane's batch while another's
rows are on their way; two lanes meet no more often than two instances would.

Kafka's committed offset is only a hint; the position is a row that moves in the transaction of the batch. On
assignment everything is paused and claimed anew (epoch + 1); a consumer that lost its partition cannot write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from services.supply import metrics
from services.supply.claims import TOPIC_OF, Claim, Place, RecordsLost, check_range, claim
from services.supply.decode import Batch, Gap, decode
from services.supply.journal import Journal, NotOwner
from services.supply.settings import SupplySettings
from shared import topics
from shared.database import AWAY
from shared.kafka import CONSUMER_REQUEST_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS
from shared.stream import faststream_security
from shared.telemetry import logger

GROUP: Final = "supply"
FETCH_MAX_BYTES: Final = 16 * 1024 * 1024
PARTITION_FETCH_MAX_BYTES: Final = 4 * 1024 * 1024
BATCH_TIMEOUT_MS: Final = 50
HINT_EVERY_SECONDS: Final = 1.0
HINT_TIMEOUT_SECONDS: Final = 5.0
RETRY_FIRST_SECONDS: Final = 0.05
RETRY_MAX_SECONDS: Final = 2.0
# Longer than a heartbeat: a consumer that was paused learns from Kafka first that its partitions are gone.
RECLAIM_AFTER_SECONDS: Final = 3.0
# Another instance has just recorded the same event id, or two writers met: the same batch succeeds when tried again.
COLLISIONS: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)

log = logger(__name__)


class LedgerConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One instance's consumer. `fatal` is called with the reason when the process must end."""

    def __init__(
        self, settings: SupplySettings, pool: asyncpg.Pool, fatal: Callable[[str, BaseException], None]
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._lanes: list[asyncio.Queue[Batch]] = [asyncio.Queue(maxsize=1) for _ in range(settings.write_lanes)]
        self._writers: list[asyncio.Task[None]] = []
        self._fatal = fatal
        self._claimant = (settings.instance, settings.idle_in_transaction_timeout_ms)
        self._claims: dict[Place, Claim] = {}
        self._assigned: list[TopicPartition] | None = None  # None: Kafka has not said yet, or is saying it anew
        self._session = 0
        self._seeked_back: dict[Place, int] = {}
        self._claiming: asyncio.Task[None] | None = None
        self._hints: dict[TopicPartition, int] = {}
        self.broker = KafkaBroker(
            settings.kafka_bootstrap,
            client_id=f"supply-{settings.instance}",
            request_timeout_ms=CONSUMER_REQUEST_TIMEOUT_MS,
            security=faststream_security(settings),
            logger=None,
            allow_auto_create_topics=False,
        )
        self._subscriber = self.broker.subscriber(
            topics.MOVEMENTS,
            topics.REGISTRY,
            batch=True,
            group_id=GROUP,
            group_instance_id=settings.instance,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            max_records=settings.batch_records,
            batch_timeout_ms=BATCH_TIMEOUT_MS,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_MAX_BYTES,
            listener=self,
            parser=_untouched,
            decoder=_body,
        )
        self._subscriber(self._consume)

    @property
    def ready(self) -> bool:
        """Whether Kafka has told this instance its partitions (it may be none) and all of them are claimed."""
        return self._assigned is not None and len(self._claims) == len(self._assigned)

    @property
    def assigned(self) -> list[Place] | None:
        """The partitions that Kafka has given to this instance; None while it has not said."""
        return None if self._assigned is None else [(given.topic, given.partition) for given in self._assigned]

    @property
    def _consumer(self) -> AIOKafkaConsumer | None:
        return self._subscriber.consumer

    async def run(self) -> None:
        """Connects; from then on FastStream's loop calls `_consume`, and here Kafka is told how far the ledger is."""
        self._writers = [asyncio.create_task(self._write_lane(lane)) for lane in self._lanes]
        await self._connect()
        while True:
            await asyncio.sleep(HINT_EVERY_SECONDS)
            await self._hint()

    async def _connect(self) -> None:
        """Waits for a Kafka that is away."""
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                await self.broker.start()
                return
            except (KafkaError, OSError) as error:
                log.warning("Kafka away", error=str(error), retry_seconds=delay)
                await self.broker.stop()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_SECONDS)

    async def stop(self) -> None:
        """Lets the writes under way finish, then leaves."""
        if self._writers:
            written = [asyncio.create_task(lane.join()) for lane in self._lanes]
            _, late = await asyncio.wait(written, timeout=self._settings.shutdown_timeout_seconds / 2)
            for joining in late:
                joining.cancel()
        await self.broker.stop()
        for task in (*self._writers, self._claiming):
            if task is not None:
                task.cancel()

    # Kafka's assignment. These two are called by aiokafka, which swallows what they raise: they only note and start.

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._drop_claims()
        self._assigned = None

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._drop_claims()
        self._assigned = list(assigned)
        self._start_claiming(0.0)

    def _drop_claims(self) -> None:
        self._session += 1
        self._claims = {}
        self._seeked_back = {}
        metrics.CLAIMS.set(0)
        if self._claiming is not None:
            self._claiming.cancel()

    def _start_claiming(self, after_seconds: float) -> None:
        if self._assigned and self._consumer is not None:
            self._consumer.pause(*self._assigned)
            self._claiming = asyncio.create_task(
                self._guarded(self._claim(self._session, self._assigned, after_seconds))
            )

    async def _claim(self, session: int, assigned: list[TopicPartition], after_seconds: float) -> None:
        """Claims, seeks and resumes everything `assigned`, unless the assignment changes meanwhile."""
        await asyncio.sleep(after_seconds)
        delay = RETRY_FIRST_SECONDS
        while session == self._session and (consumer := self._consumer) is not None:
            try:
                claims = await claim(self._pool, [(tp.topic, tp.partition) for tp in assigned], *self._claimant)
                first = await consumer.beginning_offsets(assigned)
                end = await consumer.end_offsets(assigned)
            except (KafkaError, *AWAY, *COLLISIONS) as error:
                log.warning("cannot claim yet", error=str(error) or type(error).__name__, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_SECONDS)
                continue
            check_range(claims, _by_place(first), _by_place(end))
            if session == self._session:
                self._begin(consumer, assigned, claims)
            return

    def _begin(self, consumer: AIOKafkaConsumer, assigned: list[TopicPartition], claims: dict[Place, Claim]) -> None:
        for partition in assigned:
            consumer.seek(partition, claims[(partition.topic, partition.partition)].next_offset)
        self._claims = claims
        consumer.resume(*assigned)
        metrics.CLAIMS.set(len(claims))
        log.info("claimed", partitions={f"{t}[{p}]": held.next_offset for (t, p), held in claims.items()})

    # One batch. Called by FastStream, which swallows what a handler raises: everything ends in `_guarded`.

    async def _consume(self, raw: tuple[Any, ...]) -> None:
        await self._guarded(self._take(raw))

    async def _take(self, raw: tuple[Any, ...]) -> None:
        batches, gap = await decode(raw, self._claims, self._session, len(self._lanes))
        for lane, batch in zip(self._lanes, batches, strict=True):
            if batch.records:
                await lane.put(batch)
        if gap is not None and gap.session == self._session:
            self._seek_back(gap)

    async def _write_lane(self, lane: asyncio.Queue[Batch]) -> None:
        """Writes what comes, in its order."""
        journal = Journal(self._pool)
        while True:
            batch = await lane.get()
            await self._guarded(self._write(journal, batch))
            lane.task_done()

    def _seek_back(self, gap: Gap) -> None:
        """Once for each place; a second time the records are gone."""
        if self._seeked_back.get(gap.place) == gap.expected:
            raise RecordsLost(str(gap))
        self._seeked_back[gap.place] = gap.expected
        if self._consumer is not None and gap.place in self._claims:
            self._consumer.seek(TopicPartition(*gap.place), gap.expected)

    async def _write(self, journal: Journal, batch: Batch) -> None:
        """Tries the same batch until it is written or no longer ours."""
        delay = RETRY_FIRST_SECONDS
        while batch.session == self._session:
            try:
                with metrics.COMMIT_SECONDS.time():
                    written = await journal.write(batch.advances, batch.records)
            except NotOwner as error:
                self._lost(batch, error)
                return
            except (*AWAY, *COLLISIONS) as error:
                metrics.RETRIES.labels(type(error).__name__).inc()
                log.warning("cannot write yet", error=str(error) or type(error).__name__, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_SECONDS)
                continue
            for verdict, count in written.verdicts.items():
                metrics.RECORDS.labels(verdict.name.lower()).inc(count)
            metrics.ENTRIES.inc(written.entries)
            for step, (topic, partition) in zip(batch.advances, _places(batch), strict=True):
                self._hints[TopicPartition(topic, partition)] = step.next_offset
            return

    def _lost(self, batch: Batch, error: NotOwner) -> None:
        """Another instance claimed, or an earlier try of ours did commit: start again from the rows."""
        metrics.NOT_OWNER.inc()
        log.warning("not the owner", error=str(error), records=len(batch.records))
        if batch.session == self._session:
            self._drop_claims()
            self._start_claiming(RECLAIM_AFTER_SECONDS)

    async def _hint(self) -> None:
        """Tells those who watch the group's lag how far the ledger is. Beside the writing, which never waits for it."""
        hints, self._hints = self._hints, {}
        if (consumer := self._consumer) is None:
            return
        mine = {at: hints[at] for at in consumer.assignment() & hints.keys()}
        if not mine:
            return
        try:
            await asyncio.wait_for(consumer.commit(mine), HINT_TIMEOUT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.info("offset hint not taken", error=str(error) or type(error).__name__)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """A failure that nobody foresaw, and records that are lost, end the process with the reason."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except RecordsLost as error:
            self._fatal("records_lost", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
            self._fatal("bug in the consumer", error)


def _places(batch: Batch) -> list[Place]:
    return [(TOPIC_OF[step.topic_id], step.partition) for step in batch.advances]


def _by_place(offsets: dict[TopicPartition, int]) -> dict[Place, int]:
    return {(place.topic, place.partition): offset for place, offset in offsets.items()}


async def _untouched(message: tuple[Any, ...], original: Any) -> KafkaMessage:
    """The batch as it came: FastStream's own parser decodes headers as UTF-8 and gives up on one that is not."""
    return KafkaAckableMessage(body=message, raw_message=message, consumer=_NO_COMMIT)


async def _body(message: KafkaMessage, original: Any) -> Any:
    return message.body


class _NoCommit:
    """FastStream's message wants a consumer to commit with; positions are rows here, so there is nothing to do."""

    async def commit(self) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...


_NO_COMMIT = _NoCommit()
