"""Reads a topic as an administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.local.stack import Stack

Ends = Mapping[TopicPartition, int]


def reader(stack: Stack, *names: str) -> AIOKafkaConsumer:
    """A consumer of these topics from their beginning on, not yet started."""
    login = stack.kafka.admin_login
    return AIOKafkaConsumer(
        *names,
        bootstrap_servers=login.bootstrap,
        security_protocol=login.security_protocol,
        sasl_mechanism=login.sasl_mechanism,
        sasl_plain_username=login.username,
        sasl_plain_password=login.password,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


@asynccontextmanager
async def _reader(stack: Stack, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, Ends]]:
    """A consumer at the beginning of `topic`, and the next offset of each partition."""
    consumer = reader(stack, topic)
    await consumer.start()
    try:
        yield consumer, await consumer.end_offsets(sorted(consumer.assignment()))
    finally:
        await consumer.stop()


async def ends_of(stack: Stack, topic: str) -> Ends:
    """The next offset of each partition."""
    async with _reader(stack, topic) as (_, ends):
        return ends


async def records(stack: Stack, topic: str, since: Ends | None = None) -> list[ConsumerRecord[Any, Any]]:
    """Everything that lies on a topic now, or what has come `since`: what lies before may be hostile to its reader."""
    found: list[ConsumerRecord[Any, Any]] = []
    async with _reader(stack, topic) as (consumer, ends):
        for partition, offset in (since or {}).items():
            consumer.seek(partition, offset)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
    return found
