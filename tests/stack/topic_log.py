"""Reads topics as an administrator, from their beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.local.stack import Stack


@asynccontextmanager
async def _reader(stack: Stack, *topics: str) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """A consumer at the beginning of `topics`, and the next offset of each partition."""
    login = stack.kafka.admin_login
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=login.bootstrap,
        security_protocol=login.security_protocol,
        sasl_mechanism=login.sasl_mechanism,
        sasl_plain_username=login.username,
        sasl_plain_password=login.password,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield consumer, await consumer.end_offsets(sorted(consumer.assignment()))
    finally:
        await consumer.stop()


async def records(stack: Stack, topic: str) -> list[ConsumerRecord[Any, Any]]:
    """Everything that lies on a topic now."""
    found: list[ConsumerRecord[Any, Any]] = []
    async with _reader(stack, topic) as (consumer, ends):
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
    return found
