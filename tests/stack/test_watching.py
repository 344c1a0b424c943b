"""Every panel of every dashboard, asked of a real Prometheus that scrapes the running stack, or as Grafana's role."""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any, Final

import aiohttp
import asyncpg
import pytest

from deploy.grafana.dashboards import Asked, asked
from deploy.local.ports import HOST
from deploy.local.stack import SERVICES, Stack
from deploy.local.watching import ABSENT, PROMETHEUS
from shared.database import READ_ONLY_ROLE
from tests.stack.alerts_given import Alerts, unique
from tests.stack.capture_given import JSON, Captor, fresh_item
from tests.stack.kafka_way import Way, record
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.test_capture_forms import MAKER, making
from tests.stack.waiting import eventually
from tests.supply_given import event
from tests.unit.epcis_given import document

TURN_SECONDS: Final = 0.4
ANSWERED_WITHIN_SECONDS: Final = 60.0
GOAL: Final = "vn-2030-domestic-volume"
# Long enough for what happens once a second, short enough that the test need not wait for it.
WINDOWS: Final = {"$__rate_interval": "8s", "$__range": "30s"}


@pytest.fixture(scope="module")
def prometheus(stack: Stack) -> Iterator[str]:
    """Its address; it scrapes every second."""
    if PROMETHEUS not in stack.watchers.installed():
        why = f"Prometheus is {ABSENT[PROMETHEUS]}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    stack.start_prometheus(scrape_seconds=1)
    yield stack.ports.url(PROMETHEUS)
    stack.children.forget(PROMETHEUS)


@dataclass
class Market:
    """Somebody who makes one product and sends on and on; what is wrong with what is sent is there too."""

    way: Way
    maker: Sender
    regulator: Sender
    distributor: Sender
    alerts: Alerts
    ledger: Ledger
    gtin: str = field(default_factory=lambda: fresh_gtins(1)[0])
    mark: str = field(default_factory=lambda: unique("watching"))
    endpoints: list[str] = field(default_factory=list)

    def _made(self, lot: str, packs: int, on: date) -> list[JSON]:
        about: dict[str, Any] = {"gtin": self.gtin, "lot": lot, "quantity": packs, "source": self.maker.source}
        made = {"produced_on": on.isoformat(), "expires_on": (on + timedelta(900)).isoformat()}
        return [
            event("batch.produced", f"{self.mark}-{lot}-p", manufacturer=self.maker.gln, **made, **about),
            event("batch.released", f"{self.mark}-{lot}-r", released_on=on.isoformat(), **about),
        ]

    async def open(self, receiver: str) -> None:
        """A registered product with stock, use and a contradiction, and two endpoints, of which one takes nothing."""
        today = date.today()
        head = {"specversion": "1.0", "source": self.regulator.source, "time": "2026-01-02T03:00:00Z"}
        granted = {
            "authorisation": self.mark,
            "product": {"name": "W", "substance": "watchin", "atc": "A10BA02", "form": "tablet", "class": "generic"},
            "packs": [{"gtin": self.gtin, "pack_size": 30, "ddd_per_pack": "15"}],
            "origin": "domestic",
            "local_step": "full",
            "holder": self.maker.gln,
            "manufacturer": self.maker.gln,
            "granted_on": (today - timedelta(700)).isoformat(),
            "expires_on": (today + timedelta(60)).isoformat(),
        }
        price = {"gtin": self.gtin, "price": 100_000, "currency": "VND", "effective_on": "2024-01-01"}
        await self.regulator.send(
            {**head, "id": f"{self.mark}-g", "type": "supply.registration.granted.v1", "data": granted},
            {**head, "id": f"{self.mark}-c", "type": "supply.price.declared.v1", "data": price},
        )
        unmade: dict[str, Any] = {"gtin": self.gtin, "lot": "NEVER", "quantity": 5, "exporter": self.maker.gln}
        shipped = event("export.shipped", f"{self.mark}-s", source=self.maker.source, **unmade)
        await self.maker.send(*self._made("FIRST", 90_000, today - timedelta(300)), shipped)
        await self.distributor.send(*(self._use(today, months) for months in (2, 3, 4)))
        for url in (receiver, receiver.replace("/webhooks", "/nowhere")):
            status, made = await self.alerts.call("POST", "/endpoints", {"url": url, "description": self.mark})
            assert status == 201, made
            self.endpoints.append(made["id"])

    def _use(self, today: date, months_ago: int) -> JSON:
        end = today
        for _ in range(months_ago):
            end = end.replace(day=1) - timedelta(1)
        period = {"period_start": end.replace(day=1).isoformat(), "period_end": end.isoformat()}
        about: dict[str, Any] = {
            "gtin": self.gtin,
            "lot": "FIRST",
            "quantity": 1_000,
            "source": self.distributor.source,
        }
        return event("consumption.reported", f"{self.mark}-u{months_ago}", **period, **about)

    async def turn(self, number: int) -> None:
        """Everything once that panels show as a rate."""
        await self.maker.send(*self._made(f"L{number}", 10, date.today()))
        key = self.way.credentials["producers"][self.way.name]["key"]
        wrong = {**self.way.event("wrong"), "data": {}}
        told = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
        async with self.way.http.post(f"{self.way.credentials['ingest']}/events", json=wrong, headers=told) as answer:
            assert answer.status == 422
        await self.way.send(0, [self.way.good(f"{self.mark}-{number}"), record(b"not JSON")])
        await self.ledger.get("/goals")
        for endpoint in self.endpoints:
            status, _ = await self.alerts.call("POST", f"/endpoints/{endpoint}/test")
            assert status == 202

    async def close(self) -> None:
        for endpoint in self.endpoints:
            await self.alerts.call("DELETE", f"/endpoints/{endpoint}")


