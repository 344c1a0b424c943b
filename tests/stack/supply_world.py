"""A ledger on a PostgreSQL database of its own, written without Kafka."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import pytest

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.supply.claims import Claim, Place, claim
from services.supply.journal import Advance, Journal, Written
from services.supply.settings import SupplySettings
from shared import topics
from shared.database import migrate, pool
from tests.reference import JSON
from tests.supply_given import event, message
from tests.unit.supply_ledger import decoded

PLACE: Final[Place] = (topics.MOVEMENTS, 0)
PAUSE_BOUND_MS: Final = 1_500  # longer than a busy machine keeps a loop waiting
PATIENCE_MS: Final = 5_000


@dataclass
class World:
    """Two instances' connections to one empty ledger."""

    settings: SupplySettings
    one: asyncpg.Pool
    other: asyncpg.Pool

    async def rows(self) -> dict[str, int]:
        """How many rows each table of the writer has."""
        names = ("journal", "event_ids", "corrections", "facts", "lots", "flows")
        return {name: await self.one.fetchval(f"SELECT count(*) FROM {name}") for name in names}


@asynccontextmanager
async def fresh_ledger(stack: Stack) -> AsyncIterator[SupplySettings]:
    """An empty ledger on a database of its own, which is dropped in the end."""
    name = f"supply_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER, "postgres"))
    await server.execute(f'CREATE DATABASE "{name}" OWNER supply')
    url = stack.postgres.url("supply", name)
    settings = SupplySettings.load(
        database_url=url, kafka_bootstrap="unused", kafka_username="x", kafka_password="x", session_secret="x"
    )
    owner = await asyncpg.connect(url)
    await owner.execute("CREATE SCHEMA supply")
    await owner.close()
    await migrate(settings)
    try:
        yield settings
    finally:
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    options: dict[str, Any] = {
        "size": 3,
        "command_timeout_seconds": 10,
        "idle_in_transaction_timeout_ms": PAUSE_BOUND_MS,
    }
    async with (
        fresh_ledger(stack) as settings,
        await pool(settings, **options) as one,
        await pool(settings, **options) as other,
    ):
        yield World(settings, one, other)


async def claimed(connections: asyncpg.Pool, holder: str) -> Claim:
    return (await claim(connections, [PLACE], holder, PATIENCE_MS))[PLACE]


async def write(connections: asyncpg.Pool, held: Claim, *events: JSON) -> Written:
    """Writes a batch as the holder of a claim; the claim moves on."""
    old = held.next_offset
    records = decoded([message(told, old + number) for number, told in enumerate(events)], held)
    step = Advance(held.topic_id, held.partition, held.epoch, old, held.next_offset, held.chain)
    return await Journal(connections).write([step], records)


def released(id: str, **told: Any) -> JSON:
    return event("batch.released", id, **told)
