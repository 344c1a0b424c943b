"""Writes records byte for byte into a producer's own topic, also those that no client library would."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from tests.corpus.hostile import Record

TIMEOUT_SECONDS: Final = 30.0
# What our side sets no limit to, so that the broker's is the one that counts.
UNLIMITED_BYTES: Final = 256 * 1024 * 1024
_MAGIC: Final = 2
_NOBODY: Final = -1  # no producer id, epoch or sequence: not idempotent


class RawKafka:
    """One producer's way into Kafka, as `POST /producers/{name}/keys` hands it out. An asynchronous context."""

    def __init__(self, bootstrap: str, way_in: dict[str, Any]) -> None:
        self.topic: str = way_in["topic"]
        self._bootstrap = bootstrap
        self._username, self._password = way_in["kafka_username"], way_in["kafka_password"]
        self._plain = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-256",
            sasl_plain_username=self._username,
            sasl_plain_password=self._password,
            acks="all",
        )

    async def __aenter__(self) -> Self:
        await self._plain.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._plain.stop()

    async def send(self, *records: Record, partition: int = 0) -> list[int]:
        """The offset of each record, in a batch of their own. Raises KafkaError when the broker refuses them."""
        if records[0].compression is not None:
            return [await asyncio.to_thread(self._compressed, record, partition) for record in records]
        batch = _Ready(batch_of(records), len(records))
        future = await self._plain.send_batch(batch, self.topic, partition=partition)
        first = (await asyncio.wait_for(future, TIMEOUT_SECONDS)).offset
        return [first + number for number in range(len(records))]

    def _compressed(self, record: Record, partition: int) -> int:
        """Through the library that knows every codec."""
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": self._username,
                "sasl.password": self._password,
                "compression.type": record.compression,
                "message.max.bytes": UNLIMITED_BYTES,
                "acks": "all",
            }
        )
        offsets: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        headers: list[tuple[str, str | bytes | None]] = [(name.decode(), value) for name, value in record.headers]
        producer.produce(
            self.topic, record.value, record.key, partition=partition, headers=headers, on_delivery=delivered
        )
        assert producer.flush(TIMEOUT_SECONDS) == 0, "the broker did not answer"
        return offsets[0]


class _Ready(BatchBuilder):  # type: ignore[misc]
    """A batch that is bytes already."""

    def __init__(self, content: bytes, count: int) -> None:
        self._buffer, self._closed, self._relative_offset = content, True, count


def batch_of(records: tuple[Record, ...]) -> bytes:
    """A record batch without compression.

    Source: "Record Batch" in https://kafka.apache.org/documentation/#messageformat.
    """
    now_ms = int(time.time() * 1000)
    told = b"".join(_record(number, record) for number, record in enumerate(records))
    last = len(records) - 1
    counted = struct.pack(">hiqqqhii", 0, last, now_ms, now_ms, _NOBODY, _NOBODY, _NOBODY, len(records)) + told
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
