"""Producers and keys: issued once, known everywhere, revoked for HTTP and Kafka alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from confluent_kafka.admin import ConfigResource

from deploy.kafka.plan import TOPICS_FILE
from deploy.local.stack import Stack
from shared import topics
from shared.events.fields import check_digit
from shared.topic_layout import producer_topic
from tests.stack.waiting import eventually

ADMIN_TIMEOUT_SECONDS = 10.0
Call = Callable[..., Awaitable[tuple[int, Any]]]


def gln(number: int) -> str:
    digits = f"952{number:09d}"
    return digits + check_digit(digits)


@pytest.fixture
def call(http: aiohttp.ClientSession, credentials: dict[str, Any]) -> Call:
    async def one(method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or credentials['keys']['admin']}"}
        async with http.request(method, credentials["ingest"] + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    return one


def kafka_producer(stack: Stack, way_in: dict[str, str]) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=stack.kafka.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username=way_in["username"],
        sasl_plain_password=way_in["password"],
        request_timeout_ms=5_000,
        enable_idempotence=True,
        acks="all",
    )


async def new_producer(call: Call, name: str, number: int) -> dict[str, Any]:
    status, _ = await call("POST", "/producers", {"name": name, "glns": [gln(number)], "roles": ["manufacturer"]})
    assert status == 201
    status, answer = await call("POST", f"/producers/{name}/keys", {})
    assert status == 201
    found: dict[str, Any] = answer
    return found


async def test_a_new_key_works_at_once_and_a_revoked_one_no_more(call: Call) -> None:
    issued = await new_producer(call, "key-life", 70_001)
    assert issued["key"].startswith(f"sw_{issued['key_id']}_")
    assert (await call("GET", "/catalogue", key=issued["key"]))[0] == 200
    assert (await call("DELETE", f"/keys/{issued['key_id']}"))[0] == 204
    assert (await call("GET", "/catalogue", key=issued["key"]))[0] == 401


async def test_two_keys_of_a_producer_are_valid_side_by_side(call: Call) -> None:
    first = await new_producer(call, "rotation", 70_002)
    _, second = await call("POST", "/producers/rotation/keys", {"label": "second"})
    assert (await call("GET", "/catalogue", key=first["key"]))[0] == 200
    assert (await call("DELETE", f"/keys/{first['key_id']}"))[0] == 204
    assert (await call("GET", "/catalogue", key=second["key"]))[0] == 200


async def test_a_producer_writes_to_its_own_topic_alone_until_its_key_is_revoked(call: Call, stack: Stack) -> None:
    issued = await new_producer(call, "kafka-way", 70_003)
    way_in = issued["kafka"]
    assert way_in["topic"] == topics.inbound("kafka-way")
    producer = kafka_producer(stack, way_in)
    await producer.start()
    try:
        await producer.send_and_wait(way_in["topic"], b"{}")
        for foreign in (topics.MOVEMENTS, topics.inbound("manufacturer-1"), topics.ACCESS):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(foreign, b"{}", partition=0)
        await call("DELETE", f"/keys/{issued['key_id']}")

        async def refused() -> bool:
            try:
                await producer.send_and_wait(way_in["topic"], b"{}")
            except KafkaError:
                return True
            return False

        await eventually(refused, timeout_seconds=5)
    finally:
        await producer.stop()


async def test_the_topic_of_a_producer_is_laid_out_as_the_file_of_topics_says(call: Call, stack: Stack) -> None:
    issued = await new_producer(call, "laid-out", 70_004)
    wanted = producer_topic("laid-out", TOPICS_FILE, replication=1)
    admin, name = stack.kafka.admin_login.client(), issued["kafka"]["topic"]
    partitions = admin.list_topics(name, timeout=ADMIN_TIMEOUT_SECONDS).topics[name].partitions
    assert (name, len(partitions)) == (wanted.name, wanted.partitions)
    [described] = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
    found = {key: entry.value for key, entry in described.result(ADMIN_TIMEOUT_SECONDS).items()}
    assert {key: found[key] for key in wanted.config} == wanted.config
    assert wanted.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "manufacturer-1", "glns": [gln(70_010)], "roles": ["manufacturer"]}, 409, "name_taken"),
        ({"name": "someone", "glns": ["9521000000018"], "roles": ["manufacturer"]}, 409, "gln_taken"),
        ({"name": "Someone", "glns": [gln(70_011)], "roles": ["manufacturer"]}, 422, "pattern"),
        ({"name": "someone", "glns": [], "roles": ["manufacturer"]}, 422, "length"),
        ({"name": "someone", "glns": ["9521000000019"], "roles": ["manufacturer"]}, 422, "check_digit"),
        ({"name": "someone", "glns": [gln(70_012)], "roles": ["king"]}, 422, "choice"),
        ({"name": "someone", "glns": [gln(70_012)]}, 422, "missing"),
        ({"name": "someone", "glns": [gln(70_012)], "roles": ["importer"], "country": "XX"}, 422, "country"),
    ],
)
async def test_a_producer_that_cannot_be_is_refused(call: Call, body: dict[str, Any], status: int, code: str) -> None:
    answered, problem = await call("POST", "/producers", body)
    assert (answered, [fault["code"] for fault in problem["errors"]]) == (status, [code])


@pytest.mark.parametrize("name", ["nobody", "%00", "%ff", "x" * 3000])
async def test_what_is_not_there_is_not_found_however_it_is_called(call: Call, name: str) -> None:
    for method, path in (("DELETE", f"/keys/{name}"), ("POST", f"/producers/{name}/keys")):
        status, problem = await call(method, path, {})
        assert (status, [fault["code"] for fault in problem["errors"]]) == (404, ["not_found"])


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("GET", "/producers"), ("POST", "/producers"), ("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/x")],
        *[("GET", "/parties"), ("PUT", "/parties/x"), ("DELETE", "/parties/x")],
    ],
)
async def test_only_an_admin_administers(
    call: Call, credentials: dict[str, Any], method: str, path: str, role: str
) -> None:
    assert (await call(method, path, {}, key=credentials["keys"][role]))[0] == 403
    assert (await call(method, path, {}, key="nonsense"))[0] == 401


async def test_a_producer_is_in_viet_nam_unless_another_country_is_told(call: Call) -> None:
    for name, number, told in (("at-home", 70_040, {}), ("abroad", 70_041, {"country": "FR"})):
        body = {"name": name, "glns": [gln(number)], "roles": ["importer"], **told}
        status, answer = await call("POST", "/producers", body)
        assert (status, answer["country"]) == (201, told.get("country", "VN"))


async def test_where_parties_are_is_told_changed_and_forgotten(call: Call) -> None:
    one, other = gln(70_050), gln(70_051)
    for number, country in ((other, "FR"), (one, "IN"), (one, "KR")):
        status, answer = await call("PUT", f"/parties/{number}", {"country": country, "name": "a supplier"})
        assert (status, answer["country"]) == (200, country)
    status, page = await call("GET", "/parties?limit=1000")
    assert {item["gln"]: item["country"] for item in page["items"]}.items() >= {one: "KR", other: "FR"}.items()
    status, page = await call("GET", "/parties?limit=1")
    assert len(page["items"]) == 1 and page["next"] is not None
    for answered in (204, 404):
        assert (await call("DELETE", f"/parties/{one}"))[0] == answered


@pytest.mark.parametrize(
    ("number", "body", "code"),
    [
        ("9521000000019", {"country": "FR"}, "pattern"),
        ("%00", {"country": "FR"}, "pattern"),
        (gln(70_052), {"country": "fr"}, "country"),
        (gln(70_052), {}, "missing"),
        (gln(70_052), {"country": "FR", "name": ""}, "length"),
    ],
)
async def test_a_party_that_cannot_be_is_refused(call: Call, number: str, body: dict[str, Any], code: str) -> None:
    status, problem = await call("PUT", f"/parties/{number}", body)
    assert (status, [fault["code"] for fault in problem["errors"]]) == (422, [code])


async def test_lists_show_no_secret_and_are_paged(call: Call) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        status, answer = await call("GET", f"/keys?limit=3{f'&cursor={cursor}' if cursor else ''}")
        assert status == 200
        assert all("sha256" not in item and "key" not in item for item in answer["items"])
        seen += [item["key_id"] for item in answer["items"]]
        cursor = answer["next"]
    assert len(seen) == len(set(seen)) > 3
    assert seen == sorted(seen)


async def test_keys_are_known_after_a_restart_and_revoked_ones_stay_revoked(call: Call, stack: Stack) -> None:
    kept = await new_producer(call, "restart-kept", 70_020)
    revoked = await new_producer(call, "restart-revoked", 70_021)
    await call("DELETE", f"/keys/{revoked['key_id']}")
    stack.restart_child("ingest")
    assert (await call("GET", "/catalogue", key=kept["key"]))[0] == 200
    assert (await call("GET", "/catalogue", key=revoked["key"]))[0] == 401


async def test_another_instance_learns_of_a_revocation_within_five_seconds(
    call: Call, stack: Stack, http: aiohttp.ClientSession
) -> None:
    issued = await new_producer(call, "two-instances", 70_030)
    name = stack.spawn_service("ingest")
    url = f"http://127.0.0.1:{stack.ports.of('ingest') + 1}/catalogue"
    headers = {"Authorization": f"Bearer {issued['key']}"}

    async def status() -> int:
        async with http.get(url, headers=headers) as answer:
            return answer.status

    try:
        assert await status() == 200
        await call("DELETE", f"/keys/{issued['key_id']}")

        async def refused() -> bool:
            return await status() == 401

        await eventually(refused, timeout_seconds=5)
    finally:
        stack.stop_child(name)
