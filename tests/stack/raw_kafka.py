"""Writes record batches byte for byte, also those no client library would: hostile headers, bombs among records."""

from __future__ import annotations

import asyncio
import gzip
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Self

import pyarrow as pa
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer

from deploy.kafka.client import AdminLogin
from deploy.local.stack import Stack
from tests.corpus.hostile import Record

TIMEOUT_SECONDS: Final = 30.0
# What our side sets no limit to, so that the broker's is the one that counts.
UNLIMITED_BYTES: Final = 256 * 1024 * 1024
# Those that Kafka reads as they come out of a library.
CODECS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "gzip": (1, gzip.compress),
    "zstd": (4, lambda raw: bytes(pa.compress(raw, codec="zstd", asbytes=True))),
}
_MAGIC: Final = 2
_NOBODY: Final = -1  # no producer id, epoch or sequence: not idempotent
_ALL_REPLICAS: Final = -1


class RawKafka:
    """A way into Kafka for one user. An asynchronous context."""

    def __init__(self, login: AdminLogin) -> None:
        self._login = login
        self._client = AIOKafkaClient(
            bootstrap_servers=login.bootstrap,
            security_protocol=login.security_protocol,
            sasl_mechanism=login.sasl_mechanism,
            sasl_plain_username=login.username,
            sasl_plain_password=login.password,
        )

    @classmethod
    def of_admin(cls, stack: Stack) -> Self:
        """One that may write to every topic."""
        return cls(stack.kafka.admin_login)

    @classmethod
    def of_producer(cls, stack: Stack, way_in: dict[str, Any]) -> Self:
        """A producer's own, as credentials.json tells of it."""
        user = {"username": way_in["kafka_username"], "password": way_in["kafka_password"]}
        return cls(replace(stack.kafka.admin_login, **user))

    async def __aenter__(self) -> Self:
        await self._client.bootstrap()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()

    async def send(self, topic: str, partition: int, records: Sequence[Record], codec: str | None = None) -> int:
        """The offset of the first, all in one batch. Raises KafkaError when the broker refuses them."""
        await self._client.add_topic(topic)
        leader = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        told = [(topic, [(partition, batch_of(records, codec))])]
        request = ProduceRequest(None, _ALL_REPLICAS, int(TIMEOUT_SECONDS * 1000), told)
        answer = await asyncio.wait_for(self._client.send(leader, request), TIMEOUT_SECONDS)
        ((_, ((_, code, offset, *_),)),) = answer.topics
        if code != 0:
            raise for_code(code)
        return int(offset)

    async def send_one(self, topic: str, partition: int, record: Record) -> int:
        """The offset of `record`, in a batch of its own, compressed as it says."""
        if record.compression is None:
            return await self.send(topic, partition, [record])
        return await asyncio.to_thread(self._compressed, topic, partition, record)

    def _compressed(self, topic: str, partition: int, record: Record) -> int:
        """Through the library that knows every codec."""
        wanted = {"compression.type": record.compression, "message.max.bytes": UNLIMITED_BYTES, "acks": "all"}
        producer = Producer(self._login.config() | wanted)
        offsets: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        headers: list[tuple[str, str | bytes | None]] = [(name.decode(), value) for name, value in record.headers]
        producer.produce(topic, record.value, record.key, partition=partition, headers=headers, on_delivery=delivered)
        assert producer.flush(TIMEOUT_SECONDS) == 0, "the broker did not answer"
        return offsets[0]


def batch_of(records: Sequence[Record], codec: str | None = None) -> bytes:
    """A record batch.

    Source: "Record Batch" in https://kafka.apache.org/documentation/#messageformat.
    """
    now_ms = int(time.time() * 1000)
    told = b"".join(_record(number, record) for number, record in enumerate(records))
    number, compress = (0, bytes) if codec is None else CODECS[codec]
    last = len(records) - 1
    counted = struct.pack(">hiqqqhii", number, last, now_ms, now_ms, _NOBODY, _NOBODY, _NOBODY, len(records))
    counted += compress(told)
    framed = struct.pack(">ibI", _NOBODY, _MAGIC, calc_crc32c(counted)) + counted
    return struct.pack(">qi", 0, len(framed)) + framed


def _record(number: int, record: Record) -> bytes:
    body = b"\x00" + _varint(0) + _varint(number) + _bytes(record.key) + _bytes(record.value)
    body += _varint(len(record.headers))
    body += b"".join(_bytes(name) + _bytes(value) for name, value in record.headers)
    return _varint(len(body)) + body


def _bytes(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Zigzag, seven bits a byte, the least first."""
    left = value << 1 if value >= 0 else (-value << 1) - 1
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)
