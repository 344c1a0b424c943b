"""The corpus of hostile records against the real ingest, over HTTP: every class has its answer, and no topic grows."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.stack import Stack
from shared.events.cloudevent import BATCH
from tests.corpus import claims
from tests.corpus.every import every, given
from tests.corpus.forgeries import forgeries
from tests.corpus.hostile import ACCEPTED, Answer, Given, Request, text_of
from tests.stack.raw_http import Reply, send
from tests.stack.trusted_log import Log
from tests.stack.waiting import eventually

HOSTILE = "manufacturer-1"
LARGEST_ANSWER_BYTES = 1024 * 1024
MEMORY_GROWTH_MB = 150
FORGED_EACH = 2_000
# So that every event's faults, of which there are up to four, are among the hundred that one answer tells.
FORGED_A_REQUEST = 25
AT_ONCE = 8
ALIVE = Request((), b"", method=b"GET", target=b"/health/live")


def told(credentials: dict[str, Any]) -> Given:
    """The corpus as the first manufacturer sends it, with ids of this run alone."""
    producers = credentials["producers"]
    return given(tuple(producers[HOSTILE]["gln"]), producers["manufacturer-2"]["gln"][0], uuid.uuid4().hex[:8])


def memory_mb(pid: int | None) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@pytest.mark.proof
async def test_every_class_has_its_answer_and_nothing_refused_reaches_a_topic(
    stack: Stack, credentials: dict[str, Any], log: Log
) -> None:
    found = told(credentials)
    url, key, pid = credentials["ingest"], credentials["producers"][HOSTILE]["key"], stack.pid("ingest")
    assert (await send(url, structured(claims.anchor(found)), key)).status == ACCEPTED.status
    memory, size = memory_mb(pid), await log.size()
    differing: dict[str, Any] = {}
    for one in every(found):
        if one.request is None:
            continue
        reply = await send(url, one.request, key)
        before, size = size, await log.size()
        said = Answer(reply.status, reply.codes)
        if (said, size - before) != (one.answer, int(one.answer == ACCEPTED)) or len(reply.body) > LARGEST_ANSWER_BYTES:
            differing[one.name] = (said, one.answer, size - before, len(reply.body))
        assert (await send(url, ALIVE, key)).status == 200, one.name
    assert differing == {}
    assert stack.pid("ingest") == pid
    assert memory_mb(pid) - memory < MEMORY_GROWTH_MB


def structured(event: dict[str, Any]) -> Request:
    return Request(((b"content-type", b"application/cloudevents+json"),), text_of(event))


async def test_of_a_replay_with_other_content_the_first_stands_and_the_ledger_says_so(
    credentials: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    found = told(credentials)
    first = claims.anchor(found)
    changed = {**first, "data": {**first["data"], "quantity": 9_000}}
    for event in (first, changed):
        reply = await send(credentials["ingest"], structured(event), credentials["producers"][HOSTILE]["key"])
        assert reply.status == ACCEPTED.status
    url = f"{credentials['supply']}/events/{quote(first['source'], safe='')}/{first['id']}"
    headers = {"Authorization": f"Bearer {credentials['keys']['viewer']}"}

    async def in_conflict() -> dict[str, Any]:
        async with http.get(url, headers=headers) as answer:
            event: dict[str, Any] = await answer.json()
        assert "id_conflict" in [item["kind"] for item in event.get("anomalies", ())]
        return event

    event = await eventually(in_conflict)
    assert [transfer["quantity"] for transfer in event["transfers"]] == [first["data"]["quantity"]]


@pytest.mark.proof
async def test_ten_thousand_events_forged_across_producers_are_all_refused(
    credentials: dict[str, Any], log: Log
) -> None:
    size = await log.size()
    one_at_a_time = asyncio.Semaphore(AT_ONCE)
    refused = 0

    async def refuse(key: str, forged: list[dict[str, Any]]) -> None:
        nonlocal refused
        async with one_at_a_time:
            reply = await send(credentials["ingest"], batch(forged), key)
        assert reply.status == 403, reply.body
        assert faulty(reply) == set(range(len(forged)))
        refused += len(forged)

    async with asyncio.TaskGroup() as sending:
        for name, producer in credentials["producers"].items():
            others = [gln for other in credentials["producers"].values() for gln in other["gln"]]
            foreign = sorted(set(others) - set(producer["gln"]))
            sender = given(tuple(producer["gln"]), foreign[0], f"{name}-{uuid.uuid4().hex[:8]}")
            forged = forgeries(sender, frozenset(producer["roles"]), foreign, FORGED_EACH)
            while part := list(itertools.islice(forged, FORGED_A_REQUEST)):
                sending.create_task(refuse(producer["key"], part))
    assert refused == FORGED_EACH * len(credentials["producers"]) == 10_000
    assert await log.size() == size


def batch(events: list[dict[str, Any]]) -> Request:
    return Request(((b"content-type", BATCH.encode()),), text_of(events))


def faulty(reply: Reply) -> set[int]:
    """The events of a batch that were found at fault."""
    return {fault["index"] for fault in reply.problem["errors"] if fault["index"] is not None}
