"""Evaluation beside the checkpoints: what is told rests on one checkpoint exactly, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
import pytest

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.supply import checkpoints, relay
from services.supply.catching_up import CatchingUp
from services.supply.claims import Claim
from services.supply.cross_checks import KINDS as CROSS_KINDS
from services.supply.known_facts import KnownFacts
from services.supply.measure import picture
from services.supply.measurement import Measurement
from services.supply.odd import CORRECTION_KINDS, RECORD_KINDS, odd_at
from services.supply.signing import Signer
from services.supply.told import Outdated, count_open
from services.supply.view import View, same_snapshot
from shared.clock import FixedClock
from shared.lease import Lease, LeaseLost
from tests.reference import JSON
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.supply_world import World, claimed, write
from tests.stack.waiting import eventually
from tests.supply_given import GTIN, SOURCE, correcting, correction, event

NOW: Final = datetime(2026, 6, 30, 3, tzinfo=UTC)
SIGNER: Final = Signer.fresh()


def shipped(packs: int, id: str = "s") -> JSON:
    return event("export.shipped", id, quantity=packs)


class Evaluated:
    """A ledger on which one instance takes checkpoints and measures them, in steps of the test's."""

    def __init__(self, world: World, held: Claim) -> None:
        self.world = world
        self.held = held
        self.clock = FixedClock(NOW)
        self.lease = Lease("evaluation", "one", 60)
        self.measurement = Measurement(world.settings, world.one, self.clock, [], KnownFacts())

    async def write(self, *events: JSON) -> None:
        await write(self.world.one, self.held, *events)

    async def checkpoint(self) -> View:
        """The newest checkpoint and what it holds."""
        async with self.world.other.acquire() as connection, AsyncExitStack() as held:
            assert await self.lease.hold(connection)
            async with connection.transaction(isolation="repeatable_read"):
                await self.lease.guard(connection)
                before = await checkpoints.newest(connection)
                cut, _ = await checkpoints.take(connection, before, self.clock.real_now(), SIGNER)
                seen = await held.enter_async_context(same_snapshot(self.world.one, connection))
            return View(cut, self.clock.now(), copy(self.lease), seen, held.pop_all())
        raise AssertionError("an exit stack swallows nothing")

    async def evaluate(self) -> View:
        view = await self.checkpoint()
        await self.measurement.run(view)
        return view

    async def told(self) -> dict[str, Any]:
        """The anomalies of lots and records by kind and subject, as they were last told; what registrations and counts
        contradict is looked at elsewhere."""
        rows = await self.world.one.fetch(
            "SELECT subject, data::text FROM signals WHERE starts_with(subject, 'anomaly/') ORDER BY subject"
        )
        found = {subject.removeprefix("anomaly/"): orjson.loads(text) for subject, text in rows}
        return {key: data for key, data in found.items() if data["kind"] not in CROSS_KINDS}

    async def evaluation(self) -> int | None:
        found: int | None = await self.world.one.fetchval("SELECT checkpoint FROM evaluations")
        return found


@pytest.fixture
async def evaluated(world: World) -> Evaluated:
    return Evaluated(world, await claimed(world.one, "one"))


