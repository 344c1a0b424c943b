"""Writes signed checkpoints to `supply.checkpoints.v1`, and reads what stands there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.supply.signing import TYPE, Signed, read_signed
from shared import topics
from shared.kafka import producer as kafka_producer
from shared.kafka import security
from shared.settings import ServiceSettings
from shared.signals import SOURCE

KEY: Final = b"ledger"
SUBJECT: Final = "ledger"
PUBLISH_TIMEOUT_SECONDS: Final = 10.0
READ_TIMEOUT_SECONDS: Final = 10.0
# A holder of the lease that was paused while it published may have repeated some of the last ones.
TAIL_RECORDS: Final = 32
# A record's time is the broker's, a checkpoint's the ledger's.
CLOCK_MARGIN_MS: Final = 60_000
_PLACE: Final = TopicPartition(topics.CHECKPOINTS, 0)


class NoCheckpoint(Exception):
    """A record of the topic is no signed checkpoint: someone else has written there."""


class CheckpointTopic:
    """One instance's connection; opened when needed, given up after a failure."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, signed: Sequence[Signed]) -> None:
        """Sends in order and waits for every acknowledgement. Raises KafkaError, TimeoutError: the outcome is open."""
        producer = await self._started_producer()
        try:
            sent = [
                await producer.send(_PLACE.topic, item.line(), key=KEY, partition=0, headers=_headers(item))
                for item in signed
            ]
            await asyncio.wait_for(asyncio.gather(*sent), PUBLISH_TIMEOUT_SECONDS)
        except BaseException:
            self._producer = None
            await producer.stop()
            raise

    async def newest(self) -> Signed | None:
        """The checkpoint with the greatest number among the last records. Raises KafkaError, NoCheckpoint."""
        async with reading(security(self._settings)) as consumer:
            (end,) = (await consumer.end_offsets([_PLACE])).values()
            (first,) = (await consumer.beginning_offsets([_PLACE])).values()
            found = [item async for item in read_from(consumer, max(first, end - TAIL_RECORDS))]
        return max(found, key=lambda item: item.n, default=None)

    async def since(self, moment: datetime | None) -> AsyncIterator[Signed]:
        """Every checkpoint that was published after `moment` (None: ever), and some before. Raises like `newest`."""
        async with reading(security(self._settings)) as consumer:
            (first,) = (await consumer.beginning_offsets([_PLACE])).values()
            if moment is not None:
                wanted = max(0, int(moment.timestamp() * 1_000) - CLOCK_MARGIN_MS)
                found = (await consumer.offsets_for_times({_PLACE: wanted}))[_PLACE]
                first = first if found is None else found.offset
            async for item in read_from(consumer, first):
                yield item

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            fresh = kafka_producer(self._settings)
            await fresh.start()
            self._producer = fresh
        return self._producer


@asynccontextmanager
async def reading(login: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the topic's one partition, without a group. `login` are aiokafka's options of a connection."""
    consumer = AIOKafkaConsumer(**login, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign([_PLACE])
        yield consumer
    finally:
        await consumer.stop()


async def everything(login: Mapping[str, Any]) -> AsyncIterator[Signed]:
    """All that stands on the topic. Raises KafkaError, TimeoutError, NoCheckpoint."""
    async with reading(login) as consumer:
        (first,) = (await consumer.beginning_offsets([_PLACE])).values()
        async for item in read_from(consumer, first):
            yield item


async def read_from(consumer: AIOKafkaConsumer, offset: int) -> AsyncIterator[Signed]:
    """The checkpoints from `offset` to what is the end now. Raises KafkaError, TimeoutError, NoCheckpoint."""
    (end,) = (await consumer.end_offsets([_PLACE])).values()
    consumer.seek(_PLACE, offset)
    while offset < end:
        record = await asyncio.wait_for(consumer.getone(_PLACE), READ_TIMEOUT_SECONDS)
        offset = record.offset + 1
        try:
            yield read_signed(record.value or b"")
        except ValueError as error:
            raise NoCheckpoint(f"{_PLACE.topic}[0]@{record.offset}: {error}") from None


def _headers(signed: Signed) -> list[tuple[str, bytes]]:
    named: dict[str, Any] = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(signed.n),
        "ce_source": SOURCE,
        "ce_type": TYPE,
        "ce_time": signed.at,
        "ce_subject": SUBJECT,
    }
    return [(name, value.encode()) for name, value in named.items()]
