"""The running service on real Kafka and PostgreSQL: a signal in, an alert and a signed webhook out."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from standardwebhooks import Webhook

from deploy.local.stack import Stack
from services.alerts.pipeline import Pipeline
from services.alerts.settings import AlertsSettings
from shared import topics
from shared.clock import RealClock
from shared.web import encode_cursor
from tests.stack.alerts_given import JSON, Alerts, goal, in_days, obligation, publish, unique
from tests.stack.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="function")


@dataclass
class Receiver:
    """A webhook receiver; answers what `status` says."""

    url: str = ""
    status: int = 204
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=self.status)

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.requests]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiving = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiving.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiving.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiving
    await runner.cleanup()


@pytest.fixture
def operator(http: aiohttp.ClientSession, credentials: dict[str, Any]) -> Alerts:
    return Alerts(http, credentials)


async def endpoint(operator: Alerts, receiver: Receiver, **more: Any) -> JSON:
    """An endpoint at `receiver`, with its secret."""
    status, made = await operator.call("POST", "/endpoints", {"url": receiver.url, "format": "standard", **more})
    assert status == 201, made
    return made


async def test_a_goal_off_track_opens_an_alert_that_says_what_is_wrong_and_resolves_when_it_is_back(
    stack: Stack, operator: Alerts, receiver: Receiver
) -> None:
    name = unique("volume")
    made = await endpoint(operator, receiver)
    await publish(stack, goal(name, "off_track"))
    [alert] = await eventually(lambda: operator.of(f"goal/{name}", state="firing"))
    assert (alert["rule"], alert["severity"]) == ("goal-off-track", "critical")
    assert alert["summary"].startswith(
        "80 % of demand met by domestic production by 2030: off track, 0.712 where 0.741 was expected, since "
    )
    assert alert["evidence"]["required_pace"] == "0.02"
    assert alert["links"]["goal"].endswith(f"/goals/{name}")

    await publish(stack, goal(name, "on_track", value="0.75"))
    await eventually(lambda: operator.of(f"goal/{name}", state="resolved"))

    def told() -> list[tuple[Any, bytes]]:
        """What came about this alert: others may open at any time."""
        return [(head, body) for head, body in receiver.requests if json.loads(body)["subject"] == alert["id"]]

    await eventually(lambda: len(told()) >= 2)
    types = ["supply.alert.firing.v1", "supply.alert.resolved.v1"]
    assert [json.loads(body)["type"] for _, body in told()] == types
    for headers, body in told():
        event = Webhook(made["secret"]).verify(body, headers)
        assert event["id"] == headers["webhook-id"]
        assert (event["subject"], event["data"]["id"]) == (alert["id"], alert["id"])
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_every_attempt_can_be_read(stack: Stack, operator: Alerts, receiver: Receiver) -> None:
    name = unique("attempts")
    made = await endpoint(operator, receiver)
    await publish(stack, goal(name, "missed"))
    [delivery] = await eventually(lambda: operator.items("/deliveries", endpoint=made["id"], state="delivered"))
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    assert delivery["webhook_id"] == receiver.requests[0][0]["webhook-id"]
    assert (await operator.call("GET", f"/deliveries/{delivery['id']}"))[1] == delivery
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_an_endpoint_is_only_told_of_what_its_filter_takes(
    stack: Stack, operator: Alerts, receiver: Receiver
) -> None:
    made = await endpoint(operator, receiver, filter={"severity": ["critical"], "rule": ["goal-off-track"]})
    first, second, third = unique("a"), unique("b"), unique("c")
    await publish(stack, goal(first, "at_risk"), goal(second, "missed"), goal(third, "off_track"))
    await eventually(lambda: operator.of(f"goal/{first}", state="firing"))
    await eventually(lambda: receiver.requests)
    assert [json.loads(body)["data"]["subject"] for _, body in receiver.requests] == [f"goal/{third}"]
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_an_old_version_and_a_heartbeat_change_nothing(stack: Stack, operator: Alerts) -> None:
    name = unique("versions")
    newest = goal(name, "off_track")
    stale = goal(name, "on_track", at_version=newest.version - 1)
    heartbeat = newest.model_copy(update={"heartbeat": True})
    after = unique("after")
    await publish(stack, newest, stale, heartbeat, goal(after, "off_track"))
    await eventually(lambda: operator.of(f"goal/{after}", state="firing"))
    [alert] = await operator.of(f"goal/{name}")
    assert alert["state"] == "firing"


async def test_no_data_neither_opens_nor_resolves(stack: Stack, operator: Alerts) -> None:
    held, never, after = unique("held"), unique("never"), unique("after")
    await publish(stack, goal(held, "off_track"))
    await publish(stack, goal(held, "no_data"), goal(never, "no_data"), goal(after, "off_track"))
    await eventually(lambda: operator.of(f"goal/{after}", state="firing"))
    assert [alert["state"] for alert in await operator.of(f"goal/{held}")] == ["firing"]
    assert await operator.of(f"goal/{never}") == []


async def test_an_obligation_is_due_soon_then_met(stack: Stack, operator: Alerts) -> None:
    name = unique("milestone")
    await publish(stack, obligation(name, in_days(10)))
    [alert] = await eventually(lambda: operator.of(f"obligation/{name}"))
    assert (alert["rule"], alert["severity"], alert["state"]) == ("obligation-due-soon", "warning", "firing")
    assert f"due on {in_days(10)}" in alert["summary"]
    await publish(stack, obligation(name, in_days(10), "met"))
    await eventually(lambda: operator.of(f"obligation/{name}", state="resolved"))


async def test_an_overdue_obligation_is_critical(stack: Stack, operator: Alerts) -> None:
    name = unique("late")
    await publish(stack, obligation(name, in_days(-3)))
    [alert] = await eventually(lambda: operator.of(f"obligation/{name}"))
    assert (alert["rule"], alert["severity"]) == ("obligation-overdue", "critical")


async def test_an_operator_acknowledges_and_a_viewer_may_not(
    stack: Stack, operator: Alerts, http: aiohttp.ClientSession, credentials: dict[str, Any], receiver: Receiver
) -> None:
    name = unique("ack")
    made = await endpoint(operator, receiver)
    await publish(stack, goal(name, "off_track"))
    [alert] = await eventually(lambda: operator.of(f"goal/{name}", state="firing"))
    viewer = Alerts(http, credentials, "viewer")
    assert (await viewer.call("POST", f"/alerts/{alert['id']}/acknowledge"))[0] == 403
    status, after = await operator.call("POST", f"/alerts/{alert['id']}/acknowledge", {"why": "we are on it"})
    assert (status, after["state"]) == (200, "acknowledged")
    assert after["acknowledged_by"]
    assert (await operator.call("POST", f"/alerts/{alert['id']}/acknowledge"))[0] == 200
    await publish(stack, goal(name, "on_track"))
    await eventually(lambda: operator.of(f"goal/{name}", state="resolved"))
    assert (await operator.call("POST", f"/alerts/{alert['id']}/acknowledge"))[0] == 409
    await eventually(lambda: len(receiver.requests) == 3)
    assert [kind.split(".")[2] for kind in receiver.types()] == ["firing", "acknowledged", "resolved"]
    _, whole = await operator.call("GET", f"/alerts/{alert['id']}")
    assert [entry["transition"] for entry in whole["history"]] == ["firing", "acknowledged", "resolved"]
    assert whole["history"][1]["why"] == "we are on it"
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_every_change_is_published_in_order(stack: Stack, operator: Alerts) -> None:
    name = unique("published")
    await publish(stack, goal(name, "off_track"))
    await publish(stack, goal(name, "on_track"))
    [alert] = await eventually(lambda: operator.of(f"goal/{name}", state="resolved"))
    consumer = AIOKafkaConsumer(
        topics.ALERTS,
        bootstrap_servers=stack.credentials["kafka"]["bootstrap"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username="admin",
        sasl_plain_password=stack.kafka_password("admin"),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found: list[str] = []
    try:
        async with asyncio.timeout(15):
            while len(found) < 2:
                record = await consumer.getone()
                if record.key.decode() == alert["id"]:
                    found.append(dict(record.headers)["ce_type"].decode())
    finally:
        await consumer.stop()
    assert found == ["supply.alert.firing.v1", "supply.alert.resolved.v1"]


async def test_a_record_that_is_no_signal_holds_up_nobody(stack: Stack, operator: Alerts) -> None:
    name = unique("good")
    broken = goal(unique("broken"), "off_track").model_copy(update={"data": {"status": "off_track"}})
    with_nul = goal(unique("nul"), "off_track", value="\0")
    await publish(stack, broken, with_nul, goal(name, "off_track"))
    await eventually(lambda: operator.of(f"goal/{name}", state="firing"))
    assert await operator.of(broken.subject) == await operator.of(with_nul.subject) == []


async def test_a_restart_sends_nothing_twice_and_forgets_nothing(
    stack: Stack, operator: Alerts, receiver: Receiver
) -> None:
    made = await endpoint(operator, receiver)
    names = [unique("restart") for _ in range(20)]
    await publish(stack, *(goal(name, "off_track") for name in names))
    await eventually(lambda: len(receiver.requests) == 20)
    stack.stop_child("alerts")
    await publish(stack, *(goal(name, "on_track") for name in names))
    stack.start_child("alerts")
    await eventually(lambda: len(receiver.requests) == 40, timeout_seconds=30)
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 40
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_a_database_restored_from_before_catches_up_with_the_topic(stack: Stack, operator: Alerts) -> None:
    names = [unique("restored") for _ in range(6)]
    await publish(stack, *(goal(name, "off_track") for name in names))
    for name in names:
        await eventually(partial(operator.of, f"goal/{name}", state="firing"))
    stack.stop_child("alerts")
    database = await asyncpg.connect(stack.postgres.url("alerts"))
    await database.execute("TRUNCATE subjects, alerts, positions")
    await database.close()
    after = unique("after")
    await publish(stack, goal(after, "off_track"))
    stack.start_child("alerts")
    for name in (*names, after):
        assert await operator.of(f"goal/{name}", state="firing")


async def test_alerts_ends_within_ten_seconds_of_sigterm(stack: Stack) -> None:
    started = asyncio.get_running_loop().time()
    stack.stop_child("alerts")
    assert asyncio.get_running_loop().time() - started < 10
    stack.start_child("alerts")


async def test_postgres_away_and_back_needs_no_restart(stack: Stack, operator: Alerts, receiver: Receiver) -> None:
    made = await endpoint(operator, receiver)
    name = unique("away")
    pid = stack.pid("alerts")
    stack.stop_child("postgres")
    await publish(stack, goal(name, "off_track"))
    status, problem = await operator.call("GET", "/alerts")
    assert (status, problem["title"]) == (503, "Unavailable")
    stack.start_child("postgres")
    await eventually(lambda: operator.of(f"goal/{name}", state="firing"), timeout_seconds=30)
    await eventually(lambda: receiver.requests, timeout_seconds=30)
    assert stack.pid("alerts") == pid
    await operator.call("DELETE", f"/endpoints/{made['id']}")


async def test_kafka_away_and_back_needs_no_restart(stack: Stack, operator: Alerts) -> None:
    name = unique("kafka")
    pid = stack.pid("alerts")
    stack.stop_child("kafka")
    assert (await operator.call("GET", "/alerts"))[0] == 200
    stack.start_child("kafka")
    await publish(stack, goal(name, "off_track"))
    await eventually(lambda: operator.of(f"goal/{name}", state="firing"), timeout_seconds=30)
    assert stack.pid("alerts") == pid


async def test_alerts_starts_without_kafka_and_waits_for_it(stack: Stack, operator: Alerts) -> None:
    name = unique("late-kafka")
    stack.stop_child("alerts")
    stack.stop_child("kafka")
    stack.start_child("alerts", wait=False)
    await eventually(lambda: _ready_parts(stack, database=True, kafka=False))
    stack.start_child("kafka")
    stack.wait_ready("alerts")
    await publish(stack, goal(name, "off_track"))
    await eventually(lambda: operator.of(f"goal/{name}", state="firing"), timeout_seconds=30)


async def _ready_parts(stack: Stack, **expected: bool) -> bool:
    async with aiohttp.ClientSession() as http, http.get(stack.credentials["alerts"] + "/health/ready") as response:
        parts = (await response.json())["parts"]
        return all(parts[name] is value for name, value in expected.items())


async def test_the_stack_s_own_receiver_verifies_what_it_gets(stack: Stack) -> None:
    name = unique("own")
    await publish(stack, goal(name, "off_track"))
    log = Path(stack.credentials["receiver"]["log"])

    def logged() -> list[JSON]:
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line["body"]["data"]["subject"] == f"goal/{name}"]

    [line] = await eventually(logged)
    assert line["verified"]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"url": "http://10.0.0.1/"}, "url", "destination"),
        ({"url": "http://127.0.0.2/"}, "url", "destination"),
        ({"url": "https://169.254.169.254/latest"}, "url", "destination"),
        ({"url": "ftp://example.com/"}, "url", "destination"),
        ({"url": "https://example.com/", "format": "smoke"}, "format", "choice"),
        ({"url": "https://example.com/", "filter": {"severity": ["bad"]}}, "filter.severity[0]", "choice"),
        ({"url": "https://example.com/", "filter": {"rule": [0] * 100_000}}, "filter.rule", "length"),
        ({"url": "https://example.com/", "filter": {"severity": ["info"] * 101}}, "filter.severity", "length"),
        ({"url": "https://example.com/", "rate": -1}, "rate", "range"),
        ({"url": "https://example.com/", "level": 10}, "level", "range"),
        ({"url": "https://example.com/", "headers": {"Host": "x"}}, "headers", "choice"),
        ({"url": "https://example.com/", "headers": {"Webhook-Id": "x"}}, "headers", "choice"),
        ({"url": "https://example.com/", "headers": {"A": "x", "a": "y"}}, "headers", "choice"),
        ({"url": "https://example.com/", "headers": {"A": " x"}}, "headers.A", "pattern"),
        ({"url": "https://example.com/", "colour": "red"}, "colour", "unknown_field"),
        ({}, "url", "missing"),
    ],
)
async def test_an_endpoint_that_is_wrong_is_refused(operator: Alerts, body: JSON, field: str, code: str) -> None:
    answered, problem = await operator.call("POST", "/endpoints", body)
    found = [(fault["field"], fault["code"]) for fault in problem["errors"]]
    assert (answered, found) == (422, [(field, code)])


async def test_an_endpoint_is_changed_rotated_tested_and_removed(operator: Alerts, receiver: Receiver) -> None:
    made = await endpoint(operator, receiver, description="first", rate=5)
    path = f"/endpoints/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert "secret" not in (await operator.call("GET", path))[1]
    _, changed = await operator.call("PATCH", path, {"description": "second", "rate": None})
    assert (changed["description"], changed["rate"], changed["url"]) == ("second", None, receiver.url)
    _, rotated = await operator.call("POST", f"{path}/rotate-secret")
    assert rotated["secret"] != made["secret"]
    status, answer = await operator.call("POST", f"{path}/test")
    assert status == 202
    await eventually(lambda: receiver.requests)
    headers, body = receiver.requests[0]
    for secret in (made["secret"], rotated["secret"]):
        assert Webhook(secret).verify(body, headers)["type"] == "supply.alert.test.v1"
    assert headers["webhook-id"] == answer["delivery"]
    assert (await operator.call("DELETE", path))[0] == 204
    assert (await operator.call("GET", path))[0] == 404
    assert (await operator.call("DELETE", path))[0] == 404


async def test_the_age_of_the_ledger_is_watched_by_its_checkpoints(stack: Stack) -> None:
    settings = AlertsSettings.load(
        database_url=stack.postgres.url("alerts"),
        kafka_bootstrap=stack.credentials["kafka"]["bootstrap"],
        kafka_password=stack.kafka_password("alerts"),
        session_secret="unused",
    )
    told: dict[str, JSON] = {}

    async def tell(subject: str, state: JSON) -> None:
        told[subject] = state

    watching = asyncio.create_task(Pipeline(settings, RealClock(), tell).run())
    state = await eventually(lambda: told.get("pipeline/ledger", {}))
    watching.cancel()
    assert (state["stage"], state["late_seconds"]) == ("ledger", 0)


async def test_a_silence_holds_back_and_ending_it_lets_go(stack: Stack, operator: Alerts, receiver: Receiver) -> None:
    name = unique("silenced")
    made = await endpoint(operator, receiver)
    matchers = [{"name": "subject", "op": "=~", "value": f"goal/{name}.*"}]
    body = {"matchers": matchers, "ends_at": "2100-01-01T00:00:00Z", "reason": "we know"}
    status, silence = await operator.call("POST", "/silences", body)
    assert (status, silence["state"], silence["reason"]) == (201, "active", "we know")
    loud = unique("loud")
    await publish(stack, goal(name, "off_track"), goal(loud, "off_track"))
    await eventually(lambda: receiver.requests)
    [alert] = await operator.of(f"goal/{name}", state="firing")
    assert alert["muted_by"] == [f"silence:{silence['id']}"]
    assert [json.loads(body)["data"]["subject"] for _, body in receiver.requests] == [f"goal/{loud}"]
    assert silence["id"] in [item["id"] for item in await operator.items("/silences", state="active")]
    assert (await operator.call("DELETE", f"/silences/{silence['id']}"))[0] == 204
    await eventually(lambda: len(receiver.requests) == 2)
    assert (await operator.call("GET", f"/silences/{silence['id']}"))[1]["state"] == "expired"
    assert (await operator.call("DELETE", f"/silences/{uuid.uuid4()}"))[0] == 404
    await operator.call("DELETE", f"/endpoints/{made['id']}")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"matchers": []}, "matchers", "length"),
        ({"matchers": [{"name": "rule", "op": "=~", "value": "("}]}, "matchers[0].value", "pattern"),
        ({"matchers": [{"name": "rule", "op": "=~", "value": ".*"}]}, "matchers", "choice"),
        ({"matchers": [{"name": "rule", "op": "~", "value": "a"}]}, "matchers[0].op", "choice"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at", "range"),
        ({"starts_at": "2100-01-02T00:00:00Z"}, "ends_at", "range"),
        ({"ends_at": "soon"}, "ends_at", "time"),
        ({"reason": ""}, "reason", "length"),
    ],
)
async def test_a_silence_that_is_wrong_is_refused(operator: Alerts, change: JSON, field: str, code: str) -> None:
    good = {"matchers": [{"name": "rule", "value": "a"}], "ends_at": "2100-01-01T00:00:00Z", "reason": "x"}
    status, problem = await operator.call("POST", "/silences", {**good, **change})
    found = [(fault["field"], fault["code"]) for fault in problem["errors"]]
    assert (status, found) == (422, [(field, code)])


async def test_a_failed_delivery_is_sent_again_and_an_endpoint_tells_its_stats(
    stack: Stack, operator: Alerts, receiver: Receiver
) -> None:
    made = await endpoint(operator, receiver, headers={"X-Team": "ops"}, filter={"rule": ["goal-off-track"]})
    path = f"/endpoints/{made['id']}"
    receiver.status = 503
    name = unique("again")
    await publish(stack, goal(name, "off_track"))
    await eventually(lambda: receiver.requests)
    [delivery] = await eventually(lambda: operator.items("/deliveries", endpoint=made["id"], state="pending"))
    receiver.status = 204
    await eventually(lambda: _attempts(operator, delivery["id"], 1))
    assert (await operator.call("POST", f"/deliveries/{delivery['id']}/resend"))[0] == 202
    await eventually(lambda: operator.items("/deliveries", endpoint=made["id"], state="delivered"))
    assert receiver.requests[-1][0]["x-team"] == "ops"
    _, stats = await operator.call("GET", f"{path}/stats", hours="1")
    assert stats["deliveries"] == {"delivered": 1, "failed": 0, "pending": 0}
    assert stats["attempts"]["by_status"] == {"204": 1, "503": 1}
    await operator.call("PATCH", path, {"enabled": False})
    await publish(stack, goal(name, "on_track"))
    await eventually(lambda: operator.of(f"goal/{name}", state="resolved"))
    await operator.call("PATCH", path, {"enabled": True})
    status, answer = await operator.call("POST", f"{path}/recover", since=delivery["created_at"])
    assert (status, answer) == (202, {"recovered": 1, "next": None})
    await eventually(lambda: receiver.types()[-1] == "supply.alert.resolved.v1")
    assert (await operator.call("POST", f"/deliveries/{uuid.uuid4()}/resend"))[0] == 404
    assert (await operator.call("POST", f"{path}/recover", since="2026-01-01T00:00:00"))[0] == 422
    await operator.call("DELETE", path)
    assert (await operator.call("POST", f"/deliveries/{delivery['id']}/resend"))[0] == 409


async def _attempts(operator: Alerts, delivery: str, count: int) -> bool:
    return len((await operator.call("GET", f"/deliveries/{delivery}"))[1]["attempts"]) == count


async def test_lists_are_paged(stack: Stack, operator: Alerts) -> None:
    subject = unique("page")
    await publish(stack, *(goal(f"{subject}-{n}", "off_track") for n in range(5)))
    await eventually(lambda: operator.of(f"goal/{subject}-4"))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, answer = await operator.call("GET", "/alerts", limit="2", state="firing", **cursor)
        seen += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert len(seen) == len(set(seen)) >= 5
    assert (await operator.call("GET", "/alerts", cursor="nonsense"))[0] == 422
    assert (await operator.call("GET", "/alerts", limit="0"))[0] == 422
    for hostile in (
        {"rule": "\0"},
        {"state": "odd"},
        {"cursor": encode_cursor(["2027-01-01T00:00:00", str(uuid.uuid4())])},
        {"cursor": encode_cursor(["0001-01-01T00:00:00+14:00", str(uuid.uuid4())])},
        {"cursor": encode_cursor(["9999-12-31T23:59:59-14:00", str(uuid.uuid4())])},
    ):
        assert (await operator.call("GET", "/alerts", **hostile))[0] == 422
    too_large = encode_cursor([2**70, str(uuid.uuid4())])
    assert (await operator.call("GET", "/deliveries", cursor=too_large))[0] == 422


async def test_without_a_key_nothing_is_shown(stack: Stack, http: aiohttp.ClientSession) -> None:
    for path in ("/alerts", "/silences", "/endpoints", "/deliveries", "/rules"):
        async with http.get(stack.credentials["alerts"] + path) as response:
            assert response.status == 401
