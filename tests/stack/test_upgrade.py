"""Migrations go forward while the version before runs, and both versions beside each other lose nothing.

What runs here is the code of each service from before its newest migration, taken from the history. That proves this
step, and no leap over several.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr
from pytest_socket import enable_socket
from sqlalchemy import text

from deploy.local import specs
from deploy.local.access import credentials, set_up_access
from deploy.local.firms import firms_of
from deploy.local.ports import HOST
from deploy.local.stack import SERVICES, Stack, StackOptions
from services.alerts.settings import AlertsSettings
from shared.database import engine
from shared.events.fields import check_digit
from shared.json_http import Refused, call
from tests.stack.former import newest_migration, spec_of
from tests.stack.places import free_port_base
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import event

EVENTS: Final = 40
# What an operator runs before the new version: the new code's migrations, and nothing else of it.
MIGRATE: Final = """\
import asyncio
from {module} import {name} as Settings
from shared.database import migrate
asyncio.run(migrate(Settings.load()))
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose three services are run from the former code."""
    enable_socket()
    place = tmp_path_factory.mktemp("upgrade")
    former = StackOptions(place / "run", free_port_base(), "none", services=())
    with Stack(former) as running:
        for name in SERVICES:
            running.children.start_child(spec_of(running, name, place / name))
        for name in SERVICES:
            running.wait_ready(name)
        key = specs.bootstrap_key(running.run_dir)
        access = set_up_access(
            running.run_dir, running.ports, key, firms_of("none"), True, lambda step: None, lambda: None
        )
        running.credentials |= credentials(running.run_dir, running.ports, running.kafka.coordinates, access)
        yield running


async def _version(own: Stack, service: str) -> str:
    connection = await asyncpg.connect(own.postgres.url(service))
    try:
        return str(await connection.fetchval(f"SELECT version_num FROM {service}.alembic_version"))
    finally:
        await connection.close()


def _newest(service: str) -> str:
    return newest_migration(service).name.partition("_")[0]


def _migrate(own: Stack, service: str) -> None:
    spec = own.service_spec(service)
    program = MIGRATE.format(module=f"services.{service}.settings", name=f"{service.title()}Settings")
    command = [sys.executable, "-c", program]
    subprocess.run(command, check=True, cwd=spec.directory, env=os.environ | spec.environment, timeout=60)


def _releases(maker: Sender, product: str, first: int) -> list[dict[str, Any]]:
    numbers = range(first, first + EVENTS)
    return [
        event("batch.released", f"{product}/{number}", source=maker.source, gtin=product, lot=f"L{number % 5}")
        for number in numbers
    ]


def _gln(name: str) -> str:
    digits = f"952{int(name.rpartition('-')[2]):09d}"
    return digits + check_digit(digits)


def _deleted(url: str, key: str) -> bool:
    """Come again when told to: the version before may meet a deadlock with its own deliveries, and then says 503."""
    try:
        call("DELETE", url, key)
    except Refused as refused:
        if refused.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return False
    return True


async def _writes_of_all_three(own: Stack, ledger: Ledger, maker: Sender, releases: list[dict[str, Any]]) -> None:
    """Something is written into every schema, and read from it again."""
    admin, name = own.credentials["keys"]["admin"], releases[0]["id"].replace("/", "-")
    await maker.send(*releases)
    await ledger.holds(maker)
    call(
        "POST",
        f"{own.credentials['ingest']}/producers",
        admin,
        {"name": name, "glns": [_gln(name)], "roles": ["regulator"]},
    )
    assert call("POST", f"{own.credentials['ingest']}/producers/{name}/keys", admin, {})["key"]
    endpoint = {"url": own.credentials["receiver"]["url"], "format": "standard", "description": name}
    made = call("POST", f"{own.credentials['alerts']}/endpoints", admin, endpoint)
    assert call("POST", f"{own.credentials['alerts']}/endpoints/{made['id']}/test", admin, {}) is not None
    known = {item["name"] for item in call("GET", f"{own.credentials['ingest']}/producers", admin)["items"]}
    assert name in known
    await eventually(lambda: _deleted(f"{own.credentials['alerts']}/endpoints/{made['id']}", admin))


@pytest.mark.proof
async def test_the_version_before_goes_on_under_the_newest_schema_and_hands_over_without_loss(
    own: Stack, http: aiohttp.ClientSession
) -> None:
    maker, ledger = Sender(http, own.credentials, "manufacturer-1"), Ledger(http, own.credentials)
    (product,) = fresh_gtins(1)
    before = {name: await _version(own, name) for name in SERVICES}
    assert all(before[name] < _newest(name) for name in SERVICES), before
    pids = {name: own.pid(name) for name in SERVICES}
    await _writes_of_all_three(own, ledger, maker, _releases(maker, product, 0))

    for name in SERVICES:
        _migrate(own, name)
        assert await _version(own, name) == _newest(name)
    await _writes_of_all_three(own, ledger, maker, _releases(maker, product, EVENTS))

    second = {name: own.spawn_service(name) for name in SERVICES}
    await _writes_of_all_three(own, ledger, maker, _releases(maker, product, 2 * EVENTS))
    assert {name: own.pid(name) for name in SERVICES} == pids, "the former code did not end meanwhile"
    for name in SERVICES:
        own.stop_child(name)
        own.credentials[name] = f"http://{HOST}:{own.ports.of(name) + 1}"
    ledger = Ledger(http, own.credentials)
    await _writes_of_all_three(own, ledger, maker, _releases(maker, product, 3 * EVENTS))

    lots = await ledger.items("/balances", gtin=product, known=await ledger.holds(maker))
    assert sum(item["places"]["available"] for item in lots) == 4 * EVENTS * 10
    verified = await ledger.get("/ledger/verify")
    assert (verified["ok"], verified["findings"]) == (True, [])
    for name in second.values():
        own.end_service(name)


_WAITING: Final = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'alerts.alembic_version'::regclass"


async def test_a_migration_that_waits_for_a_table_lets_go_and_tries_again(stack: Stack) -> None:
    """Else everyone who comes after it would wait for it, and it for whoever holds the table."""
    holder = await asyncpg.connect(stack.postgres.url("alerts"))
    watcher = await asyncpg.connect(stack.postgres.url("alerts"))
    waited: set[int] = set()

    async def tried_twice() -> bool:
        waited.update(row["pid"] for row in await watcher.fetch(_WAITING))
        return len(waited) > 1

    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE alerts.alembic_version IN ACCESS EXCLUSIVE MODE")
            migrating = asyncio.create_task(asyncio.to_thread(_migrate, stack, "alerts"))
            await eventually(tried_twice, timeout_seconds=30)
            assert not migrating.done()
        await asyncio.wait_for(migrating, 30)
    finally:
        await asyncio.gather(holder.close(), watcher.close())


async def test_the_address_of_the_database_says_whether_tls_is_wanted(stack: Stack) -> None:
    """The embedded server has no TLS: who asks for it is refused, by both ways in which a service connects."""
    for mode, welcome in (("disable", True), ("require", False)):
        settings = AlertsSettings(
            database_url=SecretStr(f"{stack.postgres.url('alerts')}?sslmode={mode}"),
            kafka_password=SecretStr("none"),
            session_secret=SecretStr("none"),
        )
        bare = engine(settings)
        try:
            async with bare.connect() as connection:
                assert welcome and await connection.scalar(text("SELECT 1")) == 1
        except ConnectionError:
            assert not welcome
        finally:
            await bare.dispose()


async def test_a_service_starts_on_a_schema_that_a_later_version_has_brought_further(stack: Stack) -> None:
    """So the version before can be restarted while the new one rolls out, and a rollback needs no downgrade."""
    connection = await asyncpg.connect(stack.postgres.url("alerts"))
    try:
        await connection.execute("UPDATE alerts.alembic_version SET version_num = '9999'")
        await asyncio.to_thread(stack.restart_child, "alerts")
        assert await _version(stack, "alerts") == "9999"
    finally:
        await connection.execute("UPDATE alerts.alembic_version SET version_num = $1", _newest("alerts"))
        await connection.close()
