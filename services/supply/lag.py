"""Tells how far the ledger is behind Kafka, and whether it gets on."""

from __future__ import annotations

import asyncpg
from aiokafka import AIOKafkaConsumer

from services.supply.claims import TOPIC_IDS, TOPIC_OF, Place
from services.supply.settings import SupplySettings
from shared.kafka import security


class Lag:
    """How many records of the trusted topics are not yet in the ledger, over all partitions and instances."""

    def __init__(self, settings: SupplySettings, writer: asyncpg.Pool) -> None:
        self._settings = settings
        self._pool = writer
        self._consumer: AIOKafkaConsumer | None = None
        self.by_place: dict[Place, int] = {}
        self.positions: dict[Place, int] = {}

    async def records(self) -> int:
        """Raises KafkaError or a database error while one of them is away."""
        if self._consumer is None:
            self._consumer = await self._started_consumer()
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        rows = await self._pool.fetch("SELECT topic_id, partition, next_offset FROM positions")
        self.positions = {(TOPIC_OF[topic_id], partition): offset for topic_id, partition, offset in rows}
        self.by_place = {
            (at.topic, at.partition): max(0, end - self.positions.get((at.topic, at.partition), 0))
            for at, end in ends.items()
        }
        return sum(self.by_place.values())

    async def _started_consumer(self) -> AIOKafkaConsumer:
        """Without a group it is assigned every partition; it only asks for their ends, so all are paused."""
        fresh = AIOKafkaConsumer(*TOPIC_IDS, **security(self._settings), group_id=None, enable_auto_commit=False)
        try:
            await fresh.start()
        except BaseException:
            await fresh.stop()
            raise
        fresh.pause(*fresh.assignment())
        return fresh

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()


class Stall:
    """Sees when nothing moves although there is work, also that of partitions which were never claimed."""

    def __init__(self, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._stood: dict[Place, int] | None = None
        self._since = 0.0

    def records(self, lag: Lag, assigned: list[Place] | None, now: float) -> int:
        """How many records wait in vain; 0 while there is progress. `assigned` None: all partitions count."""
        places = lag.by_place if assigned is None else assigned
        stands = {place: lag.positions.get(place, 0) for place in places}
        waiting = sum(lag.by_place.get(place, 0) for place in places)
        if waiting == 0 or stands != self._stood:
            self._stood, self._since = stands, now
            return 0
        return waiting if now - self._since > self._after_seconds else 0
