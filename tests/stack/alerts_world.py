"""The parts of alerts on a database of their own, with a wire that answers as told and a clock that tests move."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.alerts.delivery import Deliveries, Limits, Sends
from services.alerts.endpoint import Endpoint
from services.alerts.facts import Signal
from services.alerts.muting import Matcher, Op, Silence
from services.alerts.queries import Queries
from services.alerts.retry import Attempt
from services.alerts.rules import RuleSet
from services.alerts.sender import Request
from services.alerts.settings import AlertsSettings
from services.alerts.store.alerts import AlertStore, Batch, Grouping
from services.alerts.store.deliveries import DeliveryStore
from services.alerts.store.endpoints import EndpointStore
from services.alerts.store.recovery import Recovery
from services.alerts.store.silences import SilenceStore
from services.alerts.wakeups import Wakeups
from shared.clock import FixedClock
from shared.database import engine, migrate
from tests.authors import ANN
from tests.unit.alerts_given import SUPPLY_URL, built_in, endpoint

NOW = datetime(2027, 3, 1, 2, 0, tzinfo=UTC)
LIMITS = Limits(concurrency=64, endpoint_concurrency=16, poll_seconds=0.05, lease=timedelta(seconds=60))
GROUPING = Grouping(timedelta(seconds=30), timedelta(minutes=5))


@dataclass
class Wire:
    """Stands in for the network: remembers requests and answers by URL."""

    clock: FixedClock
    answers: dict[str, list[int]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    hanging: set[str] = field(default_factory=set)

    async def post(self, request: Request) -> Attempt:
        self.requests.append(request)
        if request.url in self.hanging:
            await asyncio.Event().wait()
        planned = self.answers.get(request.url, [])
        return Attempt(self.clock.real_now(), 0.01, planned.pop(0) if planned else 204, "")

    def told(self, url: str | None = None) -> list[str]:
        """The transitions that arrived, in their order."""
        chosen = [request for request in self.requests if url in (None, request.url)]
        return [json.loads(request.body)["type"].split(".")[2] for request in chosen]

    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


@dataclass
class World:
    """The parts of alerts on a database of their own."""

    settings: AlertsSettings
    engine: AsyncEngine
    clock: FixedClock
    wire: Wire
    rules: RuleSet

    def __post_init__(self) -> None:
        self.queries = Queries(self.engine)
        self.deliveries = self.instance()

    @property
    def alerts(self) -> AlertStore:
        return AlertStore(self.engine, self.rules, self.clock, SUPPLY_URL, grouping=GROUPING)

    @property
    def endpoints(self) -> EndpointStore:
        return EndpointStore(self.engine, self.alerts, self.clock)

    @property
    def silences(self) -> SilenceStore:
        return SilenceStore(self.engine, self.clock, Wakeups())

    @property
    def recovery(self) -> Recovery:
        return Recovery(self.engine, self.clock, Wakeups())

    async def silence(self, name: str, value: str, ends_in: timedelta) -> Silence:
        now = self.clock.now()
        matcher = Matcher(name, Op.EQUAL, value)
        made = Silence(uuid.uuid4(), (matcher,), now, now + ends_in, "maintenance", "ann", self.clock.real_now())
        await self.silences.add(made, ANN)
        return made

    async def look(self, later: timedelta = timedelta()) -> int:
        """Moves time and has everything that is due done, as the timers would; how much that was."""
        self.clock.advance(later)
        done = 0
        while found := await self.alerts.unmute() + await self.alerts.wake(100) + await self.alerts.flush():
            done += found
        return done

    async def history(self, alert: str) -> list[str]:
        found = await self.queries.alert(uuid.UUID(alert))
        assert found is not None
        return [entry["transition"] for entry in found["history"]]

    def instance(self, limits: Limits = LIMITS, sender: Sends | None = None) -> Deliveries:
        store = DeliveryStore(self.engine, self.endpoints, timedelta(days=5))
        return Deliveries(store, sender or self.wire, self.clock, limits, Wakeups(), chance=lambda: 0.0)

    async def endpoint(self, url: str = "https://one.example/", **more: Any) -> Endpoint:
        made = endpoint(**{"id": uuid.uuid4(), "url": url, "created_at": self.clock.real_now(), **more})
        await self.endpoints.add(made, ANN)
        return made

    async def signal(self, *signals: Signal) -> None:
        await self.alerts.apply(Batch("signals", signals, {0: signals[-1].version}))

    async def deliver(self, rounds: int = 1) -> int:
        return sum([await self.deliveries.once() for _ in range(rounds)])

    async def states(self) -> list[tuple[str, str]]:
        page = await self.queries.alerts({}, 100, None)
        return [(item["rule"], item["state"]) for item in page.items]

    async def sent(self, **filters: Any) -> list[dict[str, Any]]:
        """Deliveries, the oldest first."""
        return (await self.queries.deliveries(filters, 1000, None)).items[::-1]


@pytest.fixture
async def alerts_world(stack: Stack) -> AsyncIterator[World]:
    name = f"alerts_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER, "postgres"))
    await server.execute(f'CREATE DATABASE "{name}" OWNER alerts')
    settings = AlertsSettings.load(
        database_url=stack.postgres.url("alerts", name), kafka_password="unused", session_secret="unused"
    )
    owner = await asyncpg.connect(stack.postgres.url("alerts", name))
    await owner.execute("CREATE SCHEMA alerts")
    await owner.close()
    await migrate(settings)
    opened = engine(settings)
    clock = FixedClock(NOW)
    try:
        yield World(settings, opened, clock, Wire(clock), built_in())
    finally:
        await opened.dispose()
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()
