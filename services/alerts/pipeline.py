"""Watches how old supply's newest checkpoint is, of which one is taken every second, and signals it to the rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.alerts.settings import AlertsSettings
from shared import topics
from shared.clock import Clock, rfc3339
from shared.errors import Transient
from shared.kafka import security
from shared.patience import patiently

SUBJECT: Final = "pipeline/ledger"
STEP_SECONDS: Final = 60  # a signal for every step that it is late, and when it no longer is


def state_of(newest_at: datetime, now: datetime) -> dict[str, Any]:
    """What is signalled; `late_seconds` in whole steps. Instants are real time."""
    late = max(0, int((now - newest_at).total_seconds())) // STEP_SECONDS * STEP_SECONDS
    return {"stage": "ledger", "newest_at": rfc3339(newest_at), "late_seconds": late}


class Pipeline:
    """One loop a process. Nothing is signalled before the first checkpoint is known; Kafka away is late as well."""

    def __init__(
        self, settings: AlertsSettings, clock: Clock, tell: Callable[[str, dict[str, Any]], Awaitable[object]]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._newest_at: datetime | None = None
        self._told: int | None = None

    async def run(self) -> None:
        while True:
            await patiently("the topic of checkpoints", self._session)

    async def _session(self) -> None:
        """Raises Transient when Kafka or the database goes away."""
        consumer = AIOKafkaConsumer(
            topics.CHECKPOINTS, **security(self._settings), group_id=None, enable_auto_commit=False
        )
        try:
            await consumer.start()
            await _to_the_newest(consumer)
            while True:
                await self._follow(consumer)
        except (KafkaError, OSError) as error:
            raise Transient("Kafka is away") from error
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        taken = await consumer.getmany(timeout_ms=int(self._settings.pipeline_poll_seconds * 1000))
        stamps = [record.timestamp for records in taken.values() for record in records]
        if stamps:
            newest_at = datetime.fromtimestamp(max(stamps) / 1000, UTC)
            self._newest_at = max(newest_at, self._newest_at or newest_at)
        if self._newest_at is not None:
            await self.look(self._newest_at)

    async def look(self, newest_at: datetime) -> None:
        """Signals how late the newest checkpoint is, if that has changed by a step."""
        state = state_of(newest_at, self._clock.real_now())
        if state["late_seconds"] != self._told:
            await self._tell(SUBJECT, state)
            self._told = state["late_seconds"]


async def _to_the_newest(consumer: AIOKafkaConsumer) -> None:
    """Goes to the last record of every partition."""
    partitions = [
        TopicPartition(topics.CHECKPOINTS, n) for n in consumer.partitions_for_topic(topics.CHECKPOINTS) or ()
    ]
    if not partitions:
        raise Transient(f"topic {topics.CHECKPOINTS} is not there")
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(begins[partition], ends[partition] - 1))
