"""How the consumer of signals goes on from where the database is, whatever Kafka thinks."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from services.alerts.settings import AlertsSettings
from services.alerts.signals import Positions, Signals, batch_of
from shared import topics
from tests.unit.alerts_given import GOAL

FIRST, SECOND = (TopicPartition(topics.SIGNALS, number) for number in (0, 1))


class Consumer:
    """Stands in for aiokafka's: two partitions, of which Kafka's offsets are 100, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def pause(self, *partitions: TopicPartition) -> None:
        self.asked.append(("pause", *partitions))

    def resume(self, *partitions: TopicPartition) -> None:
        self.asked.append(("resume", *partitions))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.asked.append(("seek", partition, offset))

    async def position(self, partition: TopicPartition) -> int:
        return 100


class Applied:
    """Stands in for the database, which answers when it is let."""

    def __init__(self, positions: dict[int, int], failure: Exception | None = None) -> None:
        self._positions = positions
        self._failure = failure
        self.there = asyncio.Event()

    async def positions(self, topic: str) -> dict[int, int]:
        await self.there.wait()
        if self._failure is not None:
            raise self._failure
        return self._positions


def listening(applied: Applied) -> tuple[Positions, Consumer, list[BaseException]]:
    consumer, failures = Consumer(), list[BaseException]()
    positions = Positions(applied, failures.append)  # type: ignore[arg-type]
    positions.consumer = lambda: consumer
    return positions, consumer, failures


async def settled() -> None:
    """Lets every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_nothing_is_read_before_it_has_gone_back_to_where_the_database_is() -> None:
    applied = Applied({0: 40, 1: 100})
    positions, consumer, failures = listening(applied)
    positions.on_partitions_assigned((FIRST, SECOND))
    assert consumer.asked == [("pause", FIRST, SECOND)]
    await settled()
    assert consumer.asked == [("pause", FIRST, SECOND)]
    applied.there.set()
    await settled()
    assert consumer.asked[1:] == [("seek", FIRST, 40), ("resume", FIRST, SECOND)]
    assert failures == []


async def test_partitions_that_are_taken_away_meanwhile_are_left_alone() -> None:
    applied = Applied({})
    positions, consumer, failures = listening(applied)
    positions.on_partitions_assigned((FIRST,))
    await settled()
    positions.on_partitions_revoked((FIRST,))
    applied.there.set()
    await settled()
    assert consumer.asked == [("pause", FIRST)]
    assert failures == []


async def test_a_bug_on_the_way_back_is_not_swallowed() -> None:
    bug = ZeroDivisionError()
    applied = Applied({}, bug)
    positions, _, failures = listening(applied)
    positions.on_partitions_assigned((FIRST,))
    applied.there.set()
    await settled()
    assert failures == [bug]


GOOD = {"subject": "goal/volume", "version": 7, "at": "2027-03-01T09:00:00+07:00", "data": GOAL}


def record(offset: int, value: bytes | None) -> Any:
    return SimpleNamespace(partition=0, offset=offset, value=value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"7",
        b"\xff",
        json.dumps({**GOOD, "data": {**GOAL, "gap": float("nan"), "more": float("inf")}}).encode(),
        json.dumps({**GOOD, "data": {**GOAL, "title": "\ud800"}}).encode(),
        json.dumps({**GOOD, "data": {**GOAL, "title": "\0"}}).encode(),
        json.dumps({**GOOD, "data": {**GOAL, "due_on": "2027-03-01T00:00:00"}}).encode(),
        json.dumps({**GOOD, "version": 2**63}).encode(),
        json.dumps({**GOOD, "at": "2027-03-01T09:00:00"}).encode(),
        json.dumps({**GOOD, "at": "0001-01-01T00:00:00+14:00"}).encode(),
        json.dumps({**GOOD, "subject": "goal/" + "\U0001f48a" * 700}).encode(),
        json.dumps({**GOOD, "subject": "weather/today"}).encode(),
        json.dumps({**GOOD, "data": {"status": "off_track"}}).encode(),
    ],
)
def test_a_record_that_is_no_signal_is_kept_as_it_came_and_its_neighbours_are_read(value: bytes | None) -> None:
    good = json.dumps(GOOD).encode()
    batch = batch_of([record(1, good), record(2, value), record(3, good)])
    assert [signal.version for signal in batch.signals] == [7, 7]
    assert [(kept.offset, kept.value) for kept in batch.unreadable] == [(2, value)]
    assert batch.positions == {0: 4}


class Message:
    """A batch without records whose offsets Kafka takes no more."""

    raw_message = ()

    async def ack(self) -> None:
        raise CommitFailedError


class Store:
    async def apply(self, batch: object) -> None: ...


async def test_offsets_that_kafka_takes_no_more_end_nothing() -> None:
    failures: list[BaseException] = []
    settings = AlertsSettings.load(database_url="unused", kafka_password="unused", session_secret="unused")
    signals = Signals(Store(), Applied({}), settings, failures.append)  # type: ignore[arg-type]
    await signals._handle(Message())  # type: ignore[arg-type]
    assert failures == []
