"""Reads the topics of all producers with one member of the group ingest-edge, as raw bytes, on a thread of its own.

The client library calls back on rebalances from within its own calls; all of them are made on this one thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from operator import methodcaller
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from services.ingest.inbound import ENCODING, Inbound, cut
from services.ingest.settings import IngestSettings
from shared import topics
from shared.errors import Fault
from shared.kafka import HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS, confluent_config
from shared.telemetry import Throttle, logger

GROUP: Final = "ingest-edge"
PATTERN: Final = "^" + topics.INBOUND_PREFIX.replace(".", r"\.") + ".+"
WAIT_SECONDS: Final = 0.1
FIRST_LOOK_SECONDS: Final = 2.0
LAG_EVERY_SECONDS: Final = 2.0
LOG_THROTTLE_SECONDS: Final = 10.0

NEW_TOPICS_WITHIN_MS: Final = 2_000
MAX_POLL_INTERVAL_MS: Final = 60_000
# A compressed batch is expanded by the library before we can look at it: gzip up to 1,032 times, lz4 255, snappy about
# 20. One fetch brings no more than this, or one batch (of up to the topic's max.message.bytes) if that is larger, so
# that many small bombs do not come at once. zstd, which has no such bound, is refused beyond RECEIVE_BYTES.
FETCH_BYTES: Final = 64 * 1024
RECEIVE_BYTES: Final = 16 * 1024 * 1024
QUEUED_KBYTES: Final = 4 * 1024
QUEUED_MESSAGES: Final = 20_000
QUEUE_FULL_BACKOFF_MS: Final = 10
ERROR_BACKOFF_MS: Final = 200

# Called like any function `headers` would be specialised by Python 3.11 and later, and then not notice that it failed:
# for the name of a header that is not UTF-8 that ends in a segmentation fault.
_headers: Final = methodcaller("headers")
_log = logging.getLogger(__name__)
_log.addFilter(Throttle(LOG_THROTTLE_SECONDS))
log = logger(__name__)

T = TypeVar("T")
Partition = tuple[str, int]
Ends = dict[Partition, tuple[int, int]]


@dataclass(slots=True)
class Held:
    """A partition that is ours. `tenure` is another each time it is assigned."""

    tenure: int
    next_offset: int | None = None


@dataclass(slots=True)
class Taken:
    """Records in the order of their partitions, and how far that is: partition -> (tenure, next offset).

    `unread` are places (tenure, offset) at which the library cannot read on: the second reader must, and `skip` goes on
    behind them. `nameless` tells which of `records` have headers that it cannot hand out.
    """

    records: list[Inbound] = field(default_factory=list)
    ends: Ends = field(default_factory=dict)
    unread: Ends = field(default_factory=dict)
    nameless: list[int] = field(default_factory=list)


class InboundReader:
    """Every method may be awaited from one event loop; calls follow one another."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "inbound")
        self._consumer: Consumer | None = None
        self._held: dict[Partition, Held] = {}
        self._tenures = count(1)
        self._paused = False
        self._left: list[Message] = []
        self._looked_at = 0.0
        self._lag_at = 0.0
        self.joined = False
        self.lag = 0

    # From the event loop.

    async def open(self) -> None:
        await self._call(self._open)

    async def take(self, most: int) -> Taken:
        """Waits up to WAIT_SECONDS for a first record, then takes what is there, up to `most`."""
        return await self._call(lambda: self._take(most))

    async def commit(self, ends: Ends) -> None:
        """Notes that everything before `ends` is settled, for partitions that have been ours all the while."""
        await self._call(lambda: self._commit(ends))

    async def skip(self, place: Partition, tenure: int, next_offset: int) -> None:
        """Goes on at `next_offset`, if the partition is still ours."""
        await self._call(lambda: self._skip(place, tenure, next_offset))

    async def pause(self) -> None:
        await self._call(lambda: self._pause(True))

    async def poll(self) -> None:
        """While paused: keeps our place in the group."""
        await self._call(self._poll)

    async def resume(self) -> None:
        await self._call(lambda: self._pause(False))

    async def close(self, timeout_seconds: float) -> None:
        if self._consumer is not None:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._call(self._consumer.close)
            except TimeoutError:
                log.warning("left the group without a word")
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # On the thread.

    def _open(self) -> None:
        self._consumer = Consumer(_config(self._settings), logger=_log)
        self._consumer.subscribe([PATTERN], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    @property
    def _client(self) -> Consumer:
        assert self._consumer is not None
        return self._consumer

    def _take(self, most: int) -> Taken:
        messages, self._left = self._left, []
        if not messages:
            first = self._client.poll(WAIT_SECONDS)
            messages = [] if first is None else [first, *self._client.consume(most - 1, 0)]
        if not self.joined and time.monotonic() - self._looked_at > FIRST_LOOK_SECONDS:
            self._look_for_topics()
        self._measure_lag()
        return self._taken(messages)

    def _taken(self, messages: Sequence[Message]) -> Taken:
        taken = Taken()
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            held = self._held.get(place)
            error = message.error()
            if error is not None:
                self._failed(place, held, message.offset(), error, taken)
                continue
            offset = message.offset()
            assert offset is not None
            if held is None:
                continue  # no longer ours
            record, named = _inbound(message, place, offset)
            if not named:
                taken.nameless.append(len(taken.records))
            taken.records.append(record)
            held.next_offset = offset + 1
            taken.ends[place] = held.tenure, held.next_offset
        return taken

    def _failed(self, place: Partition, held: Held | None, offset: int | None, error: KafkaError, taken: Taken) -> None:
        """A batch that cannot be read stands in the way for ever; all else passes by itself."""
        if error.fatal():
            raise KafkaException(error)
        if held is not None and offset is not None and offset >= 0 and error.code() in _UNREAD:
            if held.next_offset is None or offset >= held.next_offset:
                taken.unread[place] = held.tenure, offset
            else:  # the second reader has passed it over meanwhile
                self._skip(place, held.tenure, held.next_offset)
            return
        _log.warning("the group's client: %s", error.str())

    def _commit(self, ends: Ends) -> None:
        offsets = [
            TopicPartition(*place, next_offset)
            for place, (tenure, next_offset) in ends.items()
            if (held := self._held.get(place)) is not None and held.tenure == tenure
        ]
        if offsets:
            try:
                self._client.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                _log.warning("not committed: %s", error)

    def _skip(self, place: Partition, tenure: int, next_offset: int) -> None:
        held = self._held.get(place)
        if held is not None and held.tenure == tenure:
            held.next_offset = next_offset
            self._client.seek(TopicPartition(*place, next_offset))

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        partitions = [TopicPartition(*place) for place in self._held]
        (self._client.pause if paused else self._client.resume)(partitions)

    def _poll(self) -> None:
        message = self._client.poll(WAIT_SECONDS)
        if message is not None:  # it was on its way when we paused
            self._left.append(message)

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        for partition in assigned:
            self._held[(partition.topic, partition.partition)] = Held(next(self._tenures))
        consumer.incremental_assign(assigned)
        if self._paused and assigned:
            consumer.pause(assigned)
        self.joined = True
        log.info("assigned", partitions=len(assigned), held=len(self._held))

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        for partition in revoked:
            self._held.pop((partition.topic, partition.partition), None)
        log.info("revoked", partitions=len(revoked), held=len(self._held))

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        self.joined = False
        self._on_revoke(consumer, lost)

    def _look_for_topics(self) -> None:
        """Where no producer has a topic yet there is no group to join."""
        try:
            found = self._client.list_topics(timeout=FIRST_LOOK_SECONDS).topics
        except KafkaException as error:
            _log.warning("Kafka is away: %s", error)
            return
        self._looked_at = time.monotonic()
        self.joined = not any(name.startswith(topics.INBOUND_PREFIX) for name in found)

    def _measure_lag(self) -> None:
        now = time.monotonic()
        if now - self._lag_at < LAG_EVERY_SECONDS:
            return
        self._lag_at, lag = now, 0
        for place, held in self._held.items():
            _, end = self._client.get_watermark_offsets(TopicPartition(*place), cached=True)
            if held.next_offset is not None and end > held.next_offset:
                lag += end - held.next_offset
        self.lag = lag


_UNREAD: Final = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)


