"""Publishes every change of an alert on supply.alerts.v1, in order, and marks exactly what Kafka acknowledged."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.alerts import metrics, payload
from services.alerts.settings import AlertsSettings
from services.alerts.store.outbox import Outbox, Unpublished
from services.alerts.wakeups import Wakeups
from shared import topics
from shared.clock import Clock, rfc3339
from shared.errors import Transient
from shared.kafka import producer
from shared.patience import patiently

STANDBY_SECONDS: Final = 2.0


class Relay:
    """One loop a process; a lease lets one instance publish at a time."""

    def __init__(self, outbox: Outbox, settings: AlertsSettings, clock: Clock, wakeups: Wakeups) -> None:
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._wakeups = wakeups

    async def run(self) -> None:
        """Until cancelled. When Kafka has been away it starts again with a new producer."""
        while True:
            await patiently("the topic of alerts", self._session)

    async def _session(self) -> None:
        """Raises Transient when Kafka or the database goes away."""
        client = producer(self._settings)
        try:
            await client.start()
            partitions = len(await client.partitions_for(topics.ALERTS))
            while True:
                await self._round(client, partitions)
        except (KafkaError, OSError) as error:
            raise Transient("Kafka is away") from error
        finally:
            await client.stop()

    async def _round(self, client: AIOKafkaProducer, partitions: int) -> None:
        taken = await self._outbox.take(self._settings.relay_batch_changes)
        if taken is None:
            await asyncio.sleep(STANDBY_SECONDS)
        elif not taken:
            await self._wakeups.wait("relay", self._settings.relay_poll_seconds)
        else:
            await self._publish(client, partitions, taken)

    async def _publish(self, client: AIOKafkaProducer, partitions: int, changes: list[Unpublished]) -> None:
        sent = [await self._send(client, partitions, change) for change in changes]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        acknowledged = [
            change for change, answer in zip(changes, answers, strict=True) if not isinstance(answer, BaseException)
        ]
        await self._outbox.mark([change.id for change in acknowledged], self._clock.real_now())
        for change in acknowledged:
            metrics.CHANGES.labels(change.message.transition).inc()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _send(self, client: AIOKafkaProducer, partitions: int, change: Unpublished) -> asyncio.Future[object]:
        key, headers, value = record(change)
        partition = topics.partition_for(key, partitions)
        future: asyncio.Future[object] = await client.send(
            topics.ALERTS, value, key=key, partition=partition, headers=headers
        )
        return future


def record(change: Unpublished) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Key, headers and value of the change as a CloudEvent in binary mode."""
    alert = change.message.alert
    attributes = {
        "content-type": payload.CONTENT_TYPE,
        "ce_specversion": "1.0",
        "ce_id": f"{alert['id']}/{change.name}",
        "ce_source": payload.SOURCE,
        "ce_type": payload.event_type(change.message.transition),
        "ce_time": rfc3339(change.message.at),
        "ce_subject": alert["id"],
    }
    headers = [(name, value.encode()) for name, value in attributes.items()]
    return alert["id"].encode(), headers, orjson.dumps(alert)
