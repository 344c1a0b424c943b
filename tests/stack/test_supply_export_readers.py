"""Who reads an export slowly, or leaves in the middle, holds up nobody: its snapshot and its place are given back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import uvicorn

from services.supply.api import add_routes
from services.supply.known_facts import KnownFacts
from shared.access import AccessCache
from shared.clock import parse_clock
from shared.database import pool
from shared.keys import VIEWER, AccessRecord, new_key
from shared.web import create_app
from tests.stack.supply_world import World, claimed, released, write
from tests.stack.waiting import eventually

ENTRIES: Final = 300_000  # far more bytes than the buffers between two processes hold
_MANY: Final = """
INSERT INTO journal (gtin, lot, topic_id, partition, kafka_offset, seq, recorded_at, debit, credit, packs, effective_on,
    reversal)
SELECT gtin, 'L' || n, topic_id, partition, kafka_offset, n, recorded_at, 3, 4, 1, effective_on, false
FROM journal, generate_series(1, $1::int) n
"""
_CHECKPOINT: Final = """
INSERT INTO checkpoints (n, at, places) SELECT 1, now(), jsonb_agg(jsonb_build_object('topic_id', topic_id,
    'partition', partition, 'next_offset', next_offset, 'chain', encode(chain, 'hex'))) FROM positions
"""
_IN_A_TRANSACTION: Final = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def served(world: World, **settings: Any) -> AsyncIterator[tuple[int, str]]:
    """The answers about one world over HTTP, without a consumer: port and key of a viewer."""
    chosen = world.settings.model_copy(update=settings)
    access, key = AccessCache(), new_key()
    access.put(AccessRecord(key.key_id, key.sha256, VIEWER, "viewer"))
    access.ready.set()

    @asynccontextmanager
    async def nothing_else(_: Any) -> AsyncIterator[None]:
        yield

    app = create_app(chosen, "supply", nothing_else, dict)
    add_routes(app)
    async with await pool(chosen, size=4, command_timeout_seconds=60) as readers:
        app.state.access, app.state.readers, app.state.facts = access, readers, KnownFacts()
        app.state.clock, app.state.goals = parse_clock("real"), []
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield listening.getsockname()[1], key.key
        finally:
            server.should_exit = True
            await running


async def begun(port: int, key: str, path: str) -> socket.socket:
    """A request whose answer has begun to come, and of which nothing more is taken."""
    loop, reader = asyncio.get_running_loop(), socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.setblocking(False)
    await loop.sock_connect(reader, ("127.0.0.1", port))
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    await loop.sock_sendall(reader, request.encode())
    assert (await asyncio.wait_for(loop.sock_recv(reader, 1_024), 30)).startswith(b"HTTP/1.1 200")
    return reader


@pytest.mark.parametrize(("leaves", "stall_seconds"), [(False, 0.5), (True, 60.0)])
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_who_takes_nothing_or_leaves_gives_its_place_and_snapshot_back(
    world: World, form: str, leaves: bool, stall_seconds: float
) -> None:
    await write(world.one, await claimed(world.one, "one"), released("1"))
    await world.one.execute("ALTER TABLE journal ALTER COLUMN seq TYPE int")
    await world.one.execute(_MANY, ENTRIES)
    await world.one.execute(_CHECKPOINT)
    async with served(world, max_exports=1, export_stall_seconds=stall_seconds) as (port, key):
        reader = await begun(port, key, f"/exports/flows.{form}")
        assert await world.one.fetchval(_IN_A_TRANSACTION) == 1
        if leaves:
            reader.close()

        async def given_back() -> bool:
            return bool(await world.one.fetchval(_IN_A_TRANSACTION) == 0)

        await eventually(given_back)
        reader.close()
        (await begun(port, key, f"/exports/flows.{form}?gtin=09520000000013")).close()