@pytest.fixture
async def market(http: aiohttp.ClientSession, credentials: JSON, way: Way) -> AsyncIterator[Market]:
    captor = Captor(http, credentials, MAKER)
    await captor.capture(document(making(fresh_item())))
    names = ("manufacturer-1", "regulator-1", "distributor-1")
    maker, regulator, distributor = (Sender(http, credentials, name) for name in names)
    found = Market(way, maker, regulator, distributor, Alerts(http, credentials), Ledger(http, credentials))
    await found.open(credentials["receiver"]["url"])
    yield found
    await found.close()


@asynccontextmanager
async def going_on(market: Market) -> AsyncIterator[None]:
    """The market goes on meanwhile; what goes wrong with it ends the test."""

    async def forever() -> None:
        for number in count():
            await market.turn(number)
            await asyncio.sleep(TURN_SECONDS)

    turning = asyncio.create_task(forever())
    try:
        yield
        assert not turning.done(), turning.exception()
    finally:
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)


def filled(one: Asked) -> list[str]:
    """The expression of a panel for every value that its variables may have."""
    assert one.expression is not None
    expression = one.expression.replace("$goal", GOAL)
    for name, window in WINDOWS.items():
        expression = expression.replace(name, window)
    services = SERVICES if "$service" in expression else ("",)
    return [expression.replace("$service", service) for service in services]


async def test_every_expression_of_every_panel_is_answered(
    prometheus: str, market: Market, http: aiohttp.ClientSession
) -> None:
    open_ones = {(one.dashboard, one.panel, text) for one in asked() if one.expression for text in filled(one)}
    assert len(open_ones) > 80

    async def answered(expression: str) -> bool:
        async with http.post(f"{prometheus}/api/v1/query", data={"query": expression}) as answer:
            told: JSON = await answer.json()
        assert told["status"] == "success", (expression, told)
        return any(not math.isnan(float(series["value"][1])) for series in told["data"]["result"])

    async def all_are() -> bool:
        for one in sorted(open_ones):
            if await answered(one[2]):
                open_ones.discard(one)
        assert not open_ones
        return True

    async with going_on(market):
        await eventually(all_are, timeout_seconds=ANSWERED_WITHIN_SECONDS)


async def test_every_service_is_scraped_and_every_rule_is_evaluated(
    prometheus: str, http: aiohttp.ClientSession
) -> None:
    async def healthy() -> bool:
        async with http.get(f"{prometheus}/api/v1/targets") as answer:
            targets = (await answer.json())["data"]["activeTargets"]
        async with http.get(f"{prometheus}/api/v1/rules") as answer:
            groups = (await answer.json())["data"]["groups"]
        assert {(one["labels"]["job"], one["health"]) for one in targets} == {(name, "up") for name in SERVICES}
        assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
        return True

    await eventually(healthy)


async def test_every_replica_says_the_same_of_supply(stack: Stack, market: Market, http: aiohttp.ClientSession) -> None:
    """Also one that has never evaluated anything."""
    await market.ledger.holds(market.maker, market.regulator, market.distributor)
    second = stack.spawn_service("supply")
    of_business = re.compile(r"supply_watch_(domestic|goal|obligations|anomalies|products)")

    async def said(port: int) -> set[str]:
        async with http.get(f"http://{HOST}:{port}/metrics") as answer:
            return {line for line in (await answer.text()).splitlines() if of_business.match(line)}

    async def alike() -> bool:
        first, other = [await said(stack.ports.of("supply") + number) for number in (0, 1)]
        assert first == other
        return any(line.startswith("supply_watch_domestic_share_ratio") for line in first)

    try:
        await eventually(alike, timeout_seconds=ANSWERED_WITHIN_SECONDS)
    finally:
        stack.end_service(second)


def with_times(sql: str) -> str:
    """With what Grafana puts in the place of its macro."""
    shown = r"\1 BETWEEN now() - interval '1 day' AND now() + interval '1 day'"
    return re.sub(r"\$__timeFilter\(([^)]+)\)", shown, sql)


async def test_every_table_is_read_by_a_role_that_may_read_and_nothing_else(market: Market, stack: Stack) -> None:
    tables = [one for one in asked() if one.sql]
    assert len(tables) == 10
    connection = await asyncpg.connect(stack.postgres.url(READ_ONLY_ROLE))
    try:

        async def all_have_rows() -> bool:
            for one in tables:
                assert one.sql is not None
                assert await connection.fetch(with_times(one.sql)), f"{one.dashboard}: {one.panel}"
            return True

        async with going_on(market):
            await eventually(all_have_rows, timeout_seconds=ANSWERED_WITHIN_SECONDS)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "forbidden",
    [
        "SELECT secret FROM alerts.endpoints",
        "SELECT url FROM alerts.endpoints",
        "SELECT * FROM ingest.keys",
        "SELECT raw_value FROM ingest.rejections",
        "SELECT value FROM supply.journal",
        "SELECT * FROM alerts.audit",
        "DELETE FROM supply.signals",
        "UPDATE alerts.alerts SET state = 'resolved'",
        "CREATE TABLE supply.intruder (one int)",
        "CREATE TEMPORARY TABLE intruder (one int)",
    ],
)
async def test_grafana_reads_no_secret_and_writes_nothing(stack: Stack, forbidden: str) -> None:
    connection: Any = await asyncpg.connect(stack.postgres.url(READ_ONLY_ROLE))
    try:
        await connection.execute("SET default_transaction_read_only = off")  # which it may, and gains nothing by
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    finally:
        await connection.close()
