"""10,000 hostile records among 10,000 good ones: every one ends once, without a stall, and though ingest is killed."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import pytest

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from shared import topics
from tests.corpus.every import every, given
from tests.corpus.hostile import Record
from tests.stack.kafka_way import JSON, Way, kill_ingest
from tests.stack.topic_log import records
from tests.stack.waiting import eventually

pytestmark = pytest.mark.proof

GOOD = HOSTILE = 10_000
PAIRS_A_BATCH: Final = 50
PARTITIONS: Final = 3
# Larger ones, and bombs, are sent once each by the tests of the corpus.
LARGEST_BYTES: Final = 16 * 1024
STALL_SECONDS: Final = 1.0
WATCHED_EVERY_SECONDS: Final = 0.02
SETTLED_WITHIN_SECONDS: Final = 120.0
KILLS: Final = 5
KILLED_EVERY_SECONDS: Final = 3.0


def refused(credentials: JSON, way: Way) -> list[tuple[str, Record]]:
    """Small records of the corpus that are refused, each with its code."""
    other = credentials["producers"]["manufacturer-2"]["gln"][0]
    found = given(tuple(credentials["producers"][way.name]["gln"]), other, uuid.uuid4().hex[:8])
    records = [(one.rejection, one.record) for one in every(found)]
    return [
        (code, record)
        for code, record in records
        if code is not None and record is not None and record.compression is None and _size(record) <= LARGEST_BYTES
    ]


def _size(record: Record) -> int:
    return len(record.value or b"") + sum(len(name) + len(value or b"") for name, value in record.headers)


@dataclass
class Flood:
    """Batches in which every good record has a hostile one behind it, and the code of each place that holds one."""

    way: Way
    kinds: list[tuple[str, Record]]
    codes: dict[tuple[int, int], str] = field(default_factory=dict)

    def ids(self) -> set[str]:
        return {self.way.event(str(number))["id"] for number in range(GOOD)}

    def batches(self) -> Iterator[list[tuple[str | None, Record]]]:
        kinds = itertools.cycle(self.kinds)
        for start in range(0, GOOD, PAIRS_A_BATCH):
            yield [
                one
                for number in range(start, start + PAIRS_A_BATCH)
                for one in ((None, self.way.good(str(number))), next(kinds))
            ]

    async def send(self, pause_seconds: float = 0) -> None:
        batches = list(self.batches())
        for number, batch in enumerate(batches):
            partition = number % PARTITIONS
            first = await self.way.send(partition, [record for _, record in batch])
            self.codes |= {(partition, first + at): code for at, (code, _) in enumerate(batch) if code is not None}
            await asyncio.sleep(pause_seconds)


@pytest.fixture
def flood(credentials: JSON, way: Way) -> Flood:
    return Flood(way, refused(credentials, way))


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """For what would keep ingest busy if it were asked for again and again."""
    connection = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    yield connection
    await connection.close()


async def rejected(database: asyncpg.Connection, way: Way) -> int:
    """How many rejections there are of this producer."""
    count = await database.fetchval("SELECT count(*) FROM ingest.rejections WHERE producer = $1", way.name)
    return int(count)


async def settled_records(way: Way) -> float:
    """How many records ingest has settled since it started."""
    async with way.http.get(way.credentials["ingest"] + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("supply_watch_ingest_edge_records_total{"))


@dataclass
class Watched:
    """The longest time without a settled record, from the first to the last."""

    longest_seconds: float = 0.0


@asynccontextmanager
async def watching(way: Way) -> AsyncIterator[Watched]:
    found = Watched()

    async def watch() -> None:
        known, since = await settled_records(way), None
        while True:
            settled = await settled_records(way)
            now = time.monotonic()
            if settled > known:
                if since is not None:
                    found.longest_seconds = max(found.longest_seconds, now - since)
                known, since = settled, now
            await asyncio.sleep(WATCHED_EVERY_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])


async def all_settled(flood: Flood, database: asyncpg.Connection, before: int) -> bool:
    assert (await rejected(database, flood.way) - before, await flood.way.packs()) == (HOSTILE, GOOD)
    return True


async def in_trusted_topic(stack: Stack, way: Way) -> list[str]:
    """The id of each event of this product, as often as it lies there."""
    found = await records(stack, topics.MOVEMENTS)
    return [dict(one.headers)["ce_id"].decode() for one in found if one.key == way.gtin.encode()]


async def kept(flood: Flood) -> dict[tuple[int, int], str]:
    """The code of each rejection of the flood; no place stands twice."""
    mine = [one for one in await flood.way.rejections() if (one["partition"], one["offset"]) in flood.codes]
    found = {(one["partition"], one["offset"]): one["code"] for one in mine}
    assert len(found) == len(mine)
    return found


async def test_of_good_and_hostile_records_every_one_ends_once_without_a_stall(
    stack: Stack, flood: Flood, database: asyncpg.Connection, say: Callable[[str], None]
) -> None:
    before, ingest = await rejected(database, flood.way), stack.pid("ingest")
    began = time.monotonic()
    async with watching(flood.way) as watched:
        await flood.send()
        await eventually(lambda: all_settled(flood, database, before), timeout_seconds=SETTLED_WITHIN_SECONDS)
    seconds = time.monotonic() - began
    recorded = await in_trusted_topic(stack, flood.way)
    assert (len(recorded), set(recorded)) == (GOOD, flood.ids())
    assert (await flood.way.lots(), await kept(flood)) == (GOOD, flood.codes)
    assert stack.pid("ingest") == ingest
    say(
        f"{GOOD} good and {HOSTILE} hostile records of {len(flood.kinds)} classes, in the ledger and kept after "
        f"{seconds:.1f} s; the longest time without one settled was {watched.longest_seconds:.2f} s"
    )
    assert watched.longest_seconds < STALL_SECONDS


async def test_though_ingest_is_killed_again_and_again_every_one_ends_once(
    stack: Stack, flood: Flood, database: asyncpg.Connection, say: Callable[[str], None]
) -> None:
    before = await rejected(database, flood.way)
    sending = asyncio.create_task(flood.send(pause_seconds=KILLS * KILLED_EVERY_SECONDS * PAIRS_A_BATCH / GOOD))
    for _ in range(KILLS):
        await asyncio.sleep(KILLED_EVERY_SECONDS)
        await kill_ingest(stack)
    await sending
    await eventually(lambda: all_settled(flood, database, before), timeout_seconds=SETTLED_WITHIN_SECONDS)
    recorded = await in_trusted_topic(stack, flood.way)
    assert set(recorded) == flood.ids()
    assert (await flood.way.packs(), await flood.way.lots(), await kept(flood)) == (GOOD, GOOD, flood.codes)
    twice = len(recorded) - GOOD
    told = sum(1 for one in await records(stack, topics.REJECTED) if place_of(one, flood.way) in flood.codes) - HOSTILE
    say(f"killed {KILLS} times: {twice} good records told twice and counted once, {told} rejections told twice")


def place_of(told: Any, way: Way) -> tuple[int, int] | None:
    """Of what a record of supply.rejected.v1 tells; None if it is another producer's."""
    headers = dict(told.headers)
    return (int(headers["partition"]), int(headers["offset"])) if told.key == way.name.encode() else None
