"""Publishes signals: lowest version first, marking exactly what Kafka acknowledged, and heartbeats of all states."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

from services.supply import metrics
from services.supply.settings import SupplySettings
from shared import topics
from shared.kafka import producer as kafka_producer
from shared.signals import TYPE_OF_SUBJECT, Signal, headers
from shared.topics import partition_for

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
BATCH: Final = 500
PUBLISH_TIMEOUT_SECONDS: Final = 10.0

_UNPUBLISHED = f"""
SELECT subject, version, at, data::text FROM signals WHERE published < version ORDER BY version LIMIT {BATCH}
"""
_TOLD = f"""
SELECT subject, version, at, data::text FROM signals WHERE published = version AND subject > $1
ORDER BY subject LIMIT {BATCH}
"""
# What somebody is just writing anew is left: it will be published anew.
_MARK = """
WITH free AS (
    SELECT signals.subject, told.version
    FROM signals JOIN unnest($1::text[], $2::bigint[]) AS told (subject, version) USING (subject)
    WHERE signals.published < told.version ORDER BY signals.subject FOR UPDATE OF signals SKIP LOCKED
)
UPDATE signals SET published = free.version FROM free WHERE signals.subject = free.subject
"""


async def mark(connection: Connection, acknowledged: Mapping[str, int]) -> None:
    """Notes by subject the version that Kafka has; waits for nobody."""
    await connection.execute(_MARK, list(acknowledged), list(acknowledged.values()))


class Relay:
    """The lease holder's way to `supply.signals.v1`."""

    def __init__(self, settings: SupplySettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._heartbeat_at = time.monotonic()
        self._told_again: str | None = None  # the last subject of the heartbeat that is under way

    async def run(self, connection: Connection) -> None:
        """Publishes what is unpublished, and at its interval everything once more, both in parts of a bounded size: the
        next call goes on. Raises KafkaError, TimeoutError."""
        rows = await connection.fetch(_UNPUBLISHED)
        if rows:
            await self._publish(rows, heartbeat=False)
            await mark(connection, {row[0]: row[1] for row in rows})
        if time.monotonic() - self._heartbeat_at >= self._settings.heartbeat_every_seconds:
            self._heartbeat_at = time.monotonic()
            self._told_again = self._told_again or ""
        if self._told_again is not None:
            again = await connection.fetch(_TOLD, self._told_again)
            await self._publish(again, heartbeat=True)
            self._told_again = again[-1][0] if len(again) == BATCH else None

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def _publish(self, rows: list[Any], *, heartbeat: bool) -> None:
        """Sends in order and waits for every acknowledgement; a producer that failed is replaced by the next call."""
        producer = await self._started_producer()
        try:
            partitions = len(await producer.partitions_for(topics.SIGNALS))
            sent = [await self._send(producer, partitions, row, heartbeat) for row in rows]
            await asyncio.wait_for(asyncio.gather(*sent), PUBLISH_TIMEOUT_SECONDS)
        except BaseException:
            self._producer = None
            await producer.stop()
            raise
        if not heartbeat:
            for kind, count in Counter(row[0].partition("/")[0] for row in rows).items():
                metrics.SIGNALS.labels(TYPE_OF_SUBJECT[kind]).inc(count)

    async def _send(self, producer: AIOKafkaProducer, partitions: int, row: Any, heartbeat: bool) -> Any:
        subject, version, at, data = row
        signal = Signal(subject=subject, version=version, at=at, heartbeat=heartbeat, data=orjson.loads(data))
        key = subject.encode()
        return await producer.send(
            topics.SIGNALS,
            signal.model_dump_json().encode(),
            key=key,
            partition=partition_for(key, partitions),
            headers=headers(signal),
        )

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            fresh = kafka_producer(self._settings)
            await fresh.start()
            self._producer = fresh
        return self._producer
