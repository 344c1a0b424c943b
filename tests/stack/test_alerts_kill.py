"""Instances of alerts that share the work are killed again and again: no message is lost, moved or made up.

ALERTS_KILL_CHANGES, ALERTS_KILL_SECONDS and ALERTS_KILL_INSTANCES say how many changes of state there are, how long one
of the instances is killed every two seconds, and how many there are (`make test-long`: 5,000, 120 and 3).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from deploy.local.stack import Stack
from services.alerts.alert import alert_id
from shared.signals import Signal
from tests.stack.alerts_given import Alerts, goal, publish, unique, version
from tests.stack.waiting import eventually

pytestmark = pytest.mark.proof

CHANGES: Final = int(os.environ.get("ALERTS_KILL_CHANGES", "120"))
SECONDS: Final = float(os.environ.get("ALERTS_KILL_SECONDS", "4"))
KILL_EVERY_SECONDS: Final = 2.0
INSTANCES: Final = int(os.environ.get("ALERTS_KILL_INSTANCES", "2"))
CHANGES_A_SUBJECT: Final = 4
RULE: Final = "goal-off-track"
# An attempt whose process died is made again when its lease ends.
FASTER: Final = {
    "DELIVERY_LEASE_SECONDS": "4",
    "DELIVERY_TIMEOUT_SECONDS": "2",
    "DELIVERY_CONNECT_TIMEOUT_SECONDS": "2",
}


@dataclass
class Receiver:
    """Verifies each message and remembers what it tells, in the order in which it came."""

    url: str = ""
    secret: str = ""
    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by alert
    ids: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))  # by webhook-id

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        event: dict[str, Any] = Webhook(self.secret).verify(body, headers)
        assert event["id"] == headers["webhook-id"]
        change = (event["data"]["id"], event["type"].split(".")[2])
        self.told[change[0]].append(change[1])
        self.ids[headers["webhook-id"]].add(change)
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiving = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiving.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiving.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiving
    await runner.cleanup()


@pytest.fixture
async def instances(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Several instances of alerts with short leases."""
    for name, value in FASTER.items():
        monkeypatch.setenv(f"SUPPLY_WATCH_ALERTS_{name}", value)
    await asyncio.to_thread(stack.restart_child, "alerts")
    extra = [await asyncio.to_thread(_spawn, stack, number) for number in range(2, INSTANCES + 1)]
    yield ["alerts", *extra]
    for name in extra:
        await asyncio.to_thread(stack.end_service, name)
    monkeypatch.undo()
    await asyncio.to_thread(stack.restart_child, "alerts")


def _spawn(stack: Stack, number: int) -> str:
    return stack.spawn_service("alerts", instance=number)


def signals() -> list[list[Signal]]:
    """By turn, the signals of all subjects: off track and back, again and again."""
    names, first = [unique("killed") for _ in range(CHANGES // CHANGES_A_SUBJECT)], version()
    return [
        [goal(name, "off_track" if turn % 2 == 0 else "on_track", at_version=first + turn) for name in names]
        for turn in range(CHANGES_A_SUBJECT)
    ]


async def kill(stack: Stack, instances: list[str], chance: random.Random) -> int:
    kills = 0
    for _ in range(int(SECONDS / KILL_EVERY_SECONDS)):
        await asyncio.sleep(KILL_EVERY_SECONDS)
        chosen = chance.choice(instances)
        if stack.pid(chosen) is not None:
            stack.kill_child(chosen)
            kills += 1
    return kills


async def test_whatever_is_killed_each_change_is_delivered_in_order_and_none_is_invented(
    stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any], instances: list[str], receiver: Receiver
) -> None:
    operator = Alerts(http, credentials)
    status, made = await operator.call("POST", "/endpoints", {"url": receiver.url, "filter": {"rule": [RULE]}})
    assert status == 201
    receiver.secret = made["secret"]
    turns = signals()
    chance = random.Random(7)
    killing = asyncio.create_task(kill(stack, instances, chance))
    for turn in turns:
        for start in range(0, len(turn), 20):
            await publish(stack, *turn[start : start + 20])
            await asyncio.sleep(SECONDS / (CHANGES / 20) / 2)
    kills = await killing
    assert kills >= SECONDS / KILL_EVERY_SECONDS / 2
    opened = [signal for turn in turns[::2] for signal in turn]
    expected = {str(alert_id(RULE, signal.subject, signal.version)) for signal in opened}
    assert len(expected) == CHANGES / 2

    def all_told() -> bool:
        return sum(len(set(told)) for told in receiver.told.values()) >= CHANGES

    await eventually(all_told, timeout_seconds=60 + SECONDS)
    assert set(receiver.told) == expected
    for told in receiver.told.values():
        assert list(dict.fromkeys(told)) == ["firing", "resolved"]
    assert all(len(changes) == 1 for changes in receiver.ids.values())
    assert len(receiver.ids) == CHANGES
    doubles = sum(map(len, receiver.told.values())) - CHANGES
    print(json.dumps({"changes": CHANGES, "kills": kills, "seconds": SECONDS, "doubles": doubles}))
    await asyncio.to_thread(stack.wait_ready, "alerts")
    await operator.call("DELETE", f"/endpoints/{made['id']}")
