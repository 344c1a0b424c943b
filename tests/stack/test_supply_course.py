"""The course of the goals: worked out in a process of its own from the journal, kept by whoever holds the lease."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.supply import checkpoints
from services.supply.claims import claim
from services.supply.course import Course
from services.supply.course_keeper import CourseKeeper, kept_course
from services.supply.journal import Advance, Journal
from services.supply.signing import Signer
from shared import topics
from shared.lease import Lease, LeaseLost
from tests.stack.supply_world import PATIENCE_MS, World, claimed, write
from tests.supply_given import GTIN, MAKER, SOURCE, Message, event, message
from tests.unit.supply_ledger import decoded

TODAY = date(2026, 4, 10)
GOAL = "vn-2030-domestic-volume"
REGISTRATION: dict[str, Any] = {
    "authorisation": "VD-1-26",
    "product": {"name": "Pagol", "substance": "pagolin", "atc": "A10BA02", "form": "tablet", "class": "generic"},
    "packs": [{"gtin": GTIN, "pack_size": 30, "ddd_per_pack": "15"}],
    "origin": "domestic",
    "holder": MAKER,
    "manufacturer": MAKER,
    "granted_on": "2026-01-02",
    "expires_on": "2031-01-02",
}


async def registered(world: World) -> None:
    """Writes the registration of the product as the consumer does."""
    place = (topics.REGISTRY, 0)
    held = (await claim(world.one, [place], "one", PATIENCE_MS))[place]
    told = event("batch.recalled", "granted") | {"type": "supply.registration.granted.v1", "data": {"gtin": GTIN}}
    plain = message({**told, "source": SOURCE}, 0)
    value = json.dumps(REGISTRATION).encode()
    records = decoded([Message(topics.REGISTRY, 0, 0, plain.timestamp, b"VD-1-26", plain.headers, value)], held)
    step = Advance(held.topic_id, held.partition, held.epoch, 0, held.next_offset, held.chain)
    await Journal(world.one).write([step], records)


async def checkpoint(world: World) -> None:
    async with world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        before = await checkpoints.newest(connection)
        await checkpoints.take(connection, before, datetime.now(UTC), Signer.fresh())


async def leased(world: World, holder: str) -> Lease:
    lease = Lease("evaluation", holder, 60)
    async with world.one.acquire() as connection:
        assert await lease.hold(connection)
    return lease


async def course(world: World) -> Course | None:
    async with world.other.acquire() as connection:
        return await kept_course(connection)


async def test_a_course_is_that_of_the_ends_of_months_as_known_now(world: World) -> None:
    await registered(world)
    held = await claimed(world.one, "one")
    await write(
        world.one,
        held,
        event("batch.produced", "p", quantity=100, produced_on="2026-01-05"),
        event("batch.released", "r", quantity=100, released_on="2026-01-20"),
        event("import.received", "i", lot="L2", quantity=300, received_on="2026-02-10"),
        event("consumption.reported", "u", quantity=40, period_start="2026-03-01", period_end="2026-03-31"),
    )
    await checkpoint(world)
    assert await course(world) is None
    await CourseKeeper(world.settings, world.one).run(await leased(world, "one"), TODAY)
    found = await course(world)
    assert found is not None
    assert [(point.on, point.value) for point in found.goals[GOAL]] == [
        ("2026-01-31", "1"),
        ("2026-02-28", "0.25"),
        ("2026-03-31", "0.25"),
        ("2026-04-10", "0.25"),
    ]
    assert [(side.domestic, side.imported) for side in found.shares["domestic_share_volume"]][:2] == [
        ("1500", "0"),
        ("1500", "4500"),
    ]
    (product,) = found.products[GOAL]
    assert (product.gtin, product.name, product.domestic, product.imported) == (GTIN, "Pagol", "100", "300")


async def test_who_has_lost_the_lease_keeps_no_course(world: World) -> None:
    await checkpoint(world)
    lost = await leased(world, "one")
    async with world.one.acquire() as connection:
        await lost.release(connection)
    await leased(world, "other")
    lost.epoch = 1
    with pytest.raises(LeaseLost):
        await CourseKeeper(world.settings, world.one).run(lost, TODAY)
    assert await course(world) is None
