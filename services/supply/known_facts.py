"""Keeps registry facts and marks in memory, as they were recorded, and finds the registry known at a checkpoint.

Facts are insert-only and checkpoints only ever move on, so what a checkpoint knows is a prefix of every partition's
facts: two checkpoints with as many facts, and as many members of the families of corrections that can touch one, know
the same registry. A family are corrections that stand on one another and the original that they come down to; it can
touch a fact if any of them speaks of one. A rebuild that put something right has raised the tables' generation: then
all is read anew.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Any, Final

import asyncpg

from services.supply.asof import FACT_TYPES, Cut, Said, as_corrected, corrected_facts
from services.supply.facts import fact_of
from services.supply.known_events import family
from services.supply.product_facts import Place, ProductFacts
from services.supply.registry import Registry

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
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
# Corrections that name the type of a fact, wherever in them, and those of families of which one is known to do so.
_TOUCHING = f"""
SELECT event_key, target FROM corrections {_BEYOND}
AND (target = ANY($5::bytea[]) OR event_key = ANY($5::bytea[]) OR EXISTS (
    SELECT FROM jsonb_path_query(data, '$.**.type') AS said (type) WHERE said.type #>> '{{}}' = ANY($4::text[])
))
"""
_CORRECTED = "SELECT target FROM corrections WHERE target = ANY($1::bytea[])"
_PLACES = """
SELECT event_key, topic_id, partition, kafka_offset FROM unnest($1::bytea[]) AS asked (event_key)
JOIN event_ids USING (event_key)
"""


class KnownFacts:
    """The facts that this process has read so far; whoever asks for more has them read first."""

    def __init__(self) -> None:
        self._generation = 0
        self._read: dict[Place, int] = {}
        self._offsets: dict[Place, array[int]] = {}
        self._facts: dict[Place, list[Said]] = {}
        self._by_product = ProductFacts()
        self._families: set[bytes] = set()  # the event keys of all members, recorded or not, of families that can touch
        self._placed: set[bytes] = set()  # those of them that are recorded
        self._touching: dict[Place, array[int]] = {}  # where
        self._turns = 0  # how often what had been recorded before turned out to be of such a family
        self._registries: OrderedDict[tuple[int, int, int, int], Registry] = OrderedDict()
        self._reading = asyncio.Lock()

    async def registry(self, connection: Connection, cut: Cut) -> Registry:
        """The registry as known at `cut`. `connection` is in a transaction that sees the cut."""
        generation = await self._read_up_to(connection, cut)
        if generation is None:
            return await KnownFacts().registry(connection, cut)
        places = _ends(cut)
        counts = [sum(_before(held, places)) for held in (self._offsets, self._touching)]
        key = (generation, self._turns, counts[0], counts[1])
        found = self._registries.get(key)
        if found is None:
            found = Registry(await self._facts_at(connection, cut, places, counts[1] > 0))
            self._registries[key] = found
            if len(self._registries) > MAX_REGISTRIES:
                self._registries.popitem(last=False)
        else:
            self._registries.move_to_end(key)
        return found

    async def registry_of(self, connection: Connection, cut: Cut, gtin: int) -> Registry:
        """What the registry as known at `cut` says of one product, its authorisations and its lots; of nothing else."""
        if await self._read_up_to(connection, cut) is None:
            return await KnownFacts().registry_of(connection, cut, gtin)
        said, may_put = self._by_product.about(gtin, dict(_ends(cut)))
        corrected = await connection.fetch(_CORRECTED, [item.event_key for item in said]) if said else []
        return Registry(await as_corrected(connection, cut, said, may_put | {row[0] for row in corrected}))

    async def _read_up_to(self, connection: Connection, cut: Cut) -> int | None:
        """Reads what is missing. The tables' generation; None in a snapshot from before the repair, of which nothing
        may be mixed with what is kept here."""
        async with self._reading:
            generation: int = await connection.fetchval(_GENERATION)
            if generation < self._generation:
                return None
            if generation > self._generation:
                self._forget(generation)
            if any(self._read.get(place, 0) < end for place, end in _ends(cut)):
                await self._read_on(connection)
        return generation

    def _forget(self, generation: int) -> None:
        for kept in (self._read, self._offsets, self._facts, self._families, self._placed, self._touching):
            kept.clear()
        self._by_product.clear()
        self._registries.clear()
        self._generation = generation

    async def _read_on(self, connection: Connection) -> None:
        """Reads what this transaction sees beyond what has been read."""
        ends = {(row[0], row[1]): row[2] for row in await connection.fetch(_POSITIONS)}
        had = [(*place, self._read.get(place, 0)) for place in ends]
        columns = [list(column) for column in zip(*had, strict=True)]
        facts = await connection.fetch(_FACTS, *columns)
        await self._place_families(connection, columns)
        for row in facts:
            place = (row[0], row[1])
            said = Said(row[3], fact_of(*row[4:10]))
            self._offsets.setdefault(place, array("q")).append(row[2])
            self._facts.setdefault(place, []).append(said)
            self._by_product.add(place, row[2], said)
        self._read = {place: max(end, self._read.get(place, 0)) for place, end in ends.items()}

    async def _place_families(self, connection: Connection, beyond: list[list[int]]) -> None:
        """Finds what is new of families that can touch a fact, and where it was recorded."""
        rows = await connection.fetch(_TOUCHING, *beyond, list(FACT_TYPES), list(self._families))
        if rows:
            targets = {row[1] for row in rows}
            near = await family(connection, climb_from=targets, keys={row[0] for row in rows} | targets)
            self._by_product.add_corrections(near.values())
            self._families |= targets | near.keys() | {correction.target for correction in near.values()}
        turned = False
        for key, topic_id, partition, offset in await connection.fetch(_PLACES, list(self._families - self._placed)):
            place = (topic_id, partition)
            turned |= offset < self._read.get(place, 0)
            insort(self._touching.setdefault(place, array("q")), offset)
            self._placed.add(key)
        if turned:
            self._turns += 1
            self._registries.clear()

    async def _facts_at(
        self, connection: Connection, cut: Cut, places: list[tuple[Place, int]], touched: bool
    ) -> list[Any]:
        said = [
            fact
            for (place, _), count in zip(places, _before(self._offsets, places), strict=True)
            for fact in self._facts.get(place, [])[:count]
        ]
        return await corrected_facts(connection, cut, said) if touched else [item.fact for item in said]


def _ends(cut: Cut) -> list[tuple[Place, int]]:
    """By place, the first offset left out."""
    return list(zip(zip(cut.topic_ids, cut.partitions, strict=True), cut.next_offsets, strict=True))


def _before(offsets: dict[Place, array[int]], places: list[tuple[Place, int]]) -> list[int]:
    """By place, how many of its offsets lie before the end."""
    return [bisect_left(offsets.get(place, ()), end) for place, end in places]
