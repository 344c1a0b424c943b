"""The topics that ingest alone writes, as an administrator reads them: where they end, and what lies at a place."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.local.stack import Stack
from shared import topics
from tests.stack.topic_log import reader

TRUSTED = (topics.MOVEMENTS, topics.REGISTRY)


class Log:
    """The trusted topics as an administrator reads them."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def ends(self) -> dict[TopicPartition, int]:
        """The next offset of every partition."""
        await self._consumer._client.force_metadata_update()
        partitions = [
            TopicPartition(topic, number)
            for topic in TRUSTED
            for number in self._consumer.partitions_for_topic(topic) or ()
        ]
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return found

    async def size(self) -> int:
        """How many records there are."""
        return sum((await self.ends()).values())

    async def at(self, topic: str, partition: int, offset: int) -> ConsumerRecord[bytes, bytes]:
        place = TopicPartition(topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, offset)
        return await self._consumer.getone(place)


@pytest.fixture
async def log(stack: Stack) -> AsyncIterator[Log]:
    consumer = reader(stack)
    await consumer.start()
    consumer._client.set_topics(TRUSTED)
    yield Log(consumer)
    await consumer.stop()