async def test_what_is_told_is_what_the_checkpoint_holds_however_much_is_recorded_meanwhile(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are worked out off the event loop, which goes on meanwhile."""
    loop, going_on = asyncio.get_running_loop(), threading.Event()

    def slow(*given: Any) -> Any:
        loop.call_soon_threadsafe(going_on.set)
        assert going_on.wait(5)
        return picture(*given)

    monkeypatch.setattr("services.supply.measurement.picture", slow)
    await evaluated.write(shipped(1))
    view = await evaluated.checkpoint()
    await evaluated.write(shipped(2, "more"))
    later = await evaluated.checkpoint()
    await evaluated.measurement.run(view)
    (told,) = (await evaluated.told()).values()
    assert (told["detail"], told["until"]) == ("1 packs more have left the lot than became available", None)
    assert await evaluated.evaluation() == view.cut.n
    await evaluated.measurement.run(later)
    (told,) = (await evaluated.told()).values()
    assert told["detail"].startswith("3 packs")


async def test_a_ledger_that_holds_nothing_has_nothing_to_tell(evaluated: Evaluated) -> None:
    """Each goal would be off its track until the first of its history comes."""
    catching_up, cuts = CatchingUp(evaluated.world.settings), []
    for events in ((), (shipped(1),)):
        if events:
            await evaluated.write(*events)
        view = await evaluated.checkpoint()
        await view.held.aclose()
        cuts.append(view.cut)
    async with evaluated.world.one.acquire() as connection:
        told = [not await catching_up.still(connection, cuts[0], cut, 0, NOW, NOW) for cut in cuts]
    assert told == [False, True]


async def test_what_could_not_be_written_is_told_by_the_next_evaluation(evaluated: Evaluated) -> None:
    await evaluated.write(shipped(1))
    view = await evaluated.checkpoint()
    await evaluated.world.one.execute("UPDATE leases SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await evaluated.measurement.run(view)
    assert (await evaluated.told(), await evaluated.evaluation()) == ({}, None)
    assert evaluated.measurement.is_news(view.cut, NOW)
    await evaluated.world.one.execute("UPDATE leases SET epoch = epoch - 1")
    view = await evaluated.evaluate()
    assert len(await evaluated.told()) == 1
    assert not evaluated.measurement.is_news(view.cut, NOW)
    assert evaluated.measurement.is_news(view.cut, NOW + timedelta(days=1))


async def test_an_evaluation_never_takes_the_place_of_a_newer_one(evaluated: Evaluated) -> None:
    await evaluated.write(shipped(1))
    older = await evaluated.checkpoint()
    await evaluated.write(event("batch.released", "r", quantity=1), event("batch.produced", "p", quantity=1))
    newer = await evaluated.evaluate()
    told = await evaluated.told()
    with pytest.raises(Outdated):
        await evaluated.measurement.run(older)
    assert (await evaluated.told(), await evaluated.evaluation()) == (told, newer.cut.n)


async def test_a_day_on_which_nothing_happens_tells_nothing_new_of_a_lot(evaluated: Evaluated) -> None:
    await evaluated.write(shipped(1))
    await evaluated.evaluate()
    versions = await evaluated.world.one.fetch("SELECT subject, version FROM signals WHERE subject ~ '^anomaly'")
    evaluated.clock.advance(timedelta(days=1))
    await evaluated.evaluate()
    again = await evaluated.world.one.fetch("SELECT subject, version FROM signals WHERE subject ~ '^anomaly'")
    assert again == versions
    assert (await evaluated.told())[f"overdrawn_lot/{GTIN}/L1"]["since"] == "2026-01-05"


async def test_an_overdrawn_lot_ends_on_the_day_from_which_the_book_agrees(evaluated: Evaluated) -> None:
    await evaluated.write(shipped(1))
    await evaluated.evaluate()
    made = event("batch.produced", "p", produced_on="2026-01-01")
    await evaluated.write(made, event("batch.released", "r", released_on="2026-02-02"))
    evaluated.clock.advance(timedelta(days=40))
    await evaluated.evaluate()
    (told,) = (await evaluated.told()).values()
    assert (told["kind"], told["since"], told["until"]) == ("overdrawn_lot", "2026-01-05", "2026-02-02")


async def test_however_many_odd_records_one_producer_sends_what_is_odd_about_others_stays(evaluated: Evaluated) -> None:
    waiting = correction("w", event("batch.released", "never"))
    await evaluated.write(shipped(1), shipped(2), waiting)
    await evaluated.evaluate()
    before = await evaluated.told()
    assert [told["kind"] for told in before.values()] == [
        "correction_without_original",
        "id_conflict",
        "overdrawn_lot",
    ]
    counted = [event("stock.counted", f"n{number}", quantity=packs) for packs in (1, 2) for number in range(1_100)]
    await evaluated.write(*counted)
    view = await evaluated.evaluate()
    told = await evaluated.told()
    assert before.items() <= told.items()
    assert [item for item in told.values() if item["until"] is not None] == []
    assert len(told) == len(before) + 1_100
    async with evaluated.world.one.acquire() as connection:
        assert await count_open(connection) == {
            "correction_without_original": 1,
            "count_mismatch": 1,
            "id_conflict": 1_101,
            "overdrawn_lot": 1,
        }
        async with connection.transaction():
            parts = [part async for part in odd_at(connection, view.cut, (*RECORD_KINDS, *CORRECTION_KINDS))]
    found = {anomaly.key: anomaly.as_json() for part in parts for anomaly in part}
    assert found == {key: item for key, item in told.items() if item["kind"] != "overdrawn_lot"}


async def test_every_correction_that_waits_is_told_until_it_waits_no_longer(evaluated: Evaluated) -> None:
    released = event("batch.released", "r")
    less = event("batch.released", "", quantity=1)
    towards = [correction(id, {**released, "id": other}, less) for id, other in (("a", "b"), ("b", "a"))]
    other_type = correction("t", released, original=event("batch.rejected", "r"))
    first = correction("1", released, less)
    second = correction("2", first, {"type": first["type"], "data": correcting(released, less)}, original=released)
    await evaluated.write(*towards, other_type, second)
    await evaluated.evaluate()
    assert await waiting(evaluated) == {"a", "b", "t", "2"}
    await evaluated.write(first)
    await evaluated.evaluate()
    assert await waiting(evaluated) == {"a", "b", "t", "2", "1"}
    await evaluated.write(released)
    await evaluated.evaluate()
    assert await waiting(evaluated) == {"a", "b", "t"}
    over = [item for item in (await evaluated.told()).values() if item["until"] is not None]
    assert [(item["since"], item["until"]) for item in over] == [("2026-01-05", "2026-01-05")] * 2


async def waiting(evaluated: Evaluated) -> set[str]:
    return {
        item["events"][0]["id"]
        for item in (await evaluated.told()).values()
        if item["kind"] == "correction_without_original" and item["until"] is None
    }


async def test_an_id_used_twice_is_told_with_both_records_and_their_places(evaluated: Evaluated) -> None:
    await evaluated.write(event("stock.counted", "n", quantity=1), event("stock.counted", "other"))
    await evaluated.evaluate()
    await evaluated.write(event("stock.counted", "n", quantity=2))
    await evaluated.evaluate()
    await evaluated.write(event("stock.counted", "n", quantity=3))
    await evaluated.evaluate()
    (told,) = (await evaluated.told()).values()
    named = {"source": SOURCE, "id": "n", "topic": "supply.movements.v1", "partition": 0}
    assert told["events"] == [{**named, "offset": 0}, {**named, "offset": 2}]
    assert told["detail"] == (
        "the record at supply.movements.v1/0/2 repeats the id of the event at supply.movements.v1/0/0 with other"
        " content; the first stands"
    )


async def test_marking_what_was_published_waits_for_nobody_who_writes_it_anew(evaluated: Evaluated) -> None:
    await evaluated.write(shipped(1))
    await evaluated.evaluate()
    rows = await evaluated.world.one.fetch("SELECT subject, version FROM signals ORDER BY subject DESC")
    versions = {row["subject"]: row["version"] for row in rows}
    (first, *others) = sorted(versions)
    async with evaluated.world.one.acquire() as writer, evaluated.world.other.acquire() as marker:
        async with writer.transaction():
            await writer.execute("UPDATE signals SET version = version + 1 WHERE subject = $1", first)
            await asyncio.wait_for(relay.mark(marker, versions), 5)
        marked = await marker.fetch("SELECT subject FROM signals WHERE published = version")
    assert {row["subject"] for row in marked} == set(others)


async def test_every_state_is_told_again_in_parts(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    await evaluated.write(*(event("batch.released", f"r{number}", lot=f"L{number}") for number in range(1_200)))
    await evaluated.evaluate()
    publishing = relay.Relay(evaluated.world.settings.model_copy(update={"heartbeat_every_seconds": 1e-9}))
    parts: list[tuple[bool, list[str]]] = []

    async def published(rows: list[Any], *, heartbeat: bool) -> None:
        parts.append((heartbeat, [row[0] for row in rows]))

    monkeypatch.setattr(publishing, "_publish", published)
    for _ in range(6):
        async with evaluated.world.one.acquire() as connection:
            await publishing.run(connection)
    subjects = {row[0] for row in await evaluated.world.one.fetch("SELECT subject FROM signals")}
    fresh = [subject for heartbeat, part in parts if not heartbeat for subject in part]
    again = [subject for heartbeat, part in parts if heartbeat for subject in part]
    assert len(subjects) > 1_200
    assert sorted(fresh) == sorted(subjects)
    assert set(again) == subjects
    assert max(len(part) for _, part in parts) == relay.BATCH


async def test_checkpoints_go_on_while_an_evaluation_cannot_be_written(
    stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    ledger, maker = Ledger(http, credentials), Sender(http, credentials, "manufacturer-1")
    (product,) = fresh_gtins(1)

    async def newest() -> int:
        return int((await ledger.get("/ledger/checkpoints", limit=1))["items"][0]["n"])

    async def told() -> list[Any]:
        return await ledger.items("/anomalies", subject=f"{product}/L1")

    server = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    try:
        async with server.transaction():
            await server.execute("LOCK TABLE supply.signals IN SHARE ROW EXCLUSIVE MODE")
            await maker.send(event("batch.released", f"{product}/r", source=maker.source, gtin=product))
            await ledger.holds(maker)
            before = await newest()

            async def further() -> bool:
                return await newest() >= before + 3

            await eventually(further)
            assert await told() == []
        await eventually(told)
    finally:
        await server.close()
