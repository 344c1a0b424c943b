"""Measures how many movements a second the contestants take in, each on a fresh database, and checks what they did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from bench.ceiling import TABLE
from bench.expected import Expected, Wrong, check
from bench.ground import Ground
from bench.watch import Measured, watch

DEFAULT_WAY, CEILING, SUPPLY = "default_way", "ceiling", "supply"
CEILING_BATCH_RECORDS: Final = 10_000
DEFAULT_WAY_BATCHES: Final = (500, 2_000)
Advanced = Callable[[int], None]


def default_way(ground: Ground, wanted: Expected, batch_records: int, advanced: Advanced | None = None) -> Measured:
    """The default way in batches of `batch_records`. Raises Wrong."""
    measured = _program(ground, DEFAULT_WAY, wanted.records, batch_records, advanced)
    asyncio.run(_check_ledger(ground, wanted, dated=False))
    return measured


def default_way_for(ground: Ground, records: int, batch_records: int) -> Measured:
    """The default way over the first `records` alone, to find its best batch; nothing is checked."""
    return _program(ground, DEFAULT_WAY, records, batch_records, None)


def ceiling(ground: Ground, wanted: Expected, advanced: Advanced | None = None) -> Measured:
    """One row an event. Raises Wrong unless it holds each record once and their packs add up."""
    measured = _program(ground, CEILING, wanted.records, CEILING_BATCH_RECORDS, advanced)
    asyncio.run(_check_ceiling(ground, wanted))
    return measured


def _program(ground: Ground, name: str, records: int, batch_records: int, advanced: Advanced | None) -> Measured:
    ground.fresh()
    ground.start_program(name, ("BATCH_RECORDS", str(batch_records)))
    try:
        return asyncio.run(watch(ground, [name], records, advanced=advanced))
    finally:
        ground.end(name)


def supply(ground: Ground, wanted: Expected, advanced: Advanced | None = None, *, processes: int = 1) -> Measured:
    """The real service in one process, or in several that share the partitions. Raises Wrong."""
    ground.fresh()
    names = [ground.start_service(instance) for instance in range(1, processes + 1)]
    try:
        measured = asyncio.run(watch(ground, names, wanted.records, advanced=advanced))
    finally:
        ground.end(*names)
    asyncio.run(_check_ledger(ground, wanted))
    return measured


def taken_in(ground: Ground, name: str, wanted: Expected, advanced: Advanced | None = None) -> Measured:
    """The running service `name` from where the ledger stands to the end of the topic. Raises Wrong."""
    measured = asyncio.run(watch(ground, [name], wanted.records, advanced=advanced))
    asyncio.run(_check_ledger(ground, wanted))
    return measured


async def _check_ledger(ground: Ground, wanted: Expected, *, dated: bool = True) -> None:
    async with ground.connected() as connection:
        await check(connection, wanted, dated=dated)


async def _check_ceiling(ground: Ground, wanted: Expected) -> None:
    async with ground.connected() as connection:
        found = await connection.fetchrow(
            f"SELECT count(*), count(DISTINCT (partition, kafka_offset)), sum(packs)::bigint FROM {TABLE}"
        )
    if tuple(found or ()) != (wanted.records, wanted.records, wanted.packs_told):
        raise Wrong(f"the ceiling holds {found}, not {wanted.records} records of {wanted.packs_told} packs")


CONTESTANTS: Final[Mapping[str, str]] = {
    DEFAULT_WAY: "FastStream typed pydantic batch, SQLAlchemy Core",
    CEILING: "aiokafka, msgspec, COPY of one row an event, nothing else",
    SUPPLY: "the service: all laws, raw records, chain",
}
