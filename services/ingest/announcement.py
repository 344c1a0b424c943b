"""Tells all services of every key, and Kafka of every revoked one: from the table, so that none is ever forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from services.ingest import metrics
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from services.ingest.store import Store
from services.ingest.tables import Key
from shared import topics
from shared.errors import Transient
from shared.events.cloudevent import Record
from shared.keys import AccessRecord
from shared.telemetry import logger

log = logger(__name__)


class Announcer:
    """Run `run` as a task; `now` announces at once what waits."""

    def __init__(self, settings: IngestSettings, store: Store, publisher: Publisher, admin: KafkaAdmin) -> None:
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._admin = admin
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Looks again and again; what fails is tried again."""
        while True:
            try:
                await self.now()
                metrics.KEYS_UNANNOUNCED.set(0)
            except Transient as error:
                metrics.KEYS_UNANNOUNCED.set(1)
                log.warning("keys wait for their announcement", error=error.detail)
            await asyncio.sleep(self._settings.announce_poll_seconds)

    async def now(self) -> None:
        """Returns when all that waited is announced. Raises Transient."""
        limit = self._settings.announce_batch_keys
        async with self._one_at_a_time:
            while await self._store.announce(limit, self._tell) == limit:
                pass

    async def _tell(self, keys: Sequence[tuple[Key, AccessRecord]]) -> None:
        await self._publisher.publish(
            [Record(topics.ACCESS, key.key_id.encode(), msgspec.json.encode(record), []) for key, record in keys]
        )
        for key, _ in keys:
            if key.revoked_at is not None and key.kafka_username is not None:
                await self._admin.expel(key.name, key.kafka_username)
