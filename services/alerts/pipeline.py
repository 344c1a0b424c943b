"""Watches how old supply's newest checkpoint is, of which one is taken every second, and signals it to the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.alerts.patience import patiently
from services.alerts.settings import AlertsSettings
from shared import topics
from shared.clock import Clock, rfc3339
from shared.errors import Transient
from shared.kafka import security

SUBJECT: Final = "pipeline/ledger"
STEP_SECONDS: Final = 60  # a signal for every step that it is late, and when it no longer is
READ_TIMEOUT_SECONDS: Final = 10.0


def state_of(newest_at: datetime, now: datetime) -> dict[str, Any]:
    """What is signalled; `late_seconds` in whole steps. Instants are real time."""
    late = max(0, int((now - newest_at).total_seconds())) // STEP_SECONDS * STEP_SECONDS
    return {"stage": "ledger", "newest_at": rfc3339(newest_at), "late_seconds": late}


class Pipeline:
    """One loop a process. While Kafka is away nothing is known, and nothing is signalled."""

    def __init__(
        self, settings: AlertsSettings, clock: Clock, tell: Callable[[str, dict[str, Any]], Awaitable[object]]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._told: int | None = None

    async def run(self) -> None:
        while True:
            await patiently("the topic of checkpoints", self._session)

    async def _session(self) -> None:
        """Raises Transient when Kafka or the database goes away."""
        consumer = AIOKafkaConsumer(**security(self._settings), group_id=None, enable_auto_commit=False)
        try:
            await consumer.start()
            while True:
                newest = await _newest(consumer)
                if newest is not None:
                    await self.look(newest)
                await asyncio.sleep(self._settings.pipeline_poll_seconds)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Transient("Kafka is away") from error
        finally:
            await consumer.stop()

    async def look(self, newest_at: datetime) -> None:
        """Signals how late the newest checkpoint is, if that has changed by a step."""
        state = state_of(newest_at, self._clock.real_now())
        if state["late_seconds"] != self._told:
            await self._tell(SUBJECT, state)
            self._told = state["late_seconds"]


async def _newest(consumer: AIOKafkaConsumer) -> datetime | None:
    """When Kafka took the newest checkpoint, real time; None if there has never been one."""
    partitions = [TopicPartition(topics.CHECKPOINTS, n) for n in await _partitions(consumer)]
    consumer.assign(partitions)
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    found = []
    for partition in partitions:
        if ends[partition] > begins[partition]:
            consumer.assign([partition])
            consumer.seek(partition, ends[partition] - 1)
            record = await asyncio.wait_for(consumer.getone(partition), READ_TIMEOUT_SECONDS)
            found.append(datetime.fromtimestamp(record.timestamp / 1000, UTC))
    return max(found, default=None)


async def _partitions(consumer: AIOKafkaConsumer) -> set[int]:
    await consumer.topics()
    return consumer.partitions_for_topic(topics.CHECKPOINTS) or set()
