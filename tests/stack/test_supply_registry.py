"""The registry known at a checkpoint, kept in memory, is the one that the tables hold at that checkpoint."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from services.supply.asof import Cut
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.known_facts import KnownFacts
from tests.reference import JSON
from tests.stack.supply_world import World, claimed, write
from tests.supply_given import GTIN, MAKER, SOURCE, TIME, correcting, correction, event

DAY = date(2026, 6, 30)
RELEASED = event("batch.released", "r", quantity=100)
RECALLED = event("batch.recalled", "")


async def recalled_on(world: World, facts: KnownFacts, records: int) -> date | None:
    """The day of the lot's recall as known when the partition had so many records."""
    at = Cut(1, datetime.now(UTC), (MOVEMENTS_TOPIC_ID,), (0,), (records,))
    async with world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        return (await facts.registry(connection, at)).recalled_on(int(GTIN), "L1", None, DAY)


async def assert_recalled_only_after_all(world: World, *events: JSON) -> None:
    """By a registry that was asked after each event, and by one that is asked at the end."""
    held, kept = await claimed(world.one, "one"), KnownFacts()
    for number, told in enumerate(events, 1):
        await write(world.one, held, told)
        expected = date(2026, 1, 5) if number == len(events) else None
        assert await recalled_on(world, kept, number) == expected
        assert await recalled_on(world, KnownFacts(), number) == expected
    assert await recalled_on(world, kept, len(events) - 1) is None


async def test_a_movement_that_comes_after_its_correction_into_a_recall_recalls(world: World) -> None:
    await assert_recalled_only_after_all(world, correction("c", RELEASED, RECALLED), RELEASED)


async def test_a_movement_that_comes_last_of_a_chain_that_makes_it_a_recall_recalls(world: World) -> None:
    less = correction("c", RELEASED, event("batch.released", "", quantity=1))
    nested = {"type": less["type"], "data": correcting(RELEASED, RECALLED)}
    await assert_recalled_only_after_all(world, less, correction("d", less, nested, original=RELEASED), RELEASED)


async def test_a_correction_that_comes_between_a_movement_and_the_correction_that_makes_it_a_recall_recalls(
    world: World,
) -> None:
    less = correction("c", RELEASED, event("batch.released", "", quantity=1))
    nested = {"type": less["type"], "data": correcting(RELEASED, RECALLED)}
    await assert_recalled_only_after_all(world, RELEASED, correction("d", less, nested, original=RELEASED), less)


async def test_a_fact_that_comes_after_the_correction_that_undoes_another_is_known(world: World) -> None:
    closed = event("recall.closed", "x")
    await assert_recalled_only_after_all(world, closed, correction("c", closed), event("batch.recalled", "y"))


SIGNED: dict[str, Any] = {
    "title": "T",
    "originator": "4000000000006",
    "recipient": MAKER,
    "signed_on": "2026-01-01",
    "products": [{"name": "M", "substance": "m"}],
    "milestones": [],
}


def transfer(kind: str, id: str, source: str, **told: Any) -> dict[str, Any]:
    """An event of one agreement."""
    head = {"specversion": "1.0", "type": f"supply.transfer.{kind}.v1", "id": id, "source": source, "time": TIME}
    return {**head, "data": {"agreement": "T-1", **told}}


async def test_the_word_of_a_regulator_counts_by_what_ingest_wrote_of_it_at_the_time(world: World) -> None:
    ended = transfer("ended", "e", "urn:gln:9520000000011", effective_on="2026-01-02", reason="done")
    by_regulator = {**ended, "id": "r", "authority": "regulator"}
    held, facts = await claimed(world.one, "one"), KnownFacts()
    await write(world.one, held, transfer("signed", "s", SOURCE, **SIGNED), ended, by_regulator)

    async def ended_on(records: int) -> date | None:
        at = Cut(1, datetime.now(UTC), (MOVEMENTS_TOPIC_ID,), (0,), (records,))
        async with world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            (found,) = (await facts.registry(connection, at)).agreements(DAY)
        return found.ended_on

    assert [await ended_on(records) for records in (1, 2, 3)] == [None, None, date(2026, 1, 2)]
