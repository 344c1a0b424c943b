"""Measures one alerts process: deliveries a second, also beside an endpoint that hangs, and 100,000 open alerts."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import asyncpg
import uvloop

from bench.ground import Ground
from bench.report import spread
from bench.watch import Failed, peak_memory_mb
from deploy.local import http
from deploy.local.progress import Steps
from services.alerts import payload_schema
from services.alerts.facts import Signal
from services.alerts.rule_files import load_rules
from services.alerts.settings import AlertsSettings
from services.alerts.store.alerts import AlertStore, Batch
from shared.clock import RealClock
from shared.database import engine
from shared.settings import ROOT

ALERTS, RECEIVER = "alerts", "receiving"
DELIVERIES: Final = 20_000
FEW_ENDPOINTS, MANY_ENDPOINTS = 10, 50
OPEN_ALERTS: Final = 100_000
SIGNALS: Final = 300
BATCHES, BATCH = 10, 500  # as many signals as the service takes at once
QUESTIONS: Final = 500
START_TIMEOUT_SECONDS: Final = 60.0
STALL_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02
FILL_BATCH: Final = 2_000

_CHANGES: Final = """
INSERT INTO changes (alert, transition, name, at, recorded_at, by, why, snapshot, public, published_at, told)
SELECT gen_random_uuid(), 'firing', 'firing', now(), now(), 'bench', '', $1::jsonb, false, now(), true
FROM generate_series(1, $2::int)
"""
# Each change to one endpoint, in turn; due in a day, until they are let go all at once.
_DELIVERIES: Final = """
INSERT INTO deliveries (id, endpoint, lane, alert, change, transition, state, tries, next_attempt_at, created_at)
SELECT gen_random_uuid(), ($1::uuid[])[1 + id % cardinality($1::uuid[])], alert, alert, id, 'firing', 'pending', 0,
    now() + interval '1 day', now()
