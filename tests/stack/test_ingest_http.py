"""POST /events against real Kafka: what is accepted lies where it belongs, what is refused reaches no topic."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from typing import Any

import aiohttp
import pytest

from deploy.local.stack import Stack
from shared import topics
from shared.events import catalogue, reader
from shared.events.cloudevent import BATCH, STRUCTURED
from shared.events.fields import check_digit
from tests.stack.trusted_log import Log
from tests.stack.waiting import eventually

STOP_TIMEOUT_SECONDS = 10.0
PUBLISH_TIMEOUT_SECONDS = 10.0  # the default of publish_timeout_seconds
GTIN = "0952000001001" + check_digit("0952000001001")


class Producer:
    """A producer of the stack that sends over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, credentials: dict[str, Any], name: str) -> None:
        self._http = http
        self._url = credentials["ingest"]
        self.name = name
        self.key = credentials["producers"][name]["key"]
        self.glns = credentials["producers"][name]["gln"]

    @property
    def source(self) -> str:
        return f"urn:gln:{self.glns[0]}"

    def said(self, type_: str, id: str, **data: Any) -> dict[str, Any]:
        event = copy.deepcopy(catalogue.sample(f"supply.{type_}.v1"))
        event |= {"source": self.source, "id": id, "time": "2026-01-02T10:00:00+07:00"}
        event["data"] |= data
        return event

    def released(self, id: str, **data: Any) -> dict[str, Any]:
        return self.said("batch.released", id, gtin=GTIN, **data)

    async def send(
        self, body: Any, content_type: str = STRUCTURED, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {key or self.key}", "Content-Type": content_type}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.post(f"{self._url}/events", data=raw, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None), answer


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: dict[str, Any]) -> Producer:
    return Producer(http, credentials, "manufacturer-1")


@pytest.fixture
def distributor(http: aiohttp.ClientSession, credentials: dict[str, Any]) -> Producer:
    return Producer(http, credentials, "distributor-1")


async def refusal(
    producer: Producer, log: Log, body: Any, content_type: str = STRUCTURED, **more: str
) -> tuple[int, list[tuple[Any, Any]]]:
    """Status and (field, code) of every fault, after a look that nothing reached a topic."""
    before = await log.ends()
    status, problem, answer = await producer.send(body, content_type, **more)
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert await log.ends() == before
    return status, [(fault["field"], fault["code"]) for fault in problem["errors"]]


async def test_a_wrong_check_digit_is_named(maker: Producer, log: Log) -> None:
    wrong = GTIN[:-1] + str((int(GTIN[-1]) + 1) % 10)
    refused = await refusal(maker, log, maker.said("batch.released", "1", gtin=wrong))
    assert refused == (422, [("data.gtin", "check_digit")])


async def test_an_unknown_field_is_named(maker: Producer, log: Log) -> None:
    refused = await refusal(maker, log, maker.released("1", colour="blue"))
    assert refused == (422, [("data.colour", "unknown_field")])


async def test_a_foreign_gln_is_forbidden(maker: Producer, distributor: Producer, log: Log) -> None:
    foreign = maker.said("batch.produced", "1", manufacturer=distributor.glns[0], site=maker.glns[0])
    assert await refusal(maker, log, foreign) == (403, [("data.manufacturer", "foreign_gln")])


async def test_a_foreign_source_is_forbidden(maker: Producer, distributor: Producer, log: Log) -> None:
    foreign = maker.released("1") | {"source": distributor.source}
    assert await refusal(maker, log, foreign) == (403, [("source", "foreign_source")])


async def test_a_role_that_may_not_say_it_is_forbidden(distributor: Producer, log: Log) -> None:
    assert await refusal(distributor, log, distributor.released("1")) == (403, [("type", "role")])


@pytest.mark.parametrize("key", ["sw_aaaaaaaaaaaa_" + "a" * 43, "nonsense"])
async def test_a_wrong_key_is_not_let_in(maker: Producer, log: Log, key: str) -> None:
    assert await refusal(maker, log, maker.released("1"), key=key) == (401, [("authorization", "key")])


async def test_the_right_key_id_with_a_wrong_secret_is_not_let_in(maker: Producer, log: Log) -> None:
    key = maker.key[:-1] + ("a" if maker.key[-1] != "a" else "b")
    assert await refusal(maker, log, maker.released("1"), key=key) == (401, [("authorization", "key")])


async def test_a_viewer_may_not_send(maker: Producer, log: Log, credentials: dict[str, Any]) -> None:
    key = credentials["keys"]["viewer"]
    assert await refusal(maker, log, maker.released("1"), key=key) == (403, [("authorization", "role")])


async def test_what_is_not_json_is_a_bad_request(maker: Producer, log: Log) -> None:
    assert await refusal(maker, log, b"{not json") == (400, [(None, "json")])


