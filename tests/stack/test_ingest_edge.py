"""Kafka's way in on the real stack: every record ends once, whatever it holds and whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.ingest.inbound_reader import GROUP
from shared import topics
from shared.events.fields import check_digit
from tests.corpus.hostile import Record
from tests.stack.kafka_way import STRUCTURED_TYPE, Way, kill_ingest, record
from tests.stack.raw_kafka import RawKafka
from tests.stack.waiting import eventually

JSON = dict[str, Any]
GOOD = HOSTILE = 1_000
BATCH_RECORDS = 50
MEBIBYTE = 1024 * 1024
MEMORY_BYTES = 300 * MEBIBYTE


def hostile(way: Way, number: int) -> Record:
    foreign = way.event(str(number), source="urn:gln:9520000000004")
    kinds: list[tuple[bytes | None, Any]] = [
        (None, STRUCTURED_TYPE),
        (b"\xff\xfe", STRUCTURED_TYPE),
        (b"{", STRUCTURED_TYPE),
        (b'{"a":1,"a":2}', STRUCTURED_TYPE),
        (b'{"a":NaN}', STRUCTURED_TYPE),
        (b"[" * 5_000, STRUCTURED_TYPE),
        (b'"' + b"x" * 60_000 + b'"', STRUCTURED_TYPE),
        (json.dumps(way.event(str(number), type="supply.no.such.v1")).encode(), STRUCTURED_TYPE),
        (json.dumps(foreign).encode(), STRUCTURED_TYPE),
        (json.dumps(way.event(str(number), time="2190-01-01T00:00:00Z")).encode(), STRUCTURED_TYPE),
        (json.dumps(way.event(str(number))).encode(), [(b"x", b"\xff")]),
        (json.dumps(way.event(str(number))).encode(), [(b"\xff\xfe", b"1")]),
        (b"{}", [(b"ce_id", b"1"), (b"ce_id", b"2")]),
    ]
    return record(*kinds[number % len(kinds)])


async def test_all_good_records_are_taken_once_and_all_hostile_kept_once_though_ingest_is_killed(
    stack: Stack, way: Way
) -> None:
    before = len(await way.rejections())
    sent = 0
    for start in range(0, GOOD, BATCH_RECORDS):
        good = [way.good(str(number)) for number in range(start, start + BATCH_RECORDS)]
        # Half of them behind 200 good ones: the client library fails otherwise once it is warm.
        bad = [hostile(way, number) for number in range(start, start + BATCH_RECORDS)] if start >= GOOD // 2 else []
        mixed = [said for pair in zip(good, bad, strict=False) for said in pair] or good
        await way.send(start // BATCH_RECORDS % 3, mixed, "gzip" if start % 200 == 0 else None)
        sent += len(bad)
    for start in range(0, HOSTILE - sent, BATCH_RECORDS):
        await way.send(start // BATCH_RECORDS % 3, [hostile(way, start + n) for n in range(BATCH_RECORDS)])

    async def begun() -> bool:
        return await way.packs() > 0

    await eventually(begun, timeout_seconds=30)
    await kill_ingest(stack)

    async def settled() -> bool:
        return await way.packs() >= GOOD and len(await way.rejections()) >= before + HOSTILE

    await eventually(settled, timeout_seconds=40)
    rejections = (await way.rejections())[: -before or None]
    assert (await way.packs(), await way.lots(), len(rejections)) == (GOOD, GOOD, HOSTILE)
    assert len({(found["topic"], found["partition"], found["offset"]) for found in rejections}) == HOSTILE
    codes = Counter(found["code"] for found in rejections)
    assert codes.keys() == {
        "no_value", "encoding", "json", "duplicate_key", "depth", "no_cloudevent", "unknown_type", "foreign_source",
        "future_time", "duplicate_header",
    }  # fmt: skip


async def test_the_name_of_a_header_that_is_not_utf8_is_kept_as_it_was(way: Way) -> None:
    offset = await way.send(0, [way.good("named"), record(b"{}", [(b"a\xff", b"\x00\x01"), (b"b", None)])])
    (found,) = await eventually(lambda: rejected_at(way, 0, {offset + 1}))
    _, answer = await way.call("GET", f"/rejections/{found['id']}")
    names = [(header["name"]["base64"], header["value"] and header["value"]["base64"]) for header in
             answer["raw"]["headers"]]  # fmt: skip
    assert names == [("Yf8=", "AAE="), ("Yg==", None)]
    assert await eventually(way.packs) == 1


async def rejected_at(way: Way, partition: int, offsets: set[int]) -> list[JSON]:
    found = [one for one in await way.rejections() if one["partition"] == partition and one["offset"] in offsets]
    return found if len(found) == len(offsets) else []


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
async def test_a_bomb_is_refused_and_its_neighbours_in_the_batch_are_taken(stack: Stack, way: Way, codec: str) -> None:
    said = [way.good("before"), record(bytes(64 * MEBIBYTE)), way.good("after")]
    offset = await way.send(1, said, codec)
    await way.send(1, [way.good("behind")])
    (found,) = await eventually(lambda: rejected_at(way, 1, {offset + 1}))
    assert (found["code"], found["truncated"]) == ("size", True)
    assert str(64 * MEBIBYTE) in found["detail"]
    await eventually(lambda: has_packs(way, 3))
    assert psutil.Process(stack.pid("ingest")).memory_info().rss < MEMORY_BYTES


async def has_packs(way: Way, number: int) -> bool:
    return await way.packs() == number


def committed(stack: Stack, way: Way, partition: int) -> int:
    consumer = Consumer({**stack.kafka.admin_login.config(), "group.id": GROUP, "enable.auto.commit": False})
    try:
        (found,) = consumer.committed([TopicPartition(way.topic, partition)], timeout=10)
        return int(found.offset)
    finally:
        consumer.close()


async def test_while_postgresql_is_away_it_waits_commits_nothing_and_then_goes_on(stack: Stack, way: Way) -> None:
    await way.send(2, [way.good("first")])
    await eventually(lambda: has_packs(way, 1))
    ingest, before = stack.pid("ingest"), await retries(way)
    await asyncio.to_thread(stack.stop_child, "postgres")
    try:
        offset = await way.send(2, [record(b"{"), way.good("second")])
        await eventually(lambda: has_waited(way, before))
        assert committed(stack, way, 2) <= offset
        # What comes on is not lost while it waits; nothing of it is taken twice.
        later = await way.send(2, [record(b"{"), way.good("third")])
    finally:
        await asyncio.to_thread(stack.start_child, "postgres")
    assert len(await eventually(lambda: rejected_at(way, 2, {offset, later}), timeout_seconds=30)) == 2
    await eventually(lambda: has_packs(way, 3), timeout_seconds=30)
    await eventually(lambda: committed(stack, way, 2) == later + 2)
    assert stack.pid("ingest") == ingest


@pytest.mark.proof
async def test_when_kafka_was_away_and_an_instance_came_and_went_it_goes_on(stack: Stack, way: Way) -> None:
    ingest = stack.pid("ingest")
    second = stack.spawn_service("ingest")
    for number in range(3):
        await way.send(number, [way.good(f"two-{number}"), record(b"{")])
    await asyncio.to_thread(stack.restart_child, "kafka")
    await eventually(lambda: has_packs(way, 3), timeout_seconds=30)
    stack.end_service(second)
    for number in range(3):
        await way.send(number, [way.good(f"one-{number}")])
    await eventually(lambda: has_packs(way, 6), timeout_seconds=30)
    assert stack.pid("ingest") == ingest


@contextmanager
def denied(stack: Stack, topic: str) -> Iterator[None]:
    """Kafka takes nothing from ingest for `topic`."""
    place = ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ingest", "*"
    rule = *place, AclOperation.WRITE, AclPermissionType.DENY
    admin = stack.kafka.admin_login.client()
    for made in admin.create_acls([AclBinding(*rule)]).values():
        made.result()
    try:
        yield
    finally:
        for gone in admin.delete_acls([AclBindingFilter(*rule)]).values():
            gone.result()


@pytest.mark.parametrize("topic", [topics.MOVEMENTS, topics.REJECTED])
async def test_while_the_trusted_or_the_rejected_topic_is_away_it_waits_commits_nothing_and_then_goes_on(
    stack: Stack, way: Way, topic: str
) -> None:
    await way.send(1, [way.good("first")])
    await eventually(lambda: has_packs(way, 1))
    ingest, before = stack.pid("ingest"), await retries(way)
    with denied(stack, topic):
        offset = await way.send(1, [way.good("second"), record(b"{"), way.good("third")])
        await eventually(lambda: has_waited(way, before))
        assert committed(stack, way, 1) == offset
        assert await rejected_at(way, 1, {offset + 1}) == []
    await eventually(lambda: rejected_at(way, 1, {offset + 1}), timeout_seconds=30)
    await eventually(lambda: has_packs(way, 3), timeout_seconds=30)
    await eventually(lambda: committed(stack, way, 1) == offset + 3)
    assert stack.pid("ingest") == ingest


async def retries(way: Way) -> float:
    """How often a batch had to wait since ingest started."""
    async with way.http.get(way.credentials["ingest"] + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (line,) = [line for line in lines if line.startswith("supply_watch_ingest_edge_retries_total")]
    return float(line.split()[1])


async def has_waited(way: Way, before: float) -> bool:
    return await retries(way) > before


async def test_a_new_producer_is_heard_and_what_was_refused_is_replayed_after_the_fix(
    stack: Stack, http: aiohttp.ClientSession, credentials: JSON, kafka: RawKafka
) -> None:
    digits = f"952{uuid.uuid4().int % 10**9:09d}"
    way = Way(http, credentials, kafka, f"edge-{uuid.uuid4().hex[:8]}", digits + check_digit(digits))
    admin = {"Authorization": f"Bearer {credentials['keys']['admin']}"}

    async def admin_call(method: str, path: str, body: JSON | None = None) -> Any:
        async with http.request(method, credentials["ingest"] + path, json=body, headers=admin) as answer:
            return await answer.json(content_type=None) if answer.status != 204 else None

    await admin_call("POST", "/producers", {"name": way.name, "glns": [way.gln], "roles": ["manufacturer"]})
    issued = await admin_call("POST", f"/producers/{way.name}/keys", {})
    await way.send(0, [way.good("first")])
    await eventually(lambda: has_packs(way, 1))

    await admin_call("DELETE", f"/keys/{issued['key_id']}")
    await way.send(0, [way.good("second"), record(b"{")])
    await eventually(lambda: rejected_at(way, 0, {1, 2}))
    assert {found["code"] for found in await way.rejections()} == {"unknown_producer"}

    key = (await admin_call("POST", f"/producers/{way.name}/keys", {}))["key"]
    _, mine = await way.call("GET", "/rejections", key)
    assert [found["offset"] for found in mine["items"]] == [2, 1]
    second = mine["items"][1]["id"]
    other = credentials["producers"]["manufacturer-2"]["key"]
    assert (await way.call("GET", f"/rejections/{second}", other))[0] == 404
    assert (await way.call("POST", f"/rejections/{second}/replay", other))[0] == 404
    assert (await way.call("GET", f"/rejections?producer={way.name}", other))[1]["items"] == []
    viewer = credentials["keys"]["viewer"]
    assert "raw" not in (await way.call("GET", f"/rejections/{second}", viewer))[1]
    assert (await way.call("POST", f"/rejections/{second}/replay", viewer))[0] == 403
    shown = (await way.call("GET", f"/rejections/{second}", key))[1]
    assert json.loads(shown["raw"]["value"]["text"]) == way.event("second")

    status, answer = await way.call("POST", "/rejections/replay?code=unknown_producer&limit=100", key)
    assert status == 200
    assert [(one["outcome"], one.get("code")) for one in answer["items"]] == [("accepted", None), ("rejected", "json")]
    assert answer["items"][0]["accepted"][0]["id"] == way.event("second")["id"]
    await eventually(lambda: has_packs(way, 2))
    assert [(one["state"], one["code"]) for one in await way.rejections()] == [
        ("open", "json"), ("replayed", "unknown_producer"),
    ]  # fmt: skip
    assert (await way.call("POST", "/rejections/replay", key))[1]["items"][0]["code"] == "json"

    database = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    try:
        query = "SELECT by, action, detail FROM ingest.audit WHERE subject = $1"
        (row,) = await database.fetch(query, str(second))
    finally:
        await database.close()
    assert (row["by"], row["action"]) == (key.split("_")[1], "rejection_replayed")
    assert json.loads(row["detail"])["outcome"] == "accepted"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=100000", "cursor=x", "cursor=WzEsMl0x", "since=2026-01-01T00:00:00", "kind=other",
     "code=%00", "topic=%00", "producer=%00", "since=0001-01-01T00:00:00%2B14:00", "cursor=Wy0xLDJd"],
)  # fmt: skip
async def test_what_cannot_be_meant_is_told(way: Way, query: str) -> None:
    status, problem = await way.call("GET", f"/rejections?{query}")
    assert status == 422
    assert problem["errors"]


async def test_the_filters_hold_and_pages_follow_one_another(way: Way) -> None:
    offset = await way.send(0, [record(b"{"), record(None), record(b"[")])
    found = await eventually(lambda: rejected_at(way, 0, {offset, offset + 1, offset + 2}))
    since = found[0]["received_at"]
    path = f"/rejections?producer={way.name}&topic={way.topic}&since={since}&limit=1"
    seen: list[JSON] = []
    cursor: str | None = ""
    while cursor is not None:
        _, answer = await way.call("GET", path + (f"&cursor={cursor}" if cursor else ""))
        seen += answer["items"]
        cursor = answer["next"]
    assert [one["id"] for one in seen] == [one["id"] for one in found]
    _, answer = await way.call("GET", f"/rejections?code=no_value&since={since}")
    assert [one["offset"] for one in answer["items"]] == [offset + 1]
    assert (await way.call("GET", f"/rejections?producer={way.name}&until={since}&kind=incomplete"))[1]["items"] == []
