"""What of an alert's life is told and when, on real PostgreSQL while the tests move time."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.alerts.endpoint import Filter, Format
from services.alerts.facts import Signal
from services.alerts.rule_files import read
from services.alerts.rules import RuleSet
from services.alerts.store.alerts import NotFound
from services.alerts.store.recovery import Removed
from shared.audit import AuditLog, Wanted
from tests.authors import ANN, BOB, EVE
from tests.stack.alerts_world import GROUPING, NOW, World
from tests.unit.alerts_given import goal, rule_set

ONE, TWO = "https://one.example/", "https://two.example/"
HOUR = timedelta(hours=1)
PATIENT_RULE = """
- rule: off-track
  signal: goal
  severity: warning
  reopen: 2h
  remind: 6h
  escalate: [4h]
  when: data.status == "off_track"
  summary: "off track"
"""
CAUSES = """
- rule: interruption
  signal: obligation
  severity: critical
  when: data.state == "open"
  labels: {covers: "gtin:1 gtin:2"}
  summary: "interrupted"

- rule: stock-low
  signal: indicator
  severity: warning
  when: double(data.value) < 2.0
  unknown: data.value == null
  summary: "${data.value} months of ${data.scope}"
  group: "${data.scope.startsWith('gtin:') ? 'plant-9' : ''}"

- inhibit: plant
  source: [{name: rule, value: interruption}]
  target: [{name: rule, value: stock-low}]
  equal: [{source: covers, target: scope}]