async def test_a_batch_of_1001_is_too_large(maker: Producer, log: Log) -> None:
    batch = [maker.released(str(number)) for number in range(1001)]
    assert await refusal(maker, log, batch, BATCH) == (413, [(None, "too_many")])


async def test_a_body_over_a_mebibyte_is_too_large(maker: Producer, log: Log) -> None:
    assert await refusal(maker, log, b" " * (1024 * 1024 + 1)) == (413, [(None, "size")])


async def test_another_media_type_is_unsupported(maker: Producer, log: Log) -> None:
    assert await refusal(maker, log, b"<a/>", "text/xml") == (415, [("content-type", "media_type")])


async def test_a_time_in_the_future_is_refused(maker: Producer, log: Log) -> None:
    future = maker.released("1") | {"time": "2150-01-01T00:00:00Z"}
    assert await refusal(maker, log, future) == (422, [("time", "future_time")])


async def test_one_bad_event_keeps_the_whole_batch_out(maker: Producer, log: Log) -> None:
    batch = [maker.released("1"), maker.released("2", quantity=0, colour="blue"), maker.released("3", lot="")]
    status, faults = await refusal(maker, log, batch, BATCH)
    assert status == 422
    assert sorted(faults) == [
        ("data.colour", "unknown_field"),
        ("data.lot", "pattern"),
        ("data.quantity", "range"),
    ]


async def test_an_accepted_event_lies_where_the_answer_says(maker: Producer, log: Log) -> None:
    event = maker.said("batch.released", "place-1", gtin=GTIN.lstrip("0"))
    status, answer, _ = await maker.send(event)
    assert status == 202
    (accepted,) = answer["accepted"]
    partition = topics.partition_for(GTIN.encode(), 6)
    assert accepted == {
        "id": "place-1",
        "type": "supply.batch.released.v1",
        "topic": topics.MOVEMENTS,
        "partition": partition,
        "offset": accepted["offset"],
    }
    record = await log.at(topics.MOVEMENTS, partition, accepted["offset"])
    assert record.key == GTIN.encode()
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"place-1",
        "ce_source": maker.source.encode(),
        "ce_type": b"supply.batch.released.v1",
        "ce_time": b"2026-01-02T03:00:00Z",
        "ce_subject": GTIN.encode(),
        "content-type": b"application/json",
    }
    assert json.loads(record.value)["gtin"] == GTIN
    read = reader.read(record.headers, record.value)
    assert (read.source, read.id) == (maker.source, "place-1")


async def test_a_registry_event_lies_on_the_registry_topic(
    http: aiohttp.ClientSession, credentials: dict[str, Any], log: Log
) -> None:
    regulator = Producer(http, credentials, "regulator-1")
    status, answer, _ = await regulator.send(regulator.said("price.declared", "price-1"))
    assert status == 202
    place = answer["accepted"][0]
    assert place["topic"] == topics.REGISTRY
    record = await log.at(place["topic"], place["partition"], place["offset"])
    assert place["partition"] == topics.partition_for(record.key, 3)
    assert dict(record.headers)["ce_authority"] == b"regulator"


async def test_nobody_gives_himself_the_authority_of_a_regulator(maker: Producer, log: Log) -> None:
    event = maker.released("authority-1")
    attributes = {f"ce_{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    answers = [
        await maker.send({**event, "authority": "regulator", "ce_authority": "regulator"}),
        await maker.send(event["data"], "application/json", **attributes, ce_authority="regulator"),
    ]
    for status, answer, _ in answers:
        assert status == 202
        place = answer["accepted"][0]
        record = await log.at(place["topic"], place["partition"], place["offset"])
        assert "ce_authority" not in dict(record.headers)


async def test_the_three_forms_are_answered_and_recorded_alike(maker: Producer, log: Log) -> None:
    event = maker.released("forms-1")
    attributes = {f"ce_{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    answers = [
        await maker.send(event),
        await maker.send([event], BATCH),
        await maker.send(event["data"], "application/json", **attributes),
    ]
    assert [status for status, *_ in answers] == [202, 202, 202]
    places = [answer["accepted"][0] for _, answer, _ in answers]
    records = [await log.at(place["topic"], place["partition"], place["offset"]) for place in places]
    assert all((record.key, record.value) == (records[0].key, records[0].value) for record in records)
    assert all(record.headers == records[0].headers for record in records)


