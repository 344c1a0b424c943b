"""Measures how long an event takes from ingest to a webhook, through all three services, while others keep coming."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import orjson
import uvloop

from bench.ground import Ground
from bench.movements import gtins
from bench.watch import Failed
from deploy.local import http
from deploy.local.progress import Steps

RECEIVER: Final = "receiving"
MARK: Final = "PROBE[0-9]+"
RULE: Final = "anomaly-quarantine-overdrawn"
EVENTS_A_SECOND, EVENTS_A_REQUEST, PRODUCTS = 2_000, 100, 3_000
WARM_UP_SECONDS, SECONDS = 5.0, 40.0
PROBE_EVERY_SECONDS: Final = 0.37  # so that probes fall on every part of the second between two evaluations
WAIT_SECONDS: Final = 30.0
SERVICES: Final = ("supply", "alerts")


def latency(ground: Ground, steps: Steps) -> dict[str, Any]:
    """Raises Failed when a probe never arrives, or an event is refused."""
    with _running(ground, steps), steps.step("an event's way to a webhook") as detail:
        return uvloop.run(_Way(ground).run(detail))


@contextmanager
def _running(ground: Ground, steps: Steps) -> Iterator[None]:
    with steps.step("starting all services and a receiver"):
        ground.fresh()
        ground.stack.start_child("ingest")
        port = ground.stack.ports.of("receiver") + 1
        ground.start_program(RECEIVER, ("PORT", str(port)), ("MARK", MARK))
        for name in SERVICES:
            ground.stack.spawn_service(name, instance=1, wait=True)
        if not http.wait_for_200(f"http://127.0.0.1:{port}/", 30.0, lambda: False):
            raise Failed("the receiver does not answer")
    try:
        yield
    finally:
        ground.end(RECEIVER, *reversed(SERVICES))
        ground.stack.stop_child("ingest")


class _Way:
    def __init__(self, ground: Ground) -> None:
        self._told = ground.stack.credentials
        self._receiver = f"http://127.0.0.1:{ground.stack.ports.of('receiver') + 1}"
        self._products = gtins(PRODUCTS)
        self._sent: dict[str, float] = {}
        self._behind = 0.0
        self._background = 0

    async def run(self, detail: Any) -> dict[str, Any]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as self._http:
            await self._endpoint()
            until = time.monotonic() + WARM_UP_SECONDS + SECONDS
            await asyncio.gather(self._others(until), self._probes(until, detail))
            marks = await self._arrived()
        found = sorted((marks[mark] - at) * 1000 for mark, at in self._sent.items())
        at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
        return {
            "probes": len(found),
            "ms": {name: round(found[min(len(found) - 1, int(len(found) * share))]) for name, share in at.items()},
            "background_a_second": round(self._background / (WARM_UP_SECONDS + SECONDS)),
            "background_behind_seconds": round(self._behind, 2),
        }

    async def _endpoint(self) -> None:
        body = {"url": f"{self._receiver}/hook", "filter": {"rule": [RULE]}}
        headers = {"Authorization": f"Bearer {self._told['keys']['operator']}"}
        async with self._http.post(f"{self._told['alerts']}/endpoints", json=body, headers=headers) as response:
            if response.status != 201:
                raise Failed(f"POST /endpoints: {response.status} {await response.text()}")

    async def _others(self, until: float) -> None:
        """Reports of consumption at a steady rate, whatever the answers take."""
        pause, due, under_way = EVENTS_A_REQUEST / EVENTS_A_SECOND, time.monotonic(), set[asyncio.Task[None]]()
        while due < until:
            task = asyncio.create_task(self._send("distributor-1", [self._report(n) for n in range(EVENTS_A_REQUEST)]))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            self._background += EVENTS_A_REQUEST
            due += pause
            self._behind = max(self._behind, time.monotonic() - due)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*under_way)

    async def _probes(self, until: float, detail: Any) -> None:
        """Each releases more packs than were made: an anomaly, which is told by its rule."""
        await asyncio.sleep(WARM_UP_SECONDS)
        number = 0
        while time.monotonic() < until:
            mark = f"PROBE{number}"
            events = [self._made(mark, number), self._released(mark, number)]
            self._sent[mark] = time.time()
            await self._send("manufacturer-1", events)
            number += 1
            detail(f"{number} probes")
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def _send(self, producer: str, events: list[dict[str, Any]]) -> None:
        told = self._told["producers"][producer]
        for event in events:
            event["source"] = f"urn:gln:{told['gln'][0]}"
        headers = {"Authorization": f"Bearer {told['key']}", "Content-Type": "application/cloudevents-batch+json"}
        async with self._http.post(
            f"{self._told['ingest']}/events", data=orjson.dumps(events), headers=headers
        ) as sent:
            if sent.status != 202:
                raise Failed(f"POST /events: {sent.status} {(await sent.text())[:300]}")

    async def _arrived(self) -> dict[str, float]:
        """When each probe's webhook came, once all have."""
        limit = time.monotonic() + WAIT_SECONDS
        while True:
            async with self._http.get(f"{self._receiver}/marks") as response:
                marks: dict[str, float] = orjson.loads(await response.read())
            missing = self._sent.keys() - marks.keys()
            if not missing:
                return marks
            if time.monotonic() > limit:
                raise Failed(f"{len(missing)} of {len(self._sent)} probes never arrived")
            await asyncio.sleep(0.2)

    def _report(self, number: int) -> dict[str, Any]:
        day = datetime.now(UTC).date() - timedelta(days=1)
        gtin = self._products[uuid.uuid4().int % PRODUCTS]
        data = {"gtin": gtin, "quantity": number, "period_start": str(day), "period_end": str(day)}
        return _event("consumption.reported", data)

    def _made(self, mark: str, number: int) -> dict[str, Any]:
        today = datetime.now(UTC).date()
        gln = self._told["producers"]["manufacturer-1"]["gln"][0]
        lot = {"gtin": self._products[number], "lot": mark, "quantity": 100, "manufacturer": gln}
        return _event("batch.produced", {**lot, "produced_on": str(today), "expires_on": f"{today.year + 2}-01-01"})

    def _released(self, mark: str, number: int) -> dict[str, Any]:
        today = datetime.now(UTC).date()
        lot = {"gtin": self._products[number], "lot": mark, "quantity": 200}
        return _event("batch.released", {**lot, "released_on": str(today)})


def _event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"specversion": "1.0", "id": uuid.uuid4().hex, "type": f"supply.{kind}.v1", "time": now, "data": data}
