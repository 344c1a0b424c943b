"""Says what the ledger must hold after some chunks, by the reference fold, and finds where a database differs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.places import NAMES
from tests.reference import Book

LotKey = tuple[int, str]
# Packs of the ten places, counts of productions and imports, days of introduction, expiry, supply.
LotRow = tuple[Any, ...]
FLOW_DIGEST_BITS: Final = 64
FETCH_ROWS: Final = 50_000
_UNTOUCHED: Final = (*(0 for _ in NAMES), 0, 0, None, None, None)
_DATED_FROM: Final = len(NAMES) + 2
_LOTS: Final = (
    f"SELECT gtin, lot, {', '.join(NAMES)}, produced_count, imported_count,"
    " introduced_on::text, expires_on::text, supplied_on::text FROM lots"
)
_FLOWS: Final = "SELECT gtin, lot, effective_on::text, debit, credit, packs FROM flows WHERE packs <> 0"
_PLACE_NUMBER: Final = {name: number for number, name in enumerate(NAMES, 1)}


class Wrong(Exception):
    """What was measured did not come to what the reference fold comes to: no rate is told."""


class Flows(msgspec.Struct, frozen=True):
    """Net packs by lot, day and places, as their number and a sum of hashes: order does not matter."""

    count: int = 0
    digest: int = 0

    def __add__(self, other: Flows) -> Flows:
        return Flows(self.count + other.count, (self.digest + other.digest) % 2**FLOW_DIGEST_BITS)


class Expected(msgspec.Struct):
    """What `records` records come to; `packs_told` adds up the figure of each record as it stands, folded or not."""

    records: int
    packs_told: int
    lots: dict[LotKey, LotRow]
    flows: Flows

    def __add__(self, other: Expected) -> Expected:
        """Both chunks. They share no lot."""
        if shared := self.lots.keys() & other.lots.keys():
            raise ValueError(f"{len(shared)} lots are in two chunks")
        told = (self.records + other.records, self.packs_told + other.packs_told)
        return Expected(*told, {**self.lots, **other.lots}, self.flows + other.flows)


NOTHING: Final = Expected(0, 0, {}, Flows())


def expected(events: Sequence[Mapping[str, Any]]) -> Expected:
    """What the reference fold makes of one chunk, in the order of its recording."""
    book = Book(events)
    lots = {(int(gtin), lot): _lot_row(book, (gtin, lot)) for gtin, lot in book.balances}
    moved = (
        (int(gtin), lot, day, _PLACE_NUMBER[debit], _PLACE_NUMBER[credit], packs)
        for (gtin, lot, day, debit, credit), packs in book.flows.items()
        if packs
    )
    told = sum(event["data"].get("quantity") or event["data"].get("delta", 0) for event in events)
    return Expected(len(events), told, lots, flows_of(moved))


def _lot_row(book: Book, lot: tuple[str, str]) -> LotRow:
    held, facts = book.balances[lot], book.facts.get(lot, {})
    days = (facts.get(name) for name in ("introduced_on", "expires_on", "supplied_on"))
    return (*(held.get(name, 0) for name in NAMES), facts.get("produced", 0), facts.get("imported", 0), *days)


def flows_of(rows: Iterable[Sequence[Any]]) -> Flows:
    """The sum of rows (gtin, lot, day as text, debit, credit, packs)."""
    count = total = 0
    for row in rows:
        count += 1
        total += int.from_bytes(blake2b(repr(tuple(row)).encode(), digest_size=FLOW_DIGEST_BITS // 8).digest())
    return Flows(count, total % 2**FLOW_DIGEST_BITS)


async def check(connection: asyncpg.Connection, wanted: Expected, *, dated: bool = True) -> None:
    """Raises Wrong unless lots and flows are exactly `wanted`; `dated` False leaves out the days of the lots."""
    upto = None if dated else _DATED_FROM
    found, flows = 0, Flows()
    async for rows in _pages(connection, _LOTS):
        for gtin, lot, *held in rows:
            right = wanted.lots.get((gtin, lot))
            found += right is not None
            if (right or _UNTOUCHED)[:upto] != tuple(held)[:upto]:
                raise Wrong(f"lot {gtin}/{lot}: the ledger has {held}, the reference fold {right}")
    if found != len(wanted.lots):
        raise Wrong(f"the ledger has {found:,} of the {len(wanted.lots):,} lots of the reference fold")
    async for rows in _pages(connection, _FLOWS):
        flows += flows_of(rows)
    if flows != wanted.flows:
        raise Wrong(f"flows: the ledger has {flows}, the reference fold {wanted.flows}")


async def _pages(connection: asyncpg.Connection, query: str) -> AsyncIterator[list[Any]]:
    async with connection.transaction():
        cursor = await connection.cursor(query)
        while rows := await cursor.fetch(FETCH_ROWS):
            yield rows