@pytest.mark.parametrize("events", [12, 300])
async def test_a_batch_is_answered_in_its_own_order(maker: Producer, log: Log, events: int) -> None:
    keys = [f"0952000002{number:03d}" for number in range(events)]
    batch = [maker.said("batch.released", f"order-{key}", gtin=key + check_digit(key)) for key in keys]
    status, answer, _ = await maker.send(batch, BATCH)
    assert status == 202
    assert [item["id"] for item in answer["accepted"]] == [event["id"] for event in batch]
    for item in answer["accepted"][:: events // 6]:
        record = await log.at(item["topic"], item["partition"], item["offset"])
        assert dict(record.headers)["ce_id"].decode() == item["id"]


async def test_requests_at_the_same_time_are_each_told_their_own_places(maker: Producer, log: Log) -> None:
    before = await log.size()

    async def sent(number: int) -> list[tuple[str, int, int]]:
        batch = [maker.released(f"at-once-{number}-{item}", lot=f"L{item}") for item in range(1 + number % 3)]
        status, answer, _ = await maker.send(batch, BATCH)
        assert status == 202
        assert [item["id"] for item in answer["accepted"]] == [event["id"] for event in batch]
        return [(item["id"], item["partition"], item["offset"]) for item in answer["accepted"]]

    told = [place for places in await asyncio.gather(*map(sent, range(150))) for place in places]
    assert len({(partition, offset) for _, partition, offset in told}) == len(told) == 300
    assert await log.size() - before == len(told)
    for id, partition, offset in told[::10]:
        record = await log.at(topics.MOVEMENTS, partition, offset)
        assert dict(record.headers)["ce_id"].decode() == id


async def test_only_post_is_taken_and_every_request_is_counted_by_its_route(
    http: aiohttp.ClientSession, credentials: dict[str, Any], maker: Producer
) -> None:
    assert (await maker.send(maker.released("counted-1")))[0] == 202
    headers = {"Authorization": f"Bearer {maker.key}"}
    for method in ("GET", "PUT", "DELETE"):
        async with http.request(method, f"{credentials['ingest']}/events", headers=headers) as answer:
            assert answer.status == 405
    async with http.get(f"{credentials['ingest']}/metrics") as answer:
        counted = [line for line in (await answer.text()).splitlines() if 'route="/events"' in line]
    for told in ('method="POST",route="/events",service="ingest",status="202"', 'method="PUT"'):
        assert any(told in line for line in counted), told
    async with http.get(f"{credentials['ingest']}/openapi.json", headers=headers) as answer:
        assert list((await answer.json())["paths"]["/events"]) == ["post"]


async def test_an_empty_batch_is_accepted(maker: Producer, log: Log) -> None:
    before = await log.ends()
    status, answer, _ = await maker.send([], BATCH)
    assert (status, answer) == (202, {"accepted": []})
    assert await log.ends() == before


async def test_without_kafka_the_answer_is_503_in_time_and_all_works_again_when_it_is_back(
    stack: Stack, maker: Producer, log: Log
) -> None:
    async def answered(number: int, outcomes: list[int]) -> None:
        started = time.monotonic()
        status, problem, answer = await maker.send(maker.released(f"outage-{number}"))
        assert time.monotonic() - started < PUBLISH_TIMEOUT_SECONDS + 3
        outcomes.append(status)
        if status != 202:
            assert status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.content_type == "application/problem+json"
            assert problem["detail"]

    async def works() -> bool:
        return (await maker.send(maker.released("after-outage")))[0] == 202

    ingest = stack.pid("ingest")
    # In order, and by force while requests are under way.
    for kill in (False, True):
        outcomes: list[int] = []
        async with asyncio.TaskGroup() as under_way:
            for number in range(30):
                under_way.create_task(answered(number, outcomes))
                if number == 10:
                    down = stack.kill_child if kill else stack.stop_child
                    options = {"stays_down": True} if kill else {}
                    await asyncio.to_thread(down, "kafka", **options)
            for number in range(30, 60):
                under_way.create_task(answered(number, outcomes))
        assert outcomes.count(503) >= 30
        await asyncio.to_thread(stack.start_child, "kafka")
        await eventually(works, timeout_seconds=30)
        for number in range(60, 90):
            await answered(number, outcomes)
        assert outcomes[-30:] == [202] * 30
    assert stack.pid("ingest") == ingest


async def test_it_stops_in_time_and_starts_again_while_kafka_is_away(stack: Stack, maker: Producer) -> None:
    await asyncio.to_thread(stack.stop_child, "kafka")
    try:
        waiting = asyncio.create_task(maker.send(maker.released("away-1")))
        await asyncio.wait([waiting], timeout=1)
        started = time.monotonic()
        await asyncio.to_thread(stack.stop_child, "ingest")
        assert time.monotonic() - started < STOP_TIMEOUT_SECONDS
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.to_thread(stack.start_child, "ingest", wait=False)
    finally:
        await asyncio.to_thread(stack.start_child, "kafka")
    await asyncio.to_thread(stack.wait_ready, "ingest")
    assert (await maker.send(maker.released("away-2")))[0] == 202
