"""The corpus of hostile records against the real edge consumer: each is kept once under its code, or accepted."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka.errors import KafkaError

from deploy.local.stack import Stack
from services.ingest import authority
from shared import topics
from shared.events.cloudevent import STRUCTURED
from tests.corpus import claims
from tests.corpus.every import every, given
from tests.corpus.forgeries import forgeries
from tests.corpus.hostile import GTIN, JSON, Given, Record, text_of
from tests.stack.kafka_way import Way
from tests.stack.raw_kafka import RawKafka
from tests.stack.trusted_log import Log
from tests.stack.waiting import eventually

HOSTILE = "manufacturer-2"
SETTLED_WITHIN_SECONDS = 60.0
FORGED = 2_000
FORGED_A_BATCH = 500


def told(credentials: dict[str, Any]) -> Given:
    """The corpus as the second manufacturer sends it, with ids of this run alone."""
    producers = credentials["producers"]
    return given(tuple(producers[HOSTILE]["gln"]), producers["manufacturer-1"]["gln"][0], uuid.uuid4().hex[:8])


def recorded(event: JSON) -> Record:
    return Record(GTIN.encode(), text_of(event), ((b"content-type", STRUCTURED.encode()),))


@pytest.fixture
def way(http: aiohttp.ClientSession, credentials: dict[str, Any], kafka: RawKafka) -> Way:
    """The second manufacturer's."""
    return Way(http, credentials, kafka, HOSTILE, credentials["producers"][HOSTILE]["gln"][0])


async def codes(way: Way) -> dict[int, str]:
    """The code under which each refused record of partition 0 is kept, by its offset; no place stands twice."""
    found = [(one["offset"], one["code"]) for one in await way.rejections() if one["partition"] == 0]
    assert len({offset for offset, _ in found}) == len(found)
    return dict(found)


@pytest.mark.proof
async def test_every_class_is_kept_under_its_code_or_accepted_and_its_neighbours_pass(
    stack: Stack, credentials: dict[str, Any], log: Log, way: Way
) -> None:
    found, pid = told(credentials), stack.pid("ingest")
    before, sent = await log.size(), 0
    expected: dict[str, str | None] = {}
    offsets: dict[str, int] = {}
    async with RawKafka.of_producer(stack, credentials["producers"][HOSTILE]) as kafka:
        await kafka.send_one(way.topic, 0, recorded(claims.anchor(found)))
        for one in every(found):
            if one.record is not None:
                offsets[one.name] = await kafka.send_one(way.topic, 0, one.record)
                expected[one.name] = one.rejection
                await kafka.send_one(way.topic, 0, recorded(found.event(f"behind-{one.name}")))
                sent += 1
    accepted = 1 + sent + list(expected.values()).count(None)

    async def settled() -> bool:
        kept = await codes(way)
        assert {name: kept.get(offset) for name, offset in offsets.items()} == expected
        assert await log.size() - before == accepted
        return True

    await eventually(settled, timeout_seconds=SETTLED_WITHIN_SECONDS)
    assert stack.pid("ingest") == pid


@pytest.mark.proof
async def test_events_forged_across_producers_are_all_refused(
    stack: Stack, credentials: dict[str, Any], log: Log, way: Way
) -> None:
    others = [gln for other in credentials["producers"].values() for gln in other["gln"]]
    foreign = sorted(set(others) - set(credentials["producers"][HOSTILE]["gln"]))
    forged = forgeries(told(credentials), frozenset({"manufacturer"}), foreign, FORGED)
    before = await log.size()
    offsets: list[int] = []
    async with RawKafka.of_producer(stack, credentials["producers"][HOSTILE]) as kafka:
        for part in _parts(map(recorded, forged)):
            first = await kafka.send(way.topic, 0, part)
            offsets += range(first, first + len(part))

    async def all_refused() -> bool:
        kept = await codes(way)
        return {kept.get(offset) for offset in offsets} <= authority.CODES

    await eventually(all_refused, timeout_seconds=SETTLED_WITHIN_SECONDS)
    assert await log.size() == before


def _parts(records: Iterator[Record]) -> Iterator[tuple[Record, ...]]:
    while part := tuple(itertools.islice(records, FORGED_A_BATCH)):
        yield part


@pytest.mark.parametrize(
    "topic", [topics.inbound("manufacturer-1"), topics.MOVEMENTS, topics.REGISTRY, topics.REJECTED, topics.ACCESS]
)
async def test_a_producer_cannot_write_where_others_speak(
    stack: Stack, credentials: dict[str, Any], topic: str
) -> None:
    async with RawKafka.of_producer(stack, credentials["producers"][HOSTILE]) as kafka:
        with pytest.raises(KafkaError):
            await kafka.send(topic, 0, [recorded(told(credentials).event("elsewhere"))])
