"""Keeps registry facts and marks in memory, as they were recorded, and finds the registry known at a checkpoint.

Facts are insert-only and checkpoints only ever move on, so what a checkpoint knows is a prefix of every partition's
facts: two checkpoints with as many facts, and as many corrections that can touch one (and records that such corrections
waited for), know the same registry. A rebuild that put something right has raised the tables' generation: then all is
read anew.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections import OrderedDict
from typing import Any, Final

import asyncpg

from services.supply.asof import FACT_TYPES, Cut, Said, corrected_facts
from services.supply.facts import fact_of
from services.supply.registry import Registry

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Place = tuple[int, int]
MAX_REGISTRIES: Final = 8

_GENERATION = "SELECT number FROM generation"
_POSITIONS = "SELECT topic_id, partition, next_offset FROM positions"
_BEYOND = (
    "JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS had (topic_id, partition, first)"
    " USING (topic_id, partition) WHERE kafka_offset >= had.first"
)
_FACTS = f"""
SELECT topic_id, partition, kafka_offset, event_key, type, data::text, time, source, id, by_regulator
FROM facts {_BEYOND} ORDER BY topic_id, partition, kafka_offset
"""
# Corrections of facts, corrections into facts, and corrections of corrections, which may be either; corrections, and
# originals, for which those above them were waiting.
_TOUCHING = f"""
SELECT topic_id, partition, kafka_offset FROM corrections {_BEYOND}
AND (data->'corrects'->>'type' = ANY($4::text[]) OR data->'replacement'->>'type' = ANY($4::text[])
    OR data->'replacement'->>'type' = 'supply.event.corrected.v1'
    OR target IN (SELECT event_key FROM corrections) OR event_key IN (SELECT target FROM corrections))
UNION SELECT topic_id, partition, kafka_offset FROM journal {_BEYOND} AND cause IS NOT NULL AND EXISTS (
    SELECT FROM journal said WHERE said.seq = 0 AND said.cause IS NULL AND said.debit IS NOT NULL
    AND (said.topic_id, said.partition, said.kafka_offset) = (journal.topic_id, journal.partition, journal.kafka_offset)
)
ORDER BY topic_id, partition, kafka_offset
"""


class KnownFacts:
    """The facts that this process has read so far; whoever asks for more has them read first."""

    def __init__(self) -> None:
        self._generation = 0
        self._read: dict[Place, int] = {}
        self._offsets: dict[Place, array[int]] = {}
        self._facts: dict[Place, list[Said]] = {}
        self._touching: dict[Place, array[int]] = {}
        self._registries: OrderedDict[tuple[int, int, int], Registry] = OrderedDict()
        self._reading = asyncio.Lock()

    async def registry(self, connection: Connection, cut: Cut) -> Registry:
        """The registry as known at `cut`. `connection` is in a transaction that sees the cut."""
        places = list(zip(zip(cut.topic_ids, cut.partitions, strict=True), cut.next_offsets, strict=True))
        async with self._reading:
            generation = await connection.fetchval(_GENERATION)
            if generation < self._generation:  # a snapshot from before the repair: for itself
                return await KnownFacts().registry(connection, cut)
            if generation > self._generation:
                self._forget(generation)
            if any(self._read.get(place, 0) < end for place, end in places):
                await self._read_on(connection)
        counts = [sum(_before(held, places)) for held in (self._offsets, self._touching)]
        key = (generation, counts[0], counts[1])
        found = self._registries.get(key)
        if found is None:
            found = Registry(await self._facts_at(connection, cut, places, counts[1] > 0))
            self._registries[key] = found
            if len(self._registries) > MAX_REGISTRIES:
                self._registries.popitem(last=False)
        else:
            self._registries.move_to_end(key)
        return found

    def _forget(self, generation: int) -> None:
        for kept in (self._read, self._offsets, self._facts, self._touching, self._registries):
            kept.clear()
        self._generation = generation

    async def _read_on(self, connection: Connection) -> None:
        """Reads what this transaction sees beyond what has been read."""
        ends = {(row[0], row[1]): row[2] for row in await connection.fetch(_POSITIONS)}
        had = [(*place, self._read.get(place, 0)) for place in ends]
        columns = [list(column) for column in zip(*had, strict=True)]
        facts = await connection.fetch(_FACTS, *columns)
        touching = await connection.fetch(_TOUCHING, *columns, list(FACT_TYPES))
        for row in facts:
            place = (row[0], row[1])
            self._offsets.setdefault(place, array("q")).append(row[2])
            self._facts.setdefault(place, []).append(Said(row[3], fact_of(*row[4:10])))
        for topic_id, partition, offset in touching:
            self._touching.setdefault((topic_id, partition), array("q")).append(offset)
        self._read = {place: max(end, self._read.get(place, 0)) for place, end in ends.items()}

    async def _facts_at(
        self, connection: Connection, cut: Cut, places: list[tuple[Place, int]], touched: bool
    ) -> list[Any]:
        said = [
            fact
            for (place, _), count in zip(places, _before(self._offsets, places), strict=True)
            for fact in self._facts.get(place, [])[:count]
        ]
        return await corrected_facts(connection, cut, said) if touched else [item.fact for item in said]


def _before(offsets: dict[Place, array[int]], places: list[tuple[Place, int]]) -> list[int]:
    """By place, how many of its offsets lie before the end."""
    return [bisect_left(offsets.get(place, ()), end) for place, end in places]
