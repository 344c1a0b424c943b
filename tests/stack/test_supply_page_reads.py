"""What pages read of what was told: in order, page by page, nothing twice and nothing left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from services.supply.pages import reads
from tests.stack.supply_world import World, claimed, released, write
from tests.supply_given import GTIN, event

JSON = dict[str, Any]
Page = tuple[list[JSON], tuple[str, str] | None]
_PUT = "INSERT INTO signals (subject, version, published, at, data) VALUES ($1, 1, 0, $2, $3)"


async def tell(world: World, states: dict[str, JSON]) -> None:
    rows = [(subject, datetime.now(UTC), orjson.dumps(data).decode()) for subject, data in states.items()]
    await world.one.executemany(_PUT, rows)


async def all_of(
    read: Callable[..., Awaitable[Page]], connection: Any, which: Any, kind: str | None, size: int
) -> list[str]:
    """The ids of all pages of this size, in their order."""
    found, after = [], None
    while True:
        items, after = await read(connection, which, kind, after, size)
        found += [item["id"] for item in items]
        if after is None:
            return found


def duty(id: str, due_on: str | None, state: str = "open", kind: str = "renewal") -> tuple[str, JSON]:
    return f"obligation/{id}", {"id": id, "due_on": due_on, "state": state, "kind": kind}


async def test_open_duties_come_by_their_day_and_those_without_one_last(world: World) -> None:
    told = [duty("b", "2026-05-01"), duty("a", "2026-05-01"), duty("never", None), duty("first", "2026-01-01")]
    told += [
        duty("recall", "2026-02-01", kind="recall"),
        duty("met", "2026-01-01", "met"),
        duty("old", "2025-01-01", "met"),
    ]
    await tell(world, dict(told))
    async with world.one.acquire() as connection:
        for size in (1, 2, 50):
            opened = await all_of(reads.obligations, connection, "open", None, size)
            assert opened == ["first", "recall", "a", "b", "never"]
            assert await all_of(reads.obligations, connection, "met", None, size) == ["met", "old"]
        of_kind = await all_of(reads.obligations, connection, "open", "recall", 50)
        assert of_kind == ["recall"]


async def test_anomalies_come_by_kind_and_subject_open_or_ended(world: World) -> None:
    def odd(kind: str, id: str, until: str | None = None) -> tuple[str, JSON]:
        return f"anomaly/{kind}/{id}", {"id": id, "until": until}

    told = [
        odd("overdrawn_lot", "c"),
        odd("overdrawn_lot", "a"),
        odd("count_mismatch", "b"),
        odd("overdrawn_lot", "x", "2026"),
    ]
    await tell(world, dict([*told, odd("overdrawn_lot_too", "y", "2026"), duty("d", "2026-01-01")]))
    async with world.one.acquire() as connection:
        for size in (1, 2, 50):
            assert await all_of(reads.anomalies, connection, False, None, size) == ["b", "a", "c"]
            assert await all_of(reads.anomalies, connection, True, None, size) == ["x", "y"]
        ended = await all_of(reads.anomalies, connection, True, "overdrawn_lot", 50)
        assert ended == ["x"]


async def test_what_begins_with_a_subject_is_found_and_nothing_beside_it(world: World) -> None:
    await tell(world, dict([duty("A-1:m", None), duty("A-1:n", None), duty("A-10:m", None), duty("A-2:m", None)]))
    async with world.one.acquire() as connection:
        found = await reads.told_beginning(connection, ["obligation/A-1:", "obligation/A-2:"], 10)
        few = await reads.told_beginning(connection, ["obligation/A-1:"], 1)
        one = await reads.told(connection, ["obligation/A-1:n", "obligation/none"])
    assert [item["id"] for item in found] == ["A-1:m", "A-1:n", "A-2:m"]
    assert [item["id"] for item in few] == ["A-1:m"]
    assert list(one) == ["obligation/A-1:n"]


async def test_lots_are_found_by_how_their_number_begins(world: World) -> None:
    held = await claimed(world.one, "one")
    numbers = ("AB1", "AB2", "AC1", "ab1")
    await write(
        world.one, held, *(event("batch.produced", f"p{lot}", lot=lot) for lot in numbers), released("r", lot="AB1")
    )
    async with world.one.acquire() as connection:
        assert await reads.lots_called(connection, "AB", 10) == [(GTIN, "AB1"), (GTIN, "AB2")]
        assert await reads.lots_called(connection, "A", 1) == [(GTIN, "AB1")]
        assert await reads.lots_called(connection, "AB1", 10) == [(GTIN, "AB1")]
        assert await reads.lots_called(connection, "Z", 10) == []
