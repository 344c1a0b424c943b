"""Alerts and deliveries on real PostgreSQL while the tests move time: retries, lanes, deadlines, several instances."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.alerts.claim import Result
from services.alerts.facts import Signal
from services.alerts.retry import Again, Attempt
from services.alerts.rules import RuleSet
from services.alerts.store.deliveries import DeliveryStore
from services.alerts.tables import metadata
from shared.audit import AUDIT
from shared.database import dsn
from tests.authors import ANN
from tests.stack.alerts_world import LIMITS, NOW, World
from tests.stack.waiting import eventually
from tests.unit.alerts_given import OBLIGATION, goal, rule_set

SLOW_RULE = """
- rule: slow
  signal: goal
  severity: warning
  for: 2d
  when: data.status == "off_track"
  summary: "slow"
"""


@pytest.fixture
def world(alerts_world: World) -> World:
    return alerts_world


async def test_a_failing_receiver_is_tried_by_the_schedule_with_the_same_webhook_id(world: World) -> None:
    await world.endpoint()
    world.wire.answers["https://one.example/"] = [500, 503, 302, 404, 500, 500, 500]
    await world.signal(goal("off_track"))
    assert await world.deliver() == 1
    for wait_seconds in (5, 300, 1800, 7200, 18000, 36000, 36000):
        world.clock.advance(timedelta(seconds=wait_seconds - 1))
        assert await world.deliver() == 0
        world.clock.advance(timedelta(seconds=1))
        assert await world.deliver() == 1
    assert len(world.wire.ids()) == 8 and len(set(world.wire.ids())) == 1
    [delivery] = await world.sent()
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 503, 302, 404, 500, 500, 500, 204]


async def test_an_exhausted_delivery_fails_and_lets_the_next_of_its_lane_go(world: World) -> None:
    await world.endpoint()
    world.wire.answers["https://one.example/"] = [500] * 8
    await world.signal(goal("off_track"), goal("on_track", 2))
    for wait_seconds in (0, 5, 300, 1800, 7200, 18000, 36000, 36000):
        world.clock.advance(timedelta(seconds=wait_seconds))
        assert await world.deliver() == 1
    assert await world.deliver() == 1
    assert [delivery["state"] for delivery in await world.sent()] == ["failed", "delivered"]
    assert world.wire.told() == ["firing"] * 8 + ["resolved"]


async def test_within_a_lane_messages_keep_their_order_and_other_lanes_do_not_wait(world: World) -> None:
    await world.endpoint()
    await world.endpoint("https://two.example/")
    world.wire.answers["https://one.example/"] = [500, 204]
    other = Signal("goal/value", 1, NOW, goal("missed").data)
    await world.signal(goal("off_track"), goal("on_track", 2), other)
    await world.deliver(rounds=3)
    assert world.wire.told("https://one.example/") == ["firing", "firing"]  # of two alerts; the resolved one waits
    assert sorted(world.wire.told("https://two.example/")) == ["firing", "firing", "resolved"]
    world.clock.advance(timedelta(seconds=5))
    await world.deliver(rounds=2)
    assert world.wire.told("https://one.example/")[2:] == ["firing", "resolved"]


async def test_an_attempt_whose_process_died_is_made_again_when_its_lease_ends(world: World) -> None:
    await world.endpoint("https://slow.example/")
    await world.signal(goal("off_track"))
    world.wire.hanging.add("https://slow.example/")
    dying = asyncio.create_task(world.instance().once())
    while not world.wire.requests:
        await asyncio.sleep(0)
    dying.cancel()
    world.wire.hanging.clear()
    assert await world.deliver() == 0
    world.clock.advance(LIMITS.lease)
    assert await world.deliver() == 1
    assert len(set(world.wire.ids())) == 1
    [delivery] = await world.sent()
    assert delivery["state"] == "delivered"


async def test_an_orderly_stop_gives_back_what_could_not_be_finished(world: World) -> None:
    await world.endpoint("https://slow.example/")
    await world.signal(goal("off_track"))
    world.wire.hanging.add("https://slow.example/")
    stopping = world.instance()
    running = asyncio.create_task(stopping.run())
    while not world.wire.requests:
        await asyncio.sleep(0)
    await stopping.stop(timeout_seconds=0.1)
    running.cancel()
    world.wire.hanging.clear()
    assert await world.deliver() == 1


async def test_several_instances_share_the_work_and_send_nothing_twice(world: World) -> None:
    for number in range(3):
        await world.endpoint(f"https://{number}.example/")
    signals = [Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(40)]
    await world.signal(*signals)
    instances = [world.instance() for _ in range(4)]
    for _ in range(10):
        await asyncio.gather(*(instance.once() for instance in instances))
    assert len(world.wire.ids()) == len(set(world.wire.ids())) == 120


async def test_an_endpoint_that_hangs_holds_only_its_own_share(world: World) -> None:
    await world.endpoint("https://slow.example/")
    await world.endpoint("https://fast.example/")
    world.wire.hanging.add("https://slow.example/")
    await world.signal(*[Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(100)])
    running = asyncio.create_task(world.deliveries.run())
    async with asyncio.timeout(10):
        while len(world.wire.told("https://fast.example/")) < 100:
            await asyncio.sleep(0.01)
    assert len(world.wire.told("https://slow.example/")) == LIMITS.endpoint_concurrency
    await world.deliveries.stop(timeout_seconds=0.1)
    running.cancel()


async def test_410_disables_the_endpoint_and_raises_an_alert_that_others_are_told_of(world: World) -> None:
    gone = await world.endpoint("https://gone.example/")
    await world.endpoint("https://two.example/")
    world.wire.answers["https://gone.example/"] = [410]
    await world.signal(goal("off_track"))
    await world.deliver(rounds=2)
    found = await world.queries.endpoint(gone.id)
    assert found is not None and (found.enabled, found.disabled_reason) == (False, "it answered 410 Gone")
    assert ("endpoint-disabled", "firing") in await world.states()
    assert world.wire.told("https://two.example/") == ["firing", "firing"]
    await world.signal(goal("on_track", 2))
    await world.deliver()
    assert world.wire.told("https://gone.example/") == ["firing"]

    await world.endpoints.change(gone.id, {"enabled": True, "disabled_reason": None, "failing_since": None}, ANN)
    assert ("endpoint-disabled", "resolved") in await world.states()


async def test_five_days_of_nothing_but_failure_disable_an_endpoint(world: World) -> None:
    failing = await world.endpoint()
    world.wire.answers["https://one.example/"] = [500] * 100
    for day in range(6):
        await world.signal(Signal(f"goal/{day}", 1, NOW, goal("off_track").data))
        await world.deliver()
        world.clock.advance(timedelta(days=1))
    found = await world.queries.endpoint(failing.id)
    assert found is not None
    assert found.disabled_reason == "every attempt has failed since 2027-03-01"


async def test_one_success_in_between_keeps_an_endpoint(world: World) -> None:
    failing = await world.endpoint()
    world.wire.answers["https://one.example/"] = [500, 500, 500, 204, 500, 500, 500]
    for day in range(6):
        await world.signal(Signal(f"goal/{day}", 1, NOW, goal("off_track").data))
        await world.deliver()
        world.clock.advance(timedelta(days=1))
    found = await world.queries.endpoint(failing.id)
    assert found is not None and found.enabled


async def test_a_rate_is_kept(world: World) -> None:
    await world.endpoint(rate=2.0)
    await world.signal(*[Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(5)])
    assert [await world.deliver() for _ in range(3)] == [2, 0, 0]
    world.clock.advance(timedelta(seconds=1))
    assert await world.deliver() == 2
    world.clock.advance(timedelta(hours=1))
    assert await world.deliver() == 1


async def test_a_removed_endpoint_gets_nothing_more(world: World) -> None:
    removed = await world.endpoint()
    await world.signal(goal("off_track"))
    await world.endpoints.remove(removed.id, ANN)
    assert await world.deliver() == 0
    [delivery] = await world.sent()
    assert delivery["state"] == "failed"


async def test_an_endpoint_is_removed_while_it_is_noted_that_it_failed(world: World) -> None:
    """Both change the endpoint and its deliveries: neither may hold what the other waits for."""
    removed = await world.endpoint()
    await world.signal(goal("off_track"))
    now, store = world.clock.real_now(), DeliveryStore(world.engine, world.endpoints, timedelta(days=5))
    [claimed] = await store.claim({removed.id: removed}, {removed.id: 1}, 1, now, timedelta(minutes=1))
    failed = Result(claimed, Attempt(now, 0.1, 500), Again(now + timedelta(seconds=5)))
    async with world.engine.begin() as meanwhile:
        await meanwhile.execute(text("SELECT FROM endpoints FOR UPDATE"))
        removing = asyncio.create_task(world.endpoints.remove(removed.id, ANN))
        await eventually(lambda: _waiting(world, 1))
        noting = asyncio.create_task(store.finish([failed], now))
        await eventually(lambda: _waiting(world, 2))
    await asyncio.gather(removing, noting)
    [delivery] = await world.sent()
    assert (delivery["state"], [attempt["status"] for attempt in delivery["attempts"]]) == ("failed", [500])


async def _waiting(world: World, sessions: int) -> bool:
    """Whether so many sessions wait for a lock."""
    found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with world.engine.connect() as connection:
        return int((await connection.execute(text(found))).scalar_one()) == sessions


async def test_an_alert_fires_when_it_has_been_pending_long_enough_also_while_nobody_was_there(world: World) -> None:
    world.rules = rule_set(SLOW_RULE)
    await world.endpoint()
    await world.signal(goal("off_track"))
    assert await world.states() == [("slow", "pending")]
    assert await world.alerts.next_wake() == NOW + timedelta(days=2)
    assert await world.deliver() == 0
    world.clock.advance(timedelta(days=2) - timedelta(seconds=1))
    assert await world.alerts.wake(100) == 0
    world.clock.advance(timedelta(days=30))
    assert await world.alerts.wake(100) == 1
    assert await world.states() == [("slow", "firing")]
    assert await world.alerts.wake(100) == 0
    await world.deliver()
    assert world.wire.told() == ["firing"]


async def test_a_condition_that_ended_in_time_never_fires(world: World) -> None:
    world.rules = rule_set(SLOW_RULE)
    await world.signal(goal("off_track"))
    world.clock.advance(timedelta(days=1))
    await world.signal(goal("on_track", 2))
    world.clock.advance(timedelta(days=9))
    await world.alerts.wake(100)
    assert await world.states() == []


async def test_a_deadline_is_acted_on_once_however_many_look(world: World) -> None:
    world.rules = rule_set(SLOW_RULE)
    await world.endpoint()
    await world.signal(*[Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(30)])
    world.clock.advance(timedelta(days=2))
    stores = [world.alerts for _ in range(4)]
    woken = await asyncio.gather(*(store.wake(10) for store in stores for _ in range(2)))
    assert sum(woken) == 30
    assert len(await world.sent()) == 30


async def test_a_duty_comes_due_by_itself_and_is_overdue_the_day_after(world: World) -> None:
    await world.signal(Signal("obligation/first-product", 1, NOW, {**OBLIGATION, "due_on": "2027-04-15"}))
    assert await world.states() == []
    world.clock.advance(datetime(2027, 3, 15, 17, 0, tzinfo=UTC) - NOW)  # midnight in Viet Nam
    await world.alerts.wake(100)
    assert await world.states() == [("obligation-due-soon", "firing")]
    world.clock.advance(timedelta(days=31))
    await world.alerts.wake(100)
    assert await world.states() == [("obligation-overdue", "firing"), ("obligation-due-soon", "firing")]
    met = {**OBLIGATION, "state": "met", "met_on": "2027-04-20"}
    await world.signal(Signal("obligation/first-product", 2, NOW, met))
    assert {state for _, state in await world.states()} == {"resolved"}


async def test_the_same_signals_again_change_nothing(world: World) -> None:
    await world.endpoint()
    history = [goal("off_track", 1), goal("on_track", 2), goal("at_risk", 3)]
    await world.signal(*history)
    before = await world.sent()
    await world.signal(*history)
    await world.signal(history[1], history[2])
    assert await world.sent() == before
    assert len(before) == 3


async def test_other_rules_are_applied_to_what_is_held(world: World) -> None:
    await world.signal(goal("off_track"))
    world.rules = RuleSet(rule_set(SLOW_RULE.replace("2d", "0d")).rules, "other")
    assert await world.alerts.adopt_rules()
    assert not await world.alerts.adopt_rules()
    await world.alerts.wake(100)
    assert sorted(await world.states()) == [("goal-off-track", "resolved"), ("slow", "firing")]


async def test_an_acknowledgement_and_a_signal_at_once_lose_neither(world: World) -> None:
    await world.signal(*[Signal(f"goal/{n}", 1, NOW, goal("off_track").data) for n in range(20)])
    page = await world.queries.alerts({}, 100, None)
    worse = [Signal(f"goal/{n}", 2, NOW, goal("off_track", value="0.5").data) for n in range(20)]
    acknowledge = (world.alerts.acknowledge(uuid.UUID(item["id"]), ANN) for item in page.items)
    await asyncio.gather(world.signal(*worse), *acknowledge)
    after = (await world.queries.alerts({}, 100, None)).items
    assert {(item["state"], item["value"]) for item in after} == {("acknowledged", "0.5")}


async def test_the_migrations_make_the_tables_that_are_declared(world: World) -> None:
    audited = MetaData()
    AUDIT.to_metadata(audited, schema="alerts")

    def differences(connection: Connection) -> list[Any]:
        options = {"include_schemas": True, "version_table_schema": "alerts", "compare_type": True}
        everything: Any = [metadata, audited]
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), everything))

    # With another search path than the service's, so that every table is compared by its schema.
    connect = partial(asyncpg.connect, dsn(world.settings), server_settings={"search_path": "public"})
    elsewhere = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    async with elsewhere.connect() as connection:
        found = await connection.run_sync(differences)
    await elsewhere.dispose()
    assert found == []
