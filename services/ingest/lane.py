"""Each partition's way to Kafka: one batch is under way, and what comes meanwhile fills the next.

So many small requests cost little more than one large, and a request alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared import topics
from shared.events.cloudevent import Record

PARTITION_CACHE_KEYS: Final = 65_536
_partition_for = lru_cache(PARTITION_CACHE_KEYS)(topics.partition_for)


class Batch:
    """Records that a partition takes together. `first_offset` is known when Kafka has acknowledged them."""

    __slots__ = ("builder", "first_offset", "partition", "topic")

    def __init__(self, topic: str, partition: int, builder: Any) -> None:
        self.topic, self.partition, self.builder = topic, partition, builder
        self.first_offset: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.first_offset.add_done_callback(_looked_at)


class Lanes:
    """The lanes of one client, to topics with so many `partitions`."""

    def __init__(self, producer: AIOKafkaProducer, partitions: Mapping[str, int]) -> None:
        self.producer = producer
        self._lanes = {
            topic: [_Lane(producer, topic, number) for number in range(count)] for topic, count in partitions.items()
        }

    def add(self, record: Record) -> tuple[Batch, int]:
        """The batch that `record` goes with, and its number in it. Raises KafkaError if its lane has failed."""
        lanes = self._lanes[record.topic]
        return lanes[_partition_for(record.key, len(lanes))].add(record)


class _Lane:
    """Once a batch has failed, so has every one behind it: the sequence of the client would have a gap."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._waiting: deque[Batch] = deque()
        self._running: asyncio.Task[None] | None = None
        self._failure: KafkaError | None = None

    def add(self, record: Record) -> tuple[Batch, int]:
        if self._failure is not None:
            raise copy.copy(self._failure)
        _, key, value, headers = record
        batch = self._waiting[-1] if self._waiting else self._open()
        told = batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        if told is None:  # it is full; an empty one takes a record of any size
            batch = self._open()
            told = batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        return batch, told.offset

    def _open(self) -> Batch:
        batch = Batch(self._topic, self._partition, self._producer.create_batch())
        self._waiting.append(batch)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return batch

    async def _run(self) -> None:
        """Sends batch after batch for as long as any waits."""
        try:
            while self._waiting:
                await self._send(self._waiting.popleft())
        finally:
            self._running = None

    async def _send(self, batch: Batch) -> None:
        batch.builder.close()
        try:
            under_way = await self._producer.send_batch(batch.builder, self._topic, partition=self._partition)
            batch.first_offset.set_result((await under_way).offset)
        except KafkaError as error:
            self._failure = error
            for lost in (batch, *self._waiting):
                lost.first_offset.set_exception(copy.copy(error))
            self._waiting.clear()


async def acknowledged(batches: Iterable[Batch], timeout_seconds: float) -> None:
    """Returns when Kafka has every batch. Raises KafkaError or TimeoutError; a batch goes on, whoever gives it up."""
    futures = {batch.first_offset for batch in batches}
    done, pending = await asyncio.wait(futures, timeout=timeout_seconds, return_when=asyncio.FIRST_EXCEPTION)
    for future in done:
        future.result()
    if pending:
        raise TimeoutError


def _looked_at(future: asyncio.Future[int]) -> None:
    """Whoever gave up waiting has been told; a failure that comes later is no news."""
    if not future.cancelled():
        future.exception()
