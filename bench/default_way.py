"""The default way: FastStream's typed pydantic batch and SQLAlchemy Core, written as their documentation shows.

It keeps identities, journal, corrections, lots, flows and the position in the service's own tables, one transaction a
batch, and comes to the same balances. It does less than the service: one correction deep, no chain, no raw headers,
no claim that a paused owner loses, the days of a lot not found again after a reversal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import uvloop
from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.security import SASLScram256
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.consuming import FETCH_MAX_BYTES, PARTITION_FETCH_MAX_BYTES, Settings, go_on
from bench.default_events import Movement, decoder
from bench.default_ledger import POSITIONS, record
from services.supply.fold import MOVEMENTS_TOPIC_ID
from shared import topics

BATCH_TIMEOUT_MS: Final = 200
_NO_POSITION: Final = {"topic_id": MOVEMENTS_TOPIC_ID, "next_offset": 0, "epoch": 1, "chain": b"", "holder": "bench"}


class Claims(ConsumerRebalanceListener):  # type: ignore[misc]
    """Goes on from the positions in the database when Kafka assigns partitions."""

    def __init__(self, engine: AsyncEngine, consumer: Callable[[], Any]) -> None:
        self._engine, self._consumer = engine, consumer
        self.ready = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        rows = [{"partition": place.partition, **_NO_POSITION} for place in assigned]
        async with self._engine.begin() as connection:
            await connection.execute(insert(POSITIONS).on_conflict_do_nothing(), rows)
            stands = dict((await connection.execute(select(POSITIONS.c.partition, POSITIONS.c.next_offset))).all())
        go_on(self._consumer(), {place: stands[place.partition] for place in assigned})
        self.ready.set()


def broker_of(told: Settings, engine: AsyncEngine) -> KafkaBroker:
    """The broker with its one subscriber."""
    security = SASLScram256(told.kafka_username, told.kafka_password)
    broker = KafkaBroker(told.kafka_bootstrap, security=security, logger=None)
    listener = Claims(engine, lambda: subscriber.consumer)
    subscriber = broker.subscriber(
        topics.MOVEMENTS,
        batch=True,
        max_records=told.batch_records,
        batch_timeout_ms=BATCH_TIMEOUT_MS,
        group_id=told.group,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_MAX_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_MAX_BYTES,
        decoder=decoder,
        listener=listener,
    )

    @subscriber
    async def consume(events: list[Movement]) -> None:
        await listener.ready.wait()
        async with engine.begin() as connection:
            await record(connection, events)

    return broker


async def run(told: Settings) -> None:
    """Consumes for ever."""
    engine = create_async_engine(told.database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS journal_bench PARTITION OF journal DEFAULT"))
    await FastStream(broker_of(told, engine), logger=None).run()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(Settings.here()))
