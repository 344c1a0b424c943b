"""The consumer's readiness: it is ready when it knows what it must write and may write all of it, not before."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from services.supply.consumer import LedgerConsumer
from services.supply.settings import SupplySettings
from shared import topics


@pytest.fixture
async def consumer() -> LedgerConsumer:
    settings = SupplySettings(
        database_url=SecretStr("postgresql://nobody@nowhere/none"),
        kafka_bootstrap="nowhere:9092",
        kafka_username="supply",
        kafka_password=SecretStr("-"),
        session_secret=SecretStr("-"),
    )
    return LedgerConsumer(settings, cast(Any, None), lambda why, error: None)


async def test_a_consumer_that_kafka_has_told_nothing_is_not_ready(consumer: LedgerConsumer) -> None:
    assert not consumer.ready


async def test_a_consumer_that_is_told_of_no_partition_is_ready(consumer: LedgerConsumer) -> None:
    await consumer.on_partitions_assigned([])
    assert consumer.ready


async def test_a_consumer_is_not_ready_while_partitions_are_given_anew(consumer: LedgerConsumer) -> None:
    await consumer.on_partitions_assigned([])
    await consumer.on_partitions_revoked([])
    assert not consumer.ready


async def test_a_consumer_is_not_ready_before_it_has_claimed_what_is_assigned(consumer: LedgerConsumer) -> None:
    await consumer.on_partitions_assigned([TopicPartition(topics.MOVEMENTS, 0)])
    assert not consumer.ready
