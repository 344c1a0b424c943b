"""What capture keeps, on a database of its own: jobs one producer after another, the lots of serials, hostile texts."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.ingest.capture.entry import entries, lessons
from services.ingest.capture.jobs import Job, Jobs
from services.ingest.capture.negotiation import PROCEED
from services.ingest.capture.store import Became, Captures, Kept
from services.ingest.capture.verdict import Decided, verdict
from services.ingest.epcis import capture, documents
from services.ingest.epcis.capture import Needs
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Mapped
from services.ingest.rejections import Filter, Rejections
from services.ingest.settings import IngestSettings
from services.ingest.store import ProducerRow, Store
from services.ingest.tables import Party
from shared.database import engine, migrate
from tests.authors import ANN
from tests.unit.epcis_given import ABROAD, DIRECTORY, GTIN, MAKER, PRESENT, document, gln, made, objects, packs, serial

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class World:
    """An empty schema, and two instances that work on it."""

    database: AsyncEngine
    store: Store
    captures: Captures
    one: Jobs
    other: Jobs
    short: Jobs  # its leases end at once

    async def known(self, producer: str, **needs: Any) -> Known:
        told = {name: frozenset(value) for name, value in needs.items()}
        nothing = dict.fromkeys(("glns", "serials", "originals"), frozenset[Any]())
        return await self.captures.known(producer, Needs(**{**nothing, **told}))

    async def keep(self, value: Any, who: Sender = MAKER, **known: Any) -> list[Any]:
        """Captures a document as a record from Kafka is; its entries."""
        read = documents.read(json.loads(json.dumps(value)))
        found = capture.captured(read, who, Known(**{"countries": DIRECTORY, **known}), PRESENT)
        kept = entries(found)
        became = {
            one.key: [
                Became(event.source, event.id, event.type, event.data.key(), "t", 0, 0) for event in one.outcome.events
            ]
            for one in kept
            if isinstance(one.outcome, Mapped)
        }
        whole = Kept(who.producer, uuid.uuid4(), kept, became, lessons(kept, NOW))
        told, _ = verdict(Decided(read, found, kept), PROCEED)
        await self.captures.record(told, whole, 1)
        return kept


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    name = f"ingest_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER, "postgres"))
    await server.execute(f'CREATE DATABASE "{name}" OWNER ingest')
    owner = await asyncpg.connect(stack.postgres.url("ingest", name))
    await owner.execute("CREATE SCHEMA ingest")
    await owner.close()

    def settings(instance: str, lease_seconds: float = 10) -> IngestSettings:
        return IngestSettings.load(
            database_url=stack.postgres.url("ingest", name),
            kafka_password="x",
            kafka_admin_password="x",
            session_secret="x",
            instance=instance,
            capture_lease_seconds=lease_seconds,
            capture_waiting_limit_bytes=10_000,
        )

    await migrate(settings("one"))
    database = engine(settings("one"))
    try:
        yield World(
            database,
            Store(database),
            Captures(database),
            Jobs(database, settings("one")),
            Jobs(database, settings("other")),
            Jobs(database, settings("short", 0.001)),
        )
    finally:
        await database.dispose()
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()


async def added(jobs: Jobs, producer: str) -> uuid.UUID:
    row = await jobs.add(producer, "rollback", b"[]")
    assert row is not None
    return row.id


async def finish(world: World, jobs: Jobs, job: Job) -> bool:
    kept = Kept(job.producer, job.id, [], {}, [])
    told, _ = verdict(Decided(documents.read([]), (), ()), PROCEED)
    return await world.captures.finish(jobs, job, told, kept)


async def test_a_producers_jobs_are_done_in_their_order_and_those_of_others_beside_them(world: World) -> None:
    first, second = [await added(world.one, "a") for _ in range(2)]
    beside = await added(world.one, "b")
    held = [await world.one.claim(), await world.other.claim()]
    assert {job.id for job in held if job} == {first, beside}
    assert await world.one.claim() is None
    for job in held:
        assert job is not None
        assert await finish(world, world.one if job is held[0] else world.other, job)
    following = await world.one.claim()
    assert following is not None and (following.id, following.document, following.attempts) == (second, b"[]", 1)


async def test_a_job_whose_holder_says_no_more_is_taken_over_and_done_once(world: World) -> None:
    await added(world.one, "a")
    lost = await world.short.claim()
    assert lost is not None
    await asyncio.sleep(0.01)
    taken = await world.other.claim()
    assert taken is not None and (taken.id, taken.attempts) == (lost.id, 2)
    assert not await finish(world, world.short, lost)
    assert await finish(world, world.other, taken)
    assert not await finish(world, world.other, taken)
    done = await world.one.one(taken.id, "a")
    assert done is not None and done.state == "success" and done.finished_at is not None
    assert await world.one.waiting() == 0


async def test_an_instance_that_starts_again_takes_up_its_own_at_once(world: World) -> None:
    await added(world.one, "a")
    held = await world.one.claim()
    await world.one.release()
    again = await world.other.claim()
    assert held is not None and again is not None and held.id == again.id


async def test_a_lease_that_is_renewed_is_kept(world: World) -> None:
    await added(world.one, "a")
    held = await world.short.claim()
    assert held is not None
    await Jobs.renew(world.one, held)  # not its own: no effect
    await asyncio.sleep(0.01)
    taken = await world.one.claim()
    assert taken is not None
    await world.one.renew(taken)
    assert await world.other.claim() is None


async def test_only_so_much_of_a_producer_waits(world: World) -> None:
    assert [await world.one.add("a", "rollback", b"[]") is None for _ in range(3)] == [False, False, True]
    assert await world.one.add("b", "rollback", b"[]") is not None


def party(number: int, country: str, name: str | None) -> Party:
    return Party(gln=gln(number), country=country, name=name, changed_at=NOW, changed_by="test")


async def test_countries_are_those_of_parties_then_of_their_producers(world: World) -> None:
    row = ProducerRow("firm", (gln(101), gln(102)), ("manufacturer",), NOW, "VN")
    await world.store.add_producer(row, ANN)
    for number, country in ((102, "FR"), (ABROAD, "IN")):
        await world.store.put_party(party(number, "US", None), ANN)
        await world.store.put_party(party(number, country, "x"), ANN)
    found = await world.known("firm", glns=[gln(101), gln(102), gln(ABROAD), gln(999)])
    assert found.countries == {gln(101): "VN", gln(102): "FR", gln(ABROAD): "IN"}
    assert await world.store.delete_party(gln(102), ANN)
    assert not await world.store.delete_party(gln(102), ANN)
    assert (await world.known("firm", glns=[gln(102)])).countries == {gln(102): "VN"}


async def test_the_lot_of_a_serial_is_ones_own_then_what_a_maker_told_last(world: World) -> None:
    for number, role in enumerate(("manufacturer", "importer", "distributor", "distributor")):
        row = ProducerRow(f"firm-{number}", (gln(400 + number),), (role,), NOW, "VN")
        await world.store.add_producer(row, ANN)

    def marking(name: str, day: int, id: str) -> Any:
        told = {"cbvmda:itemExpirationDate": "2028-11-30", "cbvmda:lotNumber": name}
        time = f"2026-11-{day:02d}T09:00:00Z"
        return document(made(quantityList=None, epcList=[serial("7")], ilmd=told, eventTime=time, eventID=id))

    def firm(number: int, role: str) -> Sender:
        return Sender(f"firm-{number}", frozenset({role}), (gln(400 + number),))

    async def lots() -> list[str | None]:
        wanted = (GTIN, "7")
        return [(await world.known(f"firm-{n}", serials=[wanted])).lots.get(wanted) for n in range(4)]

    assert await lots() == [None] * 4
    await world.keep(marking("OWN", 1, "urn:x:1"), firm(2, "distributor"))
    assert await lots() == [None, None, "OWN", None]
    await world.keep(marking("NEW", 9, "urn:x:2"), firm(0, "manufacturer"))
    await world.keep(marking("OLD", 8, "urn:x:3"), firm(0, "manufacturer"))
    assert await lots() == ["NEW", "NEW", "OWN", "NEW"]
    await world.keep(marking("OTHER", 10, "urn:x:4"), firm(1, "importer"))
    assert await lots() == ["NEW", "OTHER", "OWN", "OTHER"]


async def test_an_event_is_kept_once_and_its_outcome_grows(world: World) -> None:
    short = made(ilmd=None)
    await world.keep(document(short))
    await world.keep(document(short))
    rejections = Rejections(world.database)
    [waiting] = await rejections.page(Filter(), None, 10)
    assert (waiting.kind, waiting.state, waiting.event_id, waiting.producer) == (
        "incomplete",
        "open",
        short["eventID"],
        "firm",
    )
    [entry] = await world.keep(document(made()))
    [closed] = await rejections.page(Filter(), None, 10)
    assert (closed.id, closed.state) == (waiting.id, "replayed")
    await world.keep(document(short))  # an old message that comes again
    assert [one.state for one in await rejections.page(Filter(), None, 10)] == ["replayed"]
    mapped = await world.captures.mapped("firm", [entry])
    assert [one.type for one in mapped[entry.key]] == ["supply.batch.produced.v1"]
    assert await world.captures.mapped("another", [entry]) == {}
    assert len(await world.captures.shown(short["eventID"], "firm")) == 2
    assert await world.captures.shown(short["eventID"], "another") == []
    originals = (await world.known("firm", originals=[short["eventID"]])).originals
    assert [one.id for one in originals[short["eventID"]]] == [f"{short['eventID']}/{GTIN}/A1"]
    assert (await world.known("another", originals=[short["eventID"]])).originals == {}


async def test_writers_that_meet_in_the_same_events_do_not_lock_one_another_out(world: World) -> None:
    events = [made(eventID=f"urn:x:{number}", ilmd=None if number % 2 else {}) for number in range(60)]
    orders = (events, events[::-1], events[30:] + events[:30], [made(eventID=one["eventID"]) for one in events])
    await asyncio.gather(*(world.keep(document(*order)) for order in orders))
    for number in (0, 31, 59):
        assert len(await world.captures.shown(f"urn:x:{number}", "firm")) == 2


@pytest.mark.parametrize(
    "event",
    [
        objects("OBSERVE", "storing", eventID="urn:x:" + "y" * 100_000),
        made(**{"ex:text": "\ud83d\ude00 \u202e' \\ %s :name {} \\u0000"}),
        made(quantityList=None, epcList=[f"https://x.example/01/{GTIN}/21/{'9' * 50}%00"]),
        made(quantityList=[packs(5, f"https://x.example/01/{GTIN}/10/%00")]),
        made(quantityList=None, epcList=[serial("%00")], ilmd={"cbvmda:lotNumber": "%00", "ex:n": 10**39}),
        made(quantityList=[packs(1e300)], **{"ex:float": [1e-300, -0.0, 10**39]}),
        made(bizLocation={"id": "https://x.example/414/%00"}, **{"ex:deep": [[[[{"ex:x": None}]]]]}),
    ],
    ids=range(7),
)
async def test_whatever_an_event_holds_it_is_kept_and_shown_as_it_came(world: World, event: dict[str, Any]) -> None:
    read = documents.read(json.loads(json.dumps(document(event))))
    needs = capture.needs(read)
    await world.captures.known("firm", needs)
    [entry] = await world.keep(document(event))
    [shown] = await world.captures.shown(entry.id, "firm")
    assert json.loads(shown.event) == json.loads(json.dumps(event))
    assert shown.recorded_at > NOW - timedelta(days=3650)
