"""Reads the journal as an examination takes it: every row in the order of its place, in the caller's snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from services.supply.evidence import Examination
from services.supply.findings import COLUMNS, End, Head, Report, Row

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
ROWS_A_FETCH: Final = 500
CONNECT_TIMEOUT_SECONDS: Final = 10.0
_TEXTS: Final = ("recorded_at", "effective_on", "expires_on", "period_start", "said_at")
_SELECTED: Final = ", ".join(f"{name}::text" if name in _TEXTS else name for name in COLUMNS)
_ROWS: Final = (
    f"SELECT {_SELECTED} FROM journal ORDER BY topic_id, partition, kafka_offset, seq, gtin, lot, journal.recorded_at"
)
_ENDS: Final = "SELECT topic_id, partition, next_offset, chain FROM positions ORDER BY topic_id, partition"
# Moments and days as texts are read alike everywhere; and a slow disk on the other side must not end the session.
_SESSION: Final = (
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL idle_in_transaction_session_timeout = '5min'",
)


@asynccontextmanager
async def snapshot(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the ledger in one read-only snapshot. Raises what asyncpg raises."""
    connection = await asyncpg.connect(
        database_url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"search_path": "supply"}
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


async def ends(connection: Connection) -> list[End]:
    """Where the ledger stands in every partition."""
    return [End(*row) for row in await connection.fetch(_ENDS)]


async def journal_rows(connection: Connection) -> AsyncIterator[Row]:
    """All rows, a bounded number of them at a time; the caller is in a transaction."""
    for statement in _SESSION:
        await connection.execute(statement)
    async for row in connection.cursor(_ROWS, prefetch=ROWS_A_FETCH):
        yield Row(*row)


async def examine(connection: Connection, heads: Iterable[Head] = ()) -> Report:
    """The journal with what was signed of it; the caller is in a repeatable-read transaction."""
    with Examination(await ends(connection), heads) as examination:
        async for row in journal_rows(connection):
            examination.take(row)
        return examination.end()
