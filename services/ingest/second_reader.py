"""Fetches batches as Kafka holds them, for the few that the client library cannot hand out; in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from services.ingest import record_batch
from services.ingest.inbound import SIZE, Inbound, cut
from services.ingest.record_batch import RawRecord, RecordBatch, Unreadable
from services.ingest.settings import IngestSettings
from shared import kafka
from shared.errors import Fault, Transient

FETCH_BYTES: Final = 256 * 1024
WAIT_MS: Final = 500
TIMEOUT_SECONDS: Final = 10.0
_READ_UNCOMMITTED: Final = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Every record from the offset that was asked for up to, and without, `next_offset`."""

    records: list[Inbound]
    next_offset: int


class SecondReader:
    """Holds a connection once it has been needed. Raises Transient while Kafka is away."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaClient | None = None

    async def read(self, topic: str, partition: int, offset: int) -> Found:
        """The records of the batches that begin with the one that holds `offset`, as many as one fetch brings."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                fetched = await self._fetch(topic, partition, offset)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise Transient(f"cannot read {topic}[{partition}] at {offset}: {error!r}") from error
        return await asyncio.to_thread(_unpacked, topic, partition, offset, fetched)

    async def _fetch(self, topic: str, partition: int, offset: int) -> bytes:
        client = await self._connected(topic)
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None or leader < 0:
            raise KafkaError("no leader")
        wanted = [(topic, [(partition, offset, FETCH_BYTES)])]
        answer = await client.send(leader, FetchRequest(WAIT_MS, 1, FETCH_BYTES, _READ_UNCOMMITTED, wanted))
        ((_, ((_, code, *_, fetched),)),) = answer.topics
        if code:
            raise for_code(code)
        return fetched or b""

    async def _connected(self, topic: str) -> AIOKafkaClient:
        if self._client is None:
            client = AIOKafkaClient(**kafka.security(self._settings), client_id=f"ingest-{self._settings.instance}")
            await client.bootstrap()
            self._client = client
        if topic not in self._client.cluster.topics():
            await self._client.add_topic(topic)
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _unpacked(topic: str, partition: int, offset: int, fetched: bytes) -> Found:
    records: list[Inbound] = []
    for batch in record_batch.batches(fetched):
        records += (record for record in _of_batch(topic, partition, batch) if record.offset >= offset)
        offset = max(offset, batch.last_offset + 1)
    return Found(records, offset)


def _of_batch(topic: str, partition: int, batch: RecordBatch) -> Iterator[Inbound]:
    """Every record of the batch; where it cannot be read on, each that may be left stands for itself, unread."""
    following = batch.base_offset
    try:
        for raw in record_batch.records(batch):
            yield cut(_inbound(topic, partition, raw), raw.value_bytes)
            following = raw.offset + 1
    except Unreadable as error:
        fault = Fault(None, SIZE, f"not read: {error}")
        for offset in range(following, batch.last_offset + 1):
            yield Inbound(topic, partition, offset, batch.max_at, None, None, [], fault)


def _inbound(topic: str, partition: int, raw: RawRecord) -> Inbound:
    headers = [(name.decode("utf-8", "surrogateescape"), value) for name, value in raw.headers]
    return Inbound(topic, partition, raw.offset, raw.at, raw.key, raw.value, headers)