def _inbound(message: Message, place: Partition, offset: int) -> tuple[Inbound, bool]:
    """The record, and whether its headers could be handed out."""
    at_type, at = message.timestamp()
    try:
        headers, fault = _headers(message) or [], None
    except (SystemError, UnicodeDecodeError):
        headers, fault = [], Fault(None, ENCODING, "the name of a header is not UTF-8")
    taken_at = at if at_type else None
    record = Inbound(*place, offset, taken_at, message.key(), message.value(), headers, fault)
    return cut(record), fault is None


def _not_committed(error: KafkaError | None, _: list[TopicPartition]) -> None:
    """The next commit says the same and more; till then a restart would read records again, which is harmless."""
    if error is not None:
        _log.warning("not committed: %s", error.str())


def _config(settings: IngestSettings) -> dict[str, Any]:
    return {
        **confluent_config(settings),
        "client.id": f"ingest-{settings.instance}",
        "group.id": GROUP,
        # The same instance started again takes its partitions up at once.
        "group.instance.id": settings.instance,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": SESSION_TIMEOUT_MS,
        "heartbeat.interval.ms": HEARTBEAT_INTERVAL_MS,
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        "on_commit": _not_committed,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": NEW_TOPICS_WITHIN_MS,
        "message.max.bytes": FETCH_BYTES,  # the library raises fetch.max.bytes to this
        "fetch.max.bytes": FETCH_BYTES,
        "max.partition.fetch.bytes": FETCH_BYTES,
        "receive.message.max.bytes": RECEIVE_BYTES,
        "queued.max.messages.kbytes": QUEUED_KBYTES,
        "queued.min.messages": QUEUED_MESSAGES,
        "fetch.queue.backoff.ms": QUEUE_FULL_BACKOFF_MS,
        "fetch.error.backoff.ms": ERROR_BACKOFF_MS,
        "reconnect.backoff.max.ms": 1_000,
    }
