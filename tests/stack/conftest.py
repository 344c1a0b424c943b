"""The stack that the tests of a session share: empty (SCENARIO=none), in a directory and at ports of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from pytest_socket import enable_socket

from deploy.local.stack import SERVICES, Stack, StackOptions
from tests.stack.alerts_world import alerts_world  # noqa: F401 - a fixture
from tests.stack.browser import Browser
from tests.stack.kafka_way import Way
from tests.stack.places import free_port_base
from tests.stack.raw_kafka import RawKafka
from tests.stack.supply_world import world  # noqa: F401 - a fixture
from tests.stack.trusted_log import log  # noqa: F401 - a fixture

HTTP_TIMEOUT_SECONDS = 30.0
LOG_TAIL_LINES = 25
LOG_TAIL_CHARACTERS = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--services", default=",".join(SERVICES), help="services that the shared stack starts")


def pytest_runtest_setup() -> None:
    enable_socket()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails shows what the children of the shared stack said last."""
    outcome: Any = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(running, Stack):
        for log in sorted(running.run_dir.logs.glob("*.log")):
            lines = log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
            report.sections.append((f"end of {log.name}", "\n".join(line[:LOG_TAIL_CHARACTERS] for line in lines)))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A running stack; whoever stops a child starts it again."""
    enable_socket()
    services = tuple(name for name in request.config.getoption("--services").split(",") if name)
    options = StackOptions(tmp_path_factory.mktemp("stack") / "run", free_port_base(), "none", services=services)
    with Stack(options) as running:
        yield running


@pytest.fixture
def credentials(stack: Stack) -> dict[str, Any]:
    """What credentials.json holds (DESIGN, section 9)."""
    return stack.credentials


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for the services; `headers={"Authorization": f"Bearer {key}"}` is the caller's to add."""
    timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield session


@pytest.fixture
async def browser(credentials: dict[str, Any]) -> AsyncIterator[Browser]:
    opened = Browser(credentials["ingest"])
    yield opened
    await opened.close()


@pytest.fixture
async def kafka(stack: Stack) -> AsyncIterator[RawKafka]:
    """One that may write to every topic."""
    async with RawKafka.of_admin(stack) as opened:
        yield opened


@pytest.fixture
def way(http: aiohttp.ClientSession, credentials: dict[str, Any], kafka: RawKafka) -> Way:
    """The first manufacturer's, with a product of its own."""
    return Way(http, credentials, kafka, "manufacturer-1", credentials["producers"]["manufacturer-1"]["gln"][0])
