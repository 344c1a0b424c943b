"""Connections that die for real: before a statement that is counted out, the server ends their backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.supply.settings import SupplySettings
from shared.database import dsn
from tests.stack.supply_world import fresh_ledger

END_WITHIN_MS = 5_000
TABLES = "journal event_ids corrections facts lots flows positions".split()


class Death:
    """Comes before statement number `after` (the first is 0), or after the COMMIT before it is acknowledged.

    `committed`: whether the COMMIT was carried out; `came`: whether it came at all.
    """

    def __init__(self, server: asyncpg.Connection, after: int) -> None:
        self._server = server
        self._left = after
        self.came = False
        self.committed = False

    async def perhaps(self, connection: asyncpg.Connection) -> None:
        self._left -= 1
        if self._left == -1:
            self.came = True
            backend = connection.get_server_pid()
            assert await self._server.fetchval("SELECT pg_terminate_backend($1, $2)", backend, END_WITHIN_MS)


class Mortal(asyncpg.Connection):
    """A connection on which each statement of the ledger's writer may be the last."""

    __slots__ = ()
    death: ClassVar[Death | None] = None

    async def _next(self) -> None:
        if Mortal.death is not None:
            await Mortal.death.perhaps(self)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        await self._next()
        status: str = await super().execute(query, *args, timeout=timeout)
        if query.startswith("COMMIT") and Mortal.death is not None:
            Mortal.death.committed = True
            await Mortal.death.perhaps(self)
            await super().execute("SELECT 1")  # the answer to COMMIT is lost with the connection
        return status

    async def fetch(self, *args: Any, **told: Any) -> Any:
        await self._next()
        return await super().fetch(*args, **told)

    async def copy_to_table(self, *args: Any, **told: Any) -> Any:
        await self._next()
        return await super().copy_to_table(*args, **told)

    async def copy_records_to_table(self, *args: Any, **told: Any) -> Any:
        await self._next()
        return await super().copy_records_to_table(*args, **told)


class Ground:
    """An empty ledger that many examples use in turn: the writer's mortal connections, and one that sees it all."""

    def __init__(self, writers: asyncpg.Pool, eye: asyncpg.Connection, server: asyncpg.Connection) -> None:
        self.writers = writers
        self.eye = eye
        self.server = server

    async def clear(self) -> None:
        """DELETE, as TRUNCATE makes every file anew."""
        await self.eye.execute("; ".join(f"DELETE FROM {table}" for table in TABLES))


@asynccontextmanager
async def ground(stack: Stack) -> AsyncIterator[Ground]:
    async with fresh_ledger(stack) as settings:
        server = await asyncpg.connect(stack.postgres.url(SUPERUSER, "postgres"))
        eye = await asyncpg.connect(dsn(settings), server_settings={"search_path": "supply"})
        try:
            async with _writers(settings) as writers:
                yield Ground(writers, eye, server)
        finally:
            await eye.close()
            await server.close()


def _writers(settings: SupplySettings) -> asyncpg.pool.Pool:
    """As shared.database.pool opens them, but mortal."""
    about = {"search_path": "supply", "plan_cache_mode": "force_custom_plan"}
    return asyncpg.create_pool(
        dsn(settings), min_size=1, max_size=2, connection_class=Mortal, server_settings=about, command_timeout=10
    )