FROM changes
"""
_LET_GO: Final = "UPDATE deliveries SET next_attempt_at = now() WHERE state = 'pending'"
_DONE: Final = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
_CLEAR: Final = "TRUNCATE subjects, alerts, changes, deliveries, attempts, endpoints"


def alerts(ground: Ground, rounds: int, steps: Steps) -> dict[str, Any]:
    """Raises Failed when the service ends, or deliveries stand still."""
    with _running(ground, steps):
        return uvloop.run(_Bench(ground, steps).run(rounds))


@contextmanager
def _running(ground: Ground, steps: Steps) -> Iterator[None]:
    with steps.step("starting alerts and a receiver"):
        port = ground.stack.ports.of("receiver") + 1
        ground.start_program(RECEIVER, ("PORT", str(port)))
        ground.stack.spawn_service(ALERTS, instance=1, wait=True)
        if not http.wait_for_200(f"http://127.0.0.1:{port}/", START_TIMEOUT_SECONDS, lambda: False):
            raise Failed("the receiver does not answer")
    try:
        yield
    finally:
        ground.end(RECEIVER, ALERTS)


class _Bench:
    def __init__(self, ground: Ground, steps: Steps) -> None:
        self._ground = ground
        self._steps = steps
        self._base = ground.url(ALERTS)
        self._receiver = f"http://127.0.0.1:{ground.stack.ports.of('receiver') + 1}"
        self._key = ground.stack.credentials["keys"]["operator"]

    async def run(self, rounds: int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(headers=headers) as session, self._connected() as connection:
            self._http, self._database = session, connection
            fast, calm, hanging = [], [], []
            for number in range(1, rounds + 1):
                fast.append(await self._round(f"deliveries, round {number} of {rounds}", FEW_ENDPOINTS))
                calm.append(await self._round(f"50 endpoints, round {number}", MANY_ENDPOINTS))
                hanging.append(await self._round(f"one of 50 hangs, round {number}", MANY_ENDPOINTS, hangs=True))
            found = {
                "alerts_deliveries": {"rate": spread(fast), "deliveries": DELIVERIES, "endpoints": FEW_ENDPOINTS},
                "alerts_fifty_endpoints": {"rate": spread(calm)},
                "alerts_one_hangs": {"rate": spread(hanging)},
            }
            found["alerts_open"] = await self._open_alerts()
            found["alerts_memory"] = {"peak_mb": peak_memory_mb(self._ground, ALERTS)}
            return found

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        url = self._ground.stack.postgres.url(ALERTS)
        connection = await asyncpg.connect(url, server_settings={"search_path": "alerts"})
        try:
            yield connection
        finally:
            await connection.close()

    async def _round(self, title: str, endpoints: int, *, hangs: bool = False) -> float:
        """Deliveries a second to the endpoints that do not hang."""
        with self._steps.step(title) as detail:
            await self._database.execute(_CLEAR)
            made = [await self._endpoint("/hang" if hangs and n == 0 else f"/hook/{n}") for n in range(endpoints)]
            snapshot = json.dumps(dict(payload_schema.examples())["standard-firing"]["data"])
            await self._database.execute(_CHANGES, snapshot, DELIVERIES)
            await self._database.execute(_DELIVERIES, made)
            await self._database.execute("ANALYZE deliveries, changes")
            expected = DELIVERIES - (DELIVERIES // endpoints if hangs else 0)
            await self._database.execute(_LET_GO)
            started = time.monotonic()
            seconds = await self._delivered(expected, started, detail)
        rate = expected / seconds
        self._steps.say(f"  {rate:,.0f} deliveries a second")
        return rate

    async def _delivered(self, expected: int, started: float, detail: Any) -> float:
        last, moved_at = -1, started
        while True:
            done = await self._database.fetchval(_DONE)
            now = time.monotonic()
            if done >= expected:
                return now - started
            if done != last:
                last, moved_at = done, now
                detail(f"{done:,} of {expected:,}")
            elif now - moved_at > STALL_SECONDS:
                raise Failed(f"deliveries stand at {done} of {expected}")
            await asyncio.sleep(POLL_SECONDS)

    async def _endpoint(self, path: str) -> uuid.UUID:
        body = {"url": self._receiver + path, "filter": {"rule": ["no-rule-of-this-name"]}}
        async with self._http.post(f"{self._base}/endpoints", json=body) as response:
            if response.status != 201:
                raise Failed(f"POST /endpoints: {response.status} {await response.text()}")
            return uuid.UUID((await response.json())["id"])

    # What it costs to have many alerts open.

    async def _open_alerts(self) -> dict[str, Any]:
        await self._database.execute(_CLEAR)
        settings = AlertsSettings.load(
            database_url=self._ground.stack.postgres.url(ALERTS), kafka_password="none", session_secret="none"
        )
        opened = engine(settings)
        store = AlertStore(opened, load_rules(ROOT / "deploy" / "rules"), RealClock(), "http://supply.example")
        try:
            with self._steps.step(f"opening {OPEN_ALERTS:,} alerts") as detail:
                for start in range(0, OPEN_ALERTS, FILL_BATCH):
                    await store.apply(_batch(range(start, start + FILL_BATCH), 1))
                    detail(f"{start:,}")
                await self._database.execute("ANALYZE")
            with self._steps.step("signals, one by one and in batches"):
                signals = await _times(SIGNALS, lambda n: store.apply(_batch([n * 331 % OPEN_ALERTS], 2 + n)))
                batches = await _times(BATCHES, lambda n: store.apply(_batch(_drawn(n), SIGNALS + 2 + n)))
        finally:
            await opened.dispose()
        with self._steps.step("GET /alerts"):
            asked = await _times(QUESTIONS, self._ask)
        return {
            "alerts": OPEN_ALERTS,
            "signal_ms": _percentiles(signals),
            "signal_of_a_batch_ms": _percentiles([took / BATCH for took in batches]),
            "get_alerts_ms": _percentiles(asked),
        }

    async def _ask(self, number: int) -> None:
        query = (
            {},
            {"state": "firing"},
            {"severity": "critical"},
            {"rule": "goal-off-track"},
            {"subject": f"goal/{number * 331 % OPEN_ALERTS}"},
        )[number % 5]
        async with self._http.get(f"{self._base}/alerts", params=query) as response:
            await response.read()
            if response.status != 200:
                raise Failed(f"GET /alerts: {response.status}")


def _drawn(number: int) -> list[int]:
    return [(number * BATCH + n) * 331 % OPEN_ALERTS for n in range(BATCH)]


def _batch(numbers: range | list[int], version: int) -> Batch:
    at = datetime.now(UTC)
    signals = tuple(Signal(f"goal/{number}", version, at, _goal(number, version)) for number in numbers)
    return Batch("bench", signals, {0: version})


def _goal(number: int, version: int) -> dict[str, Any]:
    return {
        "goal": str(number),
        "title": "80 % of demand met by domestic production by 2030",
        "source": "Decision 1165/QD-TTg",
        "indicator": "domestic_share_volume",
        "scope": "all",
        "status": "off_track",
        "value": f"0.{version + 100}",
        "expected": "0.741",
        "target": "0.80",
        "by": "2030-12-31",
        "gap": "-0.029",
        "pace": "0.01",
        "required_pace": "0.02",
        "projected_on": None,
        "on": "2027-03-01",
    }


async def _times(count: int, call: Any) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for number in range(count):
        started = time.perf_counter()
        await call(number)
        found.append((time.perf_counter() - started) * 1000)
    return found


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "most": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) for name, share in at.items()}
