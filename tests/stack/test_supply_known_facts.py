"""The registry known at a checkpoint: made once for all that know the same facts, and anew for what can touch one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Final

import pytest

from services.supply.asof import Cut
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.known_facts import KnownFacts
from services.supply.registry import Registry
from tests.reference import JSON
from tests.stack.supply_world import World, claimed, write
from tests.supply_given import GTIN, correction, event, gtin

RECALL: Final = event("batch.recalled", "r", lot="A")
RELEASE: Final = event("batch.released", "m", lot="A")
TO_B: Final = correction("to-b", RELEASE, event("batch.released", "", lot="B"))
TO_C: Final = correction("to-c", TO_B, event("batch.released", "", lot="C"), original=RELEASE)
TO_RECALL: Final = correction("to-recall", RELEASE, event("batch.recalled", "", lot="D"))
NO_RECALL: Final = correction("no-recall", TO_RECALL, event("batch.released", "", lot="E"), original=RELEASE)
RECALL_OF_B: Final = correction("of-b", RECALL, event("batch.recalled", "", lot="B"))


async def known(world: World, facts: KnownFacts, records: int, product: int | None = None) -> Registry:
    """The registry (or of it what is about a product) of whoever knows the first `records` records of the only
    partition."""
    cut = Cut(1, datetime.now(UTC), (MOVEMENTS_TOPIC_ID,), (0,), (records,))
    async with world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        if product is not None:
            return await facts.registry_of(connection, cut, product)
        return await facts.registry(connection, cut)


async def recalled_then(world: World, facts: KnownFacts, records: int) -> set[str]:
    """The recalled lots by the whole registry, and by what it says of their product alone."""
    whole = recalled(await known(world, facts, records))
    assert recalled(await known(world, facts, records, int(GTIN))) == whole
    return whole


def recalled(registry: Registry) -> set[str]:
    return {str(getattr(fact.data, "lot", None)) for facts in registry.recalls.values() for fact in facts}


async def test_corrections_of_movements_make_no_registry_anew(world: World) -> None:
    held, facts = await claimed(world.one, "one"), KnownFacts()
    await write(world.one, held, RECALL, TO_C, RELEASE, TO_B)
    seen = [await known(world, facts, records) for records in range(1, 5)]
    assert all(registry is seen[0] for registry in seen)
    assert recalled(seen[0]) == {"A"}


@pytest.mark.parametrize("order", [*permutations((RECALL, RECALL_OF_B)), *permutations((RELEASE, TO_B, TO_RECALL))])
async def test_each_moment_knows_what_it_knew_however_it_is_asked(world: World, order: Sequence[JSON]) -> None:
    """Read as it is recorded, and by someone who reads all of it at the end."""
    held, facts, then = await claimed(world.one, "one"), KnownFacts(), []
    for number, told in enumerate((*order, NO_RECALL), 1):
        await write(world.one, held, told)
        then.append(await recalled_then(world, facts, number))
    for reader in (facts, KnownFacts()):
        assert [await recalled_then(world, reader, number) for number in range(1, len(order) + 2)] == then
    alone = [await recalled_then(world, KnownFacts(), number) for number in range(1, len(order) + 2)]
    assert alone == then
    assert {"A", "B", "D"} & set().union(*then)


async def test_a_correction_that_speaks_of_another_product_is_known_under_that(world: World) -> None:
    other = gtin(2)
    recall = correction("to-other", RELEASE, event("batch.recalled", "", gtin=other, lot="A"))
    held, facts = await claimed(world.one, "one"), KnownFacts()
    await write(world.one, held, RELEASE, recall)
    for records, lots in ((1, set()), (2, {"A"})):
        for reader in (facts, KnownFacts()):
            assert recalled(await known(world, reader, records)) == lots
            assert recalled(await known(world, reader, records, int(other))) == lots
