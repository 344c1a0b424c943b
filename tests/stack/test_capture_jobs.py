"""Capture jobs on the real stack: all or nothing or one by one, once, each producer's own, and over any outage."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.stack import Stack
from shared.events.fields import check_digit
from tests.stack.capture_given import JSON, TIME, Captor, events_in, fresh_item, gtin
from tests.stack.supply_given import kafka_login
from tests.stack.test_capture_forms import DISTRIBUTOR, IMPORTER, MAKER, making, releasing, urn
from tests.stack.waiting import eventually
from tests.unit.epcis_given import document, location, lot, packs

BIG = 1_000
ATTEMPTS = 10  # the default of capture_attempts
MADE = {"produced": -500, "quarantine": 500}


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Captor:
    return Captor(http, credentials, MAKER)


@pytest.fixture
def distributor(http: aiohttp.ClientSession, credentials: JSON) -> Captor:
    return Captor(http, credentials, DISTRIBUTOR)


@asynccontextmanager
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """The tables of ingest."""
    connection = await asyncpg.connect(stack.postgres.url("ingest"), server_settings={"search_path": "ingest"})
    try:
        yield connection
    finally:
        await connection.close()


def invalid(item: str) -> JSON:
    return releasing(item, bizStep="teleporting", eventID=f"{urn(item)}:bad")


def types_of(job: JSON) -> list[str]:
    return [error["type"].removeprefix("epcisException:") for error in job["errors"]]


async def test_by_default_one_refused_event_refuses_the_whole_document(maker: Captor, credentials: JSON) -> None:
    item = fresh_item()
    job = await maker.capture(document(making(item), invalid(item)))
    assert (job["running"], job["success"], job["captureErrorBehaviour"]) == (False, False, "rollback")
    assert job["finishedAt"] >= job["createdAt"]
    [error] = job["errors"]
    assert (error["type"], error["instance"]) == ("epcisException:ValidationException", f"{urn(item)}:bad")
    assert [fault["field"] for fault in error["errors"]] == ["epcisBody.eventList[1].bizStep"]
    assert job["events"] == {"mapped": 0, "incomplete": 0, "not_applicable": 0, "refused": 2}
    assert (await maker.event(f"{urn(item)}:made"))[0] == 404
    viewer = credentials["keys"]["viewer"]
    assert (await maker.call("GET", f"/lots/{gtin(item)}/A1", of="supply", key=viewer))[0] == 404


async def test_with_proceed_the_good_events_are_captured_beside_the_refused(maker: Captor) -> None:
    item = fresh_item()
    job = await maker.capture(document(making(item), invalid(item)), GS1_Capture_Error_Behaviour="proceed")
    assert (job["success"], job["captureErrorBehaviour"], types_of(job)) == (False, "proceed", ["ValidationException"])
    assert job["events"] == {"mapped": 1, "incomplete": 0, "not_applicable": 0, "refused": 1}
    assert (await maker.event(f"{urn(item)}:made"))[0] == 200
    assert (await maker.event(f"{urn(item)}:bad"))[0] == 404
    await maker.packs_become(item, "A1", MADE)


async def test_what_the_sender_may_not_say_is_an_error_of_the_job(distributor: Captor) -> None:
    item = fresh_item()
    job = await distributor.capture(document(releasing(item)))
    assert (job["success"], types_of(job)) == (False, ["SecurityException"])
    assert [fault["code"] for fault in job["errors"][0]["errors"]] == ["role"]


async def test_the_same_document_sent_twice_counts_once(maker: Captor) -> None:
    item = fresh_item()
    body = document(making(item), making(item, "B1", eventID=None))
    jobs = [await maker.capture(body) for _ in range(2)]
    assert all(job["success"] and job["events"]["mapped"] == 2 for job in jobs)
    assert jobs[0]["captureID"] != jobs[1]["captureID"]
    for name in ("A1", "B1"):
        await maker.packs_become(item, name, MADE)
    _, answered = await maker.event(f"{urn(item)}:made")
    assert len(events_in(answered)) == 1


async def test_an_event_stays_what_it_became_though_more_is_told_later(maker: Captor) -> None:
    """Sent again after the lot of its serial was told otherwise, it does not count for the other lot too."""
    item = fresh_item()
    serials = [f"https://id.gs1.org/01/{gtin(item)}/21/7"]

    def marking(name: str, time: str) -> JSON:
        told = {"cbvmda:itemExpirationDate": "2028-11-30", "cbvmda:lotNumber": name}
        return making(
            item, quantityList=None, epcList=serials, ilmd=told, eventTime=time, eventID=f"{urn(item)}:{name}"
        )

    out = document(releasing(item, quantityList=None, epcList=serials))
    for body in (document(marking("S1", TIME)), out, document(marking("S2", "2026-05-06T09:30:00+07:00")), out):
        assert (await maker.capture(body))["success"]
    await maker.packs_become(item, "S1", {"produced": -1, "available": 1})
    await maker.packs_become(item, "S2", {"produced": -1, "quarantine": 1})


async def test_what_is_anothers_is_not_there(maker: Captor, distributor: Captor, credentials: JSON) -> None:
    item = fresh_item()
    status, told, answer = await maker.post(document(making(item)))
    assert (status, answer["Location"]) == (202, f"/epcis/capture/{told['captureID']}")
    await maker.done(answer["Location"])
    for path in (answer["Location"], "/epcis/capture/nonsense", f"/epcis/events/{urn(item)}%3Amade"):
        status, problem, headers = await distributor.call("GET", path)
        assert (status, problem["type"]) == (404, "epcisException:NoSuchNameException")
        assert headers["Content-Type"] == "application/problem+json"
    for role in ("viewer", "operator", "admin"):
        key = credentials["keys"][role]
        assert (await maker.call("GET", answer["Location"], key=key))[0] == 200
        assert (await maker.event(f"{urn(item)}:made", key))[0] == 200
        status, problem, _ = await maker.call("POST", "/epcis/capture", document(), key=key)
        assert (status, problem["type"]) == (403, "epcisException:SecurityException")


async def test_jobs_are_listed_page_by_page_the_newest_first(http: aiohttp.ClientSession, credentials: JSON) -> None:
    importer = Captor(http, credentials, IMPORTER)
    sent = [(await importer.capture([]))["captureID"] for _ in range(3)]
    found: list[str] = []
    path = "/epcis/capture?perPage=2"
    while path and len(found) < 3:
        status, page, headers = await importer.call("GET", path)
        assert status == 200 and len(page) <= 2
        assert {job["producer"] for job in page} == {IMPORTER}
        found += [job["captureID"] for job in page]
        link, _, relation = headers.get("Link", "").partition(";")
        assert (relation.strip() == 'rel="next"') == bool(link)
        path = link.strip("<>")
    assert found[:3] == sent[::-1]


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        ([], {"GS1_EPCIS_Version": "1.2"}, 406, "ImplementationException"),
        ([], {"Accept": "application/xml"}, 406, "ImplementationException"),
        ([], {"GS1_Capture_Error_Behaviour": "hope"}, 400, "ValidationException"),
        ([], {"Content_Type": "application/xml"}, 415, "ImplementationException"),
        ([], {"Authorization": "Bearer nobody"}, 401, "SecurityException"),
        (b"{", {}, 400, "ValidationException"),
        (b'{"type": "EPCISDocument"}', {}, 400, "ValidationException"),
        (b"7", {}, 400, "ValidationException"),
        (json.dumps([7] * (BIG + 1)).encode(), {}, 413, "CaptureLimitExceededException"),
        (b" " * (1024 * 1024 + 1), {}, 413, "CaptureLimitExceededException"),
    ],
)
async def test_a_call_that_cannot_be_served_is_refused_in_gs1s_terms(
    maker: Captor, body: Any, headers: dict[str, str], status: int, kind: str
) -> None:
    answered, problem, told = await maker.post(body, **headers)
    assert (answered, problem["type"], problem["status"]) == (status, f"epcisException:{kind}", status)
    assert told["Content-Type"] == "application/problem+json"
    assert (told["GS1-EPCIS-Version"], told["GS1-EPCIS-Capture-Limit"]) == ("2.0", str(BIG))


async def test_the_interface_says_what_it_speaks(maker: Captor) -> None:
    status, _, headers = await maker.call("OPTIONS", "/epcis/capture", GS1_EPCIS_Version="2.0")
    assert status == 204
    assert (headers["GS1-EPCIS-Min"], headers["GS1-CBV-Max"]) == ("2.0", "2.0")
    assert headers["GS1-EPCIS-Capture-File-Size-Limit"] == str(1024 * 1024)
    status, _, headers = await maker.call("GET", "/epcis/capture", Accept="application/ld+json")
    assert (status, headers["Content-Type"]) == (200, "application/ld+json")


async def test_what_is_incomplete_waits_is_shown_and_is_told_in_full_later(maker: Captor, distributor: Captor) -> None:
    item = fresh_item()
    short = making(item, ilmd=None)
    job = await maker.capture(document(short))
    assert (job["success"], job["events"]["incomplete"]) == (True, 1)
    [waiting] = await maker.rejections(f"{urn(item)}:made")
    assert (waiting["kind"], waiting["state"], waiting["code"]) == ("incomplete", "open", "missing")
    assert "itemExpirationDate" in waiting["detail"]
    assert (waiting["topic"], waiting["offset"], waiting["producer"]) == (None, None, MAKER)
    assert (await distributor.call("GET", f"/rejections/{waiting['id']}"))[0] == 404
    # Sent again it is still one that waits; told in full, under the same id, it waits no more.
    await maker.capture(document(short))
    assert [one["id"] for one in await maker.rejections(f"{urn(item)}:made")] == [waiting["id"]]
    assert (await maker.capture(document(making(item))))["events"]["mapped"] == 1
    [done] = await maker.rejections(f"{urn(item)}:made")
    assert (done["id"], done["state"]) == (waiting["id"], "replayed")
    status, replayed, _ = await maker.call("POST", f"/rejections/{waiting['id']}/replay")
    assert (status, replayed["outcome"]) == (200, "accepted")
    assert [one["id"] for one in replayed["accepted"]] == [f"{urn(item)}:made/{gtin(item)}/A1"]
    await maker.packs_become(item, "A1", MADE)


async def test_an_incomplete_event_is_replayed_by_what_is_known_today(maker: Captor, credentials: JSON) -> None:
    """Somebody tells where its place is; the event keeps its id."""
    item, number = fresh_item(), int(fresh_item())
    made = making(item, bizLocation={"id": location(number)}, readPoint={"id": location(number)})
    assert (await maker.capture(document(made)))["events"]["incomplete"] == 1
    [waiting] = await maker.rejections(f"{urn(item)}:made")
    assert waiting["code"] == "country"
    _, still, _ = await maker.call("POST", f"/rejections/{waiting['id']}/replay")
    assert (still["outcome"], still["code"]) == ("rejected", "country")
    plant = f"9521000{number:05d}"
    party = f"/parties/{plant + check_digit(plant)}"
    admin = credentials["keys"]["admin"]
    status, told, _ = await maker.call("PUT", party, {"country": "VN", "name": "plant"}, key=admin)
    assert (status, told["country"]) == (200, "VN")
    _, replayed, _ = await maker.call("POST", f"/rejections/{waiting['id']}/replay")
    assert [one["id"] for one in replayed["accepted"]] == [f"{urn(item)}:made/{gtin(item)}/A1"]
    await maker.packs_become(item, "A1", MADE)
    [done] = await maker.rejections(f"{urn(item)}:made")
    assert done["state"] == "replayed"
    status, _, _ = await maker.call("DELETE", party, key=admin)
    assert status == 204


async def test_a_job_survives_a_kill_between_its_answer_and_its_end(stack: Stack, maker: Captor) -> None:
    item = fresh_item()
    events = [making(item, f"L{number}", eventID=f"{urn(item)}:{number}") for number in range(BIG)]
    status, told, answer = await maker.post(document(*events))
    assert (status, told["running"]) == (202, True)
    await asyncio.to_thread(stack.kill_child, "ingest", stays_down=True)
    async with database(stack) as connection:
        state = await connection.fetchval("SELECT state FROM captures WHERE id = $1", told["captureID"])
    await asyncio.to_thread(stack.start_child, "ingest")
    assert state == "running"
    job = await maker.done(answer["Location"])
    assert (job["success"], job["events"]["mapped"]) == (True, BIG)
    await maker.recorded(f"{urn(item)}:{BIG - 1}/{gtin(item)}/L{BIG - 1}")
    await maker.packs_become(item, "L0", MADE)


async def test_a_job_that_ended_the_service_again_and_again_is_given_up(stack: Stack, maker: Captor) -> None:
    id, item = uuid.uuid4(), fresh_item()
    async with database(stack) as connection:
        await connection.execute(
            "INSERT INTO captures (id, producer, behaviour, document, size_bytes, attempts)"
            " VALUES ($1, $2, 'rollback', $3, 1, $4)",
            *(id, MAKER, json.dumps(document(making(item))).encode(), ATTEMPTS),
        )
    job = await maker.done(f"/epcis/capture/{id}")
    assert (job["success"], types_of(job)) == (False, ["ImplementationException"])
    assert (await maker.event(f"{urn(item)}:made"))[0] == 404


async def test_while_kafka_or_postgresql_is_away_jobs_wait_and_calls_are_told_to(stack: Stack, maker: Captor) -> None:
    item = fresh_item()
    await asyncio.to_thread(stack.stop_child, "kafka")
    status, _, answer = await maker.post(document(making(item)))
    assert status == 202
    await asyncio.to_thread(stack.stop_child, "postgres")
    status, problem, headers = await maker.post(document(making(item, "B1")))
    assert (status, problem["type"]) == (503, "epcisException:ImplementationException")
    assert int(headers["Retry-After"]) > 0
    await asyncio.to_thread(stack.start_child, "postgres")

    async def waits() -> bool:
        job = await maker.job(answer["Location"])
        return bool(job["running"] and job["success"])

    await eventually(waits)
    await asyncio.to_thread(stack.start_child, "kafka")
    assert (await maker.done(answer["Location"], timeout_seconds=60))["success"]
    await maker.packs_become(item, "A1", MADE)


async def test_documents_that_come_over_kafka_end_as_captures_or_as_one_rejection(
    stack: Stack, credentials: JSON, maker: Captor
) -> None:
    item = fresh_item()
    told = credentials["producers"][MAKER]
    login = kafka_login(stack, told["kafka_username"], told["kafka_password"])
    good = document(making(item), releasing(item, quantity=400, ilmd=None))
    bad = document(making(item, "B1", eventID=f"{urn(item)}:B1"), invalid(item))
    short = releasing(item, quantityList=[packs(None, lot("A1", item))], eventID=f"{urn(item)}:short")
    producer = AIOKafkaProducer(**login, acks="all")
    await producer.start()
    places = [
        await producer.send_and_wait(told["topic"], json.dumps(body).encode(), partition=0)
        for body in (good, bad, {"@context": good["@context"], **short})
    ]
    await producer.stop()
    await maker.recorded(f"{urn(item)}:out/{gtin(item)}/A1")
    await maker.packs_become(item, "A1", {"produced": -500, "quarantine": 100, "available": 400})

    async def both() -> list[JSON]:
        found = [*await maker.rejections(f"{urn(item)}:bad"), *await maker.rejections(f"{urn(item)}:short")]
        assert len(found) == 2, found
        return found

    refused, waiting = await eventually(both)
    assert (refused["kind"], refused["code"], refused["offset"]) == ("rejected", "choice", places[1].offset)
    assert (waiting["kind"], waiting["code"], waiting["offset"]) == ("incomplete", "quantity", places[2].offset)
    assert (await maker.event(f"{urn(item)}:made"))[0] == 200
    assert (await maker.event(f"{urn(item)}:B1"))[0] == 404
    _, page, _ = await maker.call("GET", "/epcis/capture?perPage=2")
    assert [job["events"]["mapped"] for job in page] == [0, 2]
