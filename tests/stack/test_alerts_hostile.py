"""Deliveries to a real receiver that misbehaves, while the tests move time: what is tried again, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import Any

import pytest

from services.alerts.delivery import Deliveries
from services.alerts.destination import Policy
from services.alerts.names import Names
from services.alerts.retry import SCHEDULE
from services.alerts.sender import Sender
from shared.clock import rfc3339
from tests.stack.alerts_world import NOW, World
from tests.stack.hostile import OK, Behaviour, answering, drip, hang, pour, request_of, reset, serving
from tests.unit.alerts_given import goal

TIMEOUT_SECONDS = 0.5


@pytest.fixture
def world(alerts_world: World) -> World:
    return alerts_world


@pytest.fixture
async def deliveries(world: World) -> AsyncIterator[Deliveries]:
    """An instance that sends for real."""
    local = Policy(allowed=(ip_network("127.0.0.1/32"),))
    sender = Sender(
        Names(),
        local,
        world.clock,
        timeout_seconds=TIMEOUT_SECONDS,
        connect_timeout_seconds=TIMEOUT_SECONDS,
    )
    yield world.instance(sender=sender)
    await sender.close()


def in_turn(answers: Sequence[bytes]) -> Behaviour:
    """A receiver that gives one answer after the other, the last for ever, on kept-alive connections."""
    left = list(answers)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_of(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

    return behave


def answer(status: int, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *headers, f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines).encode()


async def only(world: World) -> dict[str, Any]:
    [delivery] = await world.sent()
    return delivery


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (answering(OK, then=hang), "TimeoutError"),
        (answering(OK + b"Content-Length: 10\r\n\r\n12", then=hang), "TimeoutError"),
        (answering(OK + b"Content-Length: 100\r\n\r\n", then=drip), "TimeoutError"),
        (answering(OK + b"X: ", then=pour), "16384"),
        (answering(then=reset), "Server"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "400"),
    ],
)
async def test_what_is_no_answer_is_an_error_that_is_kept_and_tried_again(
    world: World, deliveries: Deliveries, behaviour: Behaviour, said: str
) -> None:
    async with serving(behaviour) as url:
        await world.endpoint(url)
        await world.signal(goal("off_track"))
        assert await deliveries.once() == 1
    delivery = await only(world)
    [attempt] = delivery["attempts"]
    assert attempt["status"] is None and said in attempt["error"]
    assert (delivery["state"], delivery["next_attempt_at"]) == ("pending", rfc3339(NOW + SCHEDULE[0]))


async def test_hours_of_500_then_it_works_on_the_same_connection(world: World, deliveries: Deliveries) -> None:
    async with serving(in_turn([answer(500, body="down")] * 5 + [answer(204)])) as url:
        await world.endpoint(url)
        await world.signal(goal("off_track"))
        assert await deliveries.once() == 1
        for wait in SCHEDULE[:5]:
            world.clock.advance(wait)
            assert await deliveries.once() == 1
    delivery = await only(world)
    assert delivery["state"] == "delivered"
    assert [(one["status"], one["response_head"]) for one in delivery["attempts"]] == [(500, "down")] * 5 + [(204, "")]


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured_in_both_forms(world: World, deliveries: Deliveries, form: str) -> None:
    wait = timedelta(minutes=17)
    told = str(int(wait.total_seconds())) if form == "seconds" else format_datetime(NOW + wait, usegmt=True)
    async with serving(in_turn([answer(429, f"Retry-After: {told}"), answer(200)])) as url:
        await world.endpoint(url)
        await world.signal(goal("off_track"))
        assert await deliveries.once() == 1
        assert (await only(world))["next_attempt_at"] == rfc3339(NOW + wait)
        world.clock.advance(wait - timedelta(seconds=1))
        assert await deliveries.once() == 0
        world.clock.advance(timedelta(seconds=1))
        assert await deliveries.once() == 1
    assert (await only(world))["state"] == "delivered"


async def test_410_ends_it_and_a_redirect_is_no_success(world: World, deliveries: Deliveries) -> None:
    answers = [answer(307, "Location: http://127.0.0.1:1/"), answer(410)]
    async with serving(in_turn(answers)) as url:
        made = await world.endpoint(url)
        await world.signal(goal("off_track"))
        assert await deliveries.once() == 1
        world.clock.advance(SCHEDULE[0])
        assert await deliveries.once() == 1
    found = await world.queries.endpoint(made.id)
    assert found is not None and found.disabled_reason == "it answered 410 Gone"
    [delivery] = await world.sent(endpoint=made.id)
    assert [one["status"] for one in delivery["attempts"]] == [307, 410]
    assert [alert["rule"] for alert in (await world.queries.alerts({"rule": "endpoint-disabled"}, 9, None)).items]


async def test_an_endless_answer_counts_by_its_status_and_its_head_is_kept(
    world: World, deliveries: Deliveries
) -> None:
    async with serving(answering(OK + b"\r\n", then=pour)) as url:
        await world.endpoint(url)
        await world.signal(goal("off_track"))
        await deliveries.once()
    delivery = await only(world)
    assert delivery["state"] == "delivered" and delivery["attempts"][0]["response_head"] == "x" * 4096