"""


@pytest.fixture
def world(alerts_world: World) -> World:
    return alerts_world


def causes() -> RuleSet:
    rules, inhibitions, faults = read({"test.yaml": CAUSES})
    assert faults == []
    return RuleSet(rules, "causes", inhibitions)


def stock(scope: str, value: str = "1.0", version: int = 1) -> Signal:
    data = {"name": "months_of_stock", "scope": scope, "on": "2027-03-01", "value": value, "why": None}
    return Signal(f"indicator/months_of_stock/{scope}", version, NOW, {**data, "coverage": None, "inputs": {}})


def interruption(state: str = "open", version: int = 1) -> Signal:
    data = {"obligation": "i-1", "kind": "interruption", "subject": "site:9", "title": "Plant 9", "due_on": None}
    return Signal("obligation/i-1", version, NOW, {**data, "state": state, "met_on": None})


async def only_alert(world: World) -> dict[str, Any]:
    [alert] = (await world.queries.alerts({}, 10, None)).items
    return alert


async def test_nobody_acknowledges_so_the_next_level_is_told_and_the_first_reminded(world: World) -> None:
    world.rules = rule_set(PATIENT_RULE)
    await world.endpoint(ONE)
    await world.endpoint(TWO, level=1)
    await world.signal(goal("off_track"))
    await world.deliver()
    assert (world.wire.told(ONE), world.wire.told(TWO)) == (["firing"], [])
    assert await world.look(4 * HOUR - timedelta(seconds=1)) == 0
    assert await world.look(timedelta(seconds=1)) == 1
    assert await world.look() == 0
    await world.deliver()
    assert (world.wire.told(ONE), world.wire.told(TWO)) == (["firing"], ["firing"])
    await world.look(2 * HOUR)
    await world.deliver()
    assert (world.wire.told(ONE), world.wire.told(TWO)) == (["firing", "reminder"], ["firing", "reminder"])
    alert = await only_alert(world)
    assert alert["level"] == 1
    await world.alerts.acknowledge(uuid.UUID(alert["id"]), replace(ANN, reason="on it"))
    await world.look(100 * HOUR)
    assert await world.look() == 0
    await world.signal(goal("on_track", 2))
    await world.deliver(rounds=2)
    assert world.wire.told(TWO) == ["firing", "reminder", "acknowledged", "resolved"]
    assert await world.history(alert["id"]) == ["firing", "escalated", "reminder", "acknowledged", "resolved"]


async def test_what_fell_due_while_nothing_ran_comes_once_however_many_look(world: World) -> None:
    world.rules = rule_set(PATIENT_RULE)
    await world.endpoint(ONE)
    await world.signal(*[Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(20)])
    await world.deliver(rounds=2)
    world.clock.advance(timedelta(days=3))
    stores = [world.alerts for _ in range(4)]
    assert sum(await asyncio.gather(*(store.wake(5) for store in stores for _ in range(2)))) == 20
    await world.deliver(rounds=2)
    assert world.wire.told(ONE) == ["firing"] * 20 + ["reminder"] * 20
    assert len(set(world.wire.ids())) == 40


async def test_a_silenced_alert_is_told_when_the_silence_ends_and_it_still_fires(world: World) -> None:
    world.rules = rule_set(PATIENT_RULE)
    await world.endpoint(ONE)
    silence = await world.silence("rule", "off-track", 5 * HOUR)
    await world.signal(goal("off_track"))
    await world.deliver()
    alert = await only_alert(world)
    assert (world.wire.told(), alert["state"], alert["muted_by"]) == ([], "firing", [silence.token])
    assert await world.look(4.9 * HOUR) == 0
    assert await world.look(0.1 * HOUR) == 1
    await world.deliver()
    assert world.wire.told() == ["firing"]
    assert (await only_alert(world))["muted_by"] == []
    found = await world.queries.alert(uuid.UUID(alert["id"]))
    assert found is not None
    assert "silenced by ann until 2027-03-01T07:00:00Z: maintenance" in found["history"][0]["why"]


async def test_a_silence_that_is_ended_early_lets_go_of_what_it_held_back(world: World) -> None:
    await world.endpoint(ONE)
    silence = await world.silence("subject", "goal/volume", 500 * HOUR)
    await world.signal(goal("off_track"), Signal("goal/value", 1, NOW, goal("off_track").data))
    await world.deliver()
    assert len(world.wire.told()) == 1
    await world.silences.end(silence.id, BOB)
    assert await world.look() == 2
    await world.deliver()
    assert world.wire.told() == ["firing", "firing"]
    await world.silences.end(silence.id, BOB)
    assert await world.look() == 1
    with pytest.raises(NotFound):
        await world.silences.end(uuid.uuid4(), BOB)


async def test_a_silence_shows_at_once_on_what_was_told_before_it(world: World) -> None:
    await world.signal(goal("off_track"))
    silence = await world.silence("rule", "goal-off-track", 5 * HOUR)
    [shown] = (await world.queries.alerts({}, 10, None, world.clock.now())).items
    assert shown["muted_by"] == [silence.token]
    whole = await world.queries.alert(uuid.UUID(shown["id"]), world.clock.now() + 5 * HOUR)
    assert whole is not None and whole["muted_by"] == []


async def test_what_began_and_ended_in_silence_is_never_told(world: World) -> None:
    await world.endpoint(ONE)
    await world.silence("subject", "goal/volume", 5 * HOUR)
    await world.signal(goal("off_track"), goal("on_track", 2))
    await world.look(10 * HOUR)
    assert await world.deliver() == 0
    alert = await only_alert(world)
    assert await world.history(alert["id"]) == ["firing", "resolved"]


async def test_an_alert_that_comes_back_within_its_grace_is_the_same_one(world: World) -> None:
    world.rules = rule_set(PATIENT_RULE)
    await world.endpoint(ONE)
    await world.signal(goal("off_track"), goal("on_track", 2))
    world.clock.advance(1.9 * HOUR)
    await world.signal(goal("off_track", 3))
    await world.deliver(rounds=4)
    alert = await only_alert(world)
    assert (alert["state"], alert["started_at"]) == ("firing", "2027-03-01T02:00:00Z")
    assert await world.history(alert["id"]) == ["firing", "resolved", "reopened"]
    assert world.wire.told() == ["firing", "resolved", "firing"]
    assert len(set(world.wire.ids())) == 3


async def test_a_cause_mutes_its_consequences_until_it_is_over(world: World) -> None:
    world.rules = causes()
    await world.endpoint(ONE, filter=Filter(rule=("stock-low",)))
    await world.signal(interruption(), stock("gtin:1"), stock("gtin:3"))
    await world.look(HOUR)
    await world.deliver()
    [body] = [json.loads(request.body) for request in world.wire.requests]
    assert [alert["labels"]["scope"] for alert in body["data"]["alerts"]] == ["gtin:3"]
    await world.signal(stock("gtin:2"))
    assert await world.look(HOUR) == 0
    await world.signal(interruption("met", 2))
    await world.look()
    await world.look(HOUR)
    await world.deliver()
    body = json.loads(world.wire.requests[-1].body)
    assert sorted(alert["labels"]["scope"] for alert in body["data"]["alerts"]) == ["gtin:1", "gtin:2"]


async def test_a_cause_and_its_consequences_at_once_are_seen_by_each_other_or_told(world: World) -> None:
    """Whatever the order of two transactions, nothing stays muted by what is over."""
    world.rules = causes()
    for round_number in range(1, 6):
        await world.signal(interruption(version=2 * round_number))
        await asyncio.gather(
            world.signal(interruption("met", 2 * round_number + 1)),
            *(world.signal(stock(f"gtin:{n}", version=2 * round_number)) for n in (1, 2)),
        )
        await world.look()
        muted = [item["muted_by"] for item in (await world.queries.alerts({"rule": "stock-low"}, 10, None)).items]
        assert muted == [[]] * len(muted)
        await world.signal(*(stock(f"gtin:{n}", "9.0", 2 * round_number + 1) for n in (1, 2)))


async def test_forty_products_of_one_plant_are_one_message(world: World) -> None:
    world.rules = causes()
    for chosen in Format:
        await world.endpoint(f"https://{chosen}.example/", format=chosen)
    await world.signal(*(stock(f"gtin:{n}") for n in range(40)))
    assert await world.deliver() == 0
    assert await world.look(GROUPING.wait) == 1
    assert await world.deliver() == 3
    bodies = {request.url: json.loads(request.body) for request in world.wire.requests}
    standard = bodies["https://standard.example/"]
    assert (standard["type"], len(standard["data"]["alerts"])) == ("supply.alert.firing.v1", 40)
    assert standard["data"]["group"] == "plant-9"
    alertmanager = bodies["https://alertmanager.example/"]
    assert (alertmanager["groupLabels"], len(alertmanager["alerts"])) == ({"group": "plant-9"}, 40)
    assert alertmanager["commonLabels"]["alertname"] == "stock-low" and "scope" not in alertmanager["commonLabels"]
    assert bodies["https://slack.example/"]["text"] == "[FIRING] 40 alerts: plant-9"

    await world.signal(*(stock(f"gtin:{n}", "9.0", 2) for n in range(39)))
    assert await world.look(GROUPING.wait) == 0
    await world.look(GROUPING.interval)
    assert await world.deliver() == 3
    resolved = json.loads(world.wire.requests[-1].body)
    assert len(resolved.get("alerts") or resolved["data"]["alerts"]) == 39 if "text" not in resolved else True
    assert len(set(world.wire.ids())) == 6
    [alert] = [item for item in (await world.queries.alerts({}, 100, None)).items if item["subject"].endswith("gtin:7")]
    assert len(await world.sent(alert=uuid.UUID(alert["id"]))) == 6


async def test_groups_are_told_once_however_many_look(world: World) -> None:
    world.rules = causes()
    await world.endpoint(ONE)
    await world.signal(*(stock(f"gtin:{n}") for n in range(10)))
    world.clock.advance(HOUR)
    assert sum(await asyncio.gather(*(world.alerts.flush() for _ in range(5)))) == 1
    assert await world.deliver() == 1


async def test_a_delivery_that_failed_is_sent_again_by_hand_with_its_id_and_a_new_schedule(world: World) -> None:
    await world.endpoint(ONE)
    world.wire.answers[ONE] = [500] * 9
    await world.signal(goal("off_track"))
    for wait_seconds in (0, 5, 300, 1800, 7200, 18000, 36000, 36000):
        world.clock.advance(timedelta(seconds=wait_seconds))
        assert await world.deliver() == 1
    [delivery] = await world.sent()
    assert delivery["state"] == "failed"
    await world.recovery.resend(uuid.UUID(delivery["id"]), ANN)
    assert await world.deliver() == 1
    world.clock.advance(timedelta(seconds=5))
    assert await world.deliver() == 1
    [delivery] = await world.sent()
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 10)
    assert len(set(world.wire.ids())) == 1
    with pytest.raises(NotFound):
        await world.recovery.resend(uuid.uuid4(), ANN)


async def test_what_is_being_sent_is_not_sent_beside_it(world: World) -> None:
    await world.endpoint(ONE)
    await world.signal(goal("off_track"))
    world.wire.hanging.add(ONE)
    sending = asyncio.create_task(world.instance().once())
    while not world.wire.requests:
        await asyncio.sleep(0)
    [delivery] = await world.sent()
    await world.recovery.resend(uuid.UUID(delivery["id"]), ANN)
    assert await world.deliver() == 0
    sending.cancel()


async def test_an_endpoint_gets_what_failed_and_what_it_missed_while_it_was_disabled(world: World) -> None:
    made = await world.endpoint(ONE, filter=Filter(severity=("critical",)))
    world.wire.answers[ONE] = [410]
    await world.signal(goal("off_track"))
    await world.deliver()
    await world.signal(goal("on_track", 2), Signal("goal/value", 1, NOW, goal("at_risk").data))
    assert await world.deliver() == 0
    await world.endpoints.change(made.id, {"enabled": True, "disabled_reason": None, "failing_since": None}, ANN)
    found = await world.queries.endpoint(made.id)
    assert found is not None
    done = await world.recovery.recover(found, NOW, ANN)
    assert (done.count, done.following) == (2, None)
    assert await world.deliver(rounds=3) == 2
    assert world.wire.told() == ["firing", "firing", "resolved"]
    assert (await world.recovery.recover(found, NOW, ANN)).count == 0
    await world.endpoints.remove(made.id, ANN)
    with pytest.raises(Removed):
        await world.recovery.resend(uuid.UUID((await world.sent())[0]["id"]), ANN)


async def test_stats_say_what_came_of_an_endpoint(world: World) -> None:
    made = await world.endpoint(ONE)
    world.wire.answers[ONE] = [500, 204]
    await world.signal(goal("off_track"))
    await world.deliver()
    world.clock.advance(timedelta(seconds=6))
    await world.deliver()
    stats = await world.queries.stats(made.id, NOW)
    assert stats["deliveries"] == {"delivered": 1, "failed": 0, "pending": 0}
    assert stats["attempts"] == {"made": 2, "succeeded": 1, "by_status": {"204": 1, "500": 1}}
    assert stats["last_delivered_at"] == "2027-03-01T02:00:06Z"
    assert stats["seconds"]["p99"] == 0.01


async def test_own_headers_are_sent_along(world: World) -> None:
    made = await world.endpoint(ONE, headers={"Authorization": "Bearer secret", "X-Team": "ops"})
    await world.signal(goal("off_track"))
    await world.deliver()
    headers = world.wire.requests[0].headers
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer secret", "ops")
    assert made.as_json()["headers"] == ["Authorization", "X-Team"]
    assert "Bearer secret" not in json.dumps(made.as_json()) + repr(made)


async def test_changed_rules_judge_again_without_a_restart_and_open_alerts_keep_their_history(world: World) -> None:
    await world.endpoint(ONE)
    world.rules = rule_set(PATIENT_RULE)
    await world.signal(goal("off_track"))
    before = await only_alert(world)
    store = world.alerts
    milder = RuleSet(rule_set(PATIENT_RULE.replace("severity: warning", "severity: info")).rules, "milder")
    await store.change_rules(milder)
    await store.wake(100)
    after = await only_alert(world)
    assert (after["id"], after["severity"], after["state"]) == (before["id"], "info", "firing")
    assert await world.history(after["id"]) == ["firing"]
    await store.change_rules(RuleSet((), "none"))
    await store.wake(100)
    assert await world.history(after["id"]) == ["firing", "resolved"]
    assert await world.deliver(rounds=2) == 2


async def test_what_a_person_changes_is_kept_with_who_and_when_and_without_secrets(world: World) -> None:
    made = await world.endpoint(ONE, headers={"Authorization": "Bearer hidden"})
    await world.endpoints.change(made.id, {"level": 2}, BOB)
    await world.endpoints.rotate(made.id, "whsec_bmV3", HOUR, BOB)
    silence = await world.silence("rule", "x", HOUR)
    await world.silences.end(silence.id, EVE)
    await world.recovery.recover(made, NOW, EVE)
    await world.endpoints.remove(made.id, replace(BOB, reason="the receiver has moved"))
    rows = list(reversed(await AuditLog(world.engine.begin).page(Wanted(), None, 100)))
    assert [(row["name"], row["action"]) for row in rows] == [
        ("ann", "endpoint_created"),
        ("bob", "endpoint_changed"),
        ("bob", "secret_rotated"),
        ("ann", "silence_created"),
        ("eve", "silence_ended"),
        ("eve", "endpoint_recovered"),
        ("bob", "endpoint_removed"),
    ]
    changed, removed = rows[1], rows[-1]
    assert (changed["by"], changed["role"], changed["subject"]) == (BOB.key_id, BOB.role, str(made.id))
    assert (changed["before"]["level"], changed["after"]["level"]) == (0, 2)
    assert (removed["before"]["url"], removed["after"], removed["reason"]) == (ONE, None, "the receiver has moved")
    assert not any(secret in str(rows) for secret in (made.secret, "hidden", "bmV3"))
