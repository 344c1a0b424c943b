"""Sends batches byte by byte as no honest client would: hostile names of headers, bombs among good records."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pyarrow as pa
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from deploy.local.stack import Stack

FRAME_BYTES: Final = 61
CRC_AT: Final = 17
CODECS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "gzip": (1, gzip.compress),
    "zstd": (4, lambda raw: bytes(pa.compress(raw, codec="zstd", asbytes=True))),
}
RawHeader = tuple[bytes, bytes | None]
Said = tuple[bytes | None, Sequence[RawHeader]]


class _AnyName(str):
    """The name of a header that encodes to bytes of our choice."""

    raw: bytes

    def encode(self, *_: Any, **__: Any) -> bytes:
        return self.raw


def _name(raw: bytes) -> str:
    name = _AnyName("x")
    name.raw = raw
    return name


def batch(said: Sequence[Said], codec: str | None = None) -> bytes:
    """One batch of values with their headers."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, -1, 1 << 31)
    now = int(time.time() * 1000)
    for offset, (value, headers) in enumerate(said):
        builder.append(offset, now, None, value, [(_name(name), text) for name, text in headers])
    whole = bytes(builder.build())
    return whole if codec is None else _compressed(whole, *CODECS[codec])


def _compressed(whole: bytes, number: int, compress: Callable[[bytes], bytes]) -> bytes:
    packed = compress(whole[FRAME_BYTES:])
    made = bytearray(whole[:FRAME_BYTES] + packed)
    struct.pack_into(">i", made, 8, len(made) - 12)
    struct.pack_into(">h", made, 21, number)
    struct.pack_into(">I", made, CRC_AT, calc_crc32c(bytes(made[CRC_AT + 4 :])))
    return bytes(made)


class RawProducer:
    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client

    async def send(self, topic: str, partition: int, raw: bytes) -> int:
        """The offset of the batch's first record."""
        await self._client.add_topic(topic)
        leader = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await self._client.send(leader, ProduceRequest(None, -1, 10_000, [(topic, [(partition, raw)])]))
        ((_, ((_, code, offset, *_),)),) = answer.topics
        assert code == 0, code
        return int(offset)


@asynccontextmanager
async def raw_producer(stack: Stack) -> AsyncIterator[RawProducer]:
    """One that Kafka lets write to every topic."""
    login = stack.kafka.admin_login
    client = AIOKafkaClient(
        bootstrap_servers=login.bootstrap,
        security_protocol=login.security_protocol,
        sasl_mechanism=login.sasl_mechanism,
        sasl_plain_username=login.username,
        sasl_plain_password=login.password,
    )
    await client.bootstrap()
    try:
        yield RawProducer(client)
    finally:
        await client.close()
