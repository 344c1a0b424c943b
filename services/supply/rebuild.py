"""Makes the derived tables anew from the journal beside the live ones, compares, and replaces what differs.

Comparing happens in one snapshot while the service goes on. What was right in that snapshot stays right, because the
consumer only adds to it; what was wrong is folded once more under a lock that keeps the consumer from committing (and
nobody from reading), a bounded number of lots or events at a time. Rows are replaced and tables never renamed: a
reader whose snapshot is older than a rename would find an empty table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.derived import BY_EVENT, FLOWS, LOTS, Derived, flows_fold, lots_fold
from services.supply.refold import Comparison, Tell, refold
from shared.audit import OWNER, SHELL, Author, Change, record_bare

REBUILD_LOCK: Final = 0x5357_5245_4255  # the advisory lock of whoever rebuilds
CONNECT_TIMEOUT_SECONDS: Final = 30.0
# The consumer waits for as long as one step takes; whoever waits for the step itself waits behind one batch.
LOTS_A_STEP: Final = 5_000
EVENTS_A_STEP: Final = 20_000
LOCK_TIMEOUT_MS: Final = 2_000
LOCK_ATTEMPTS: Final = 30
LOCK_RETRY_SECONDS: Final = 0.2
MAX_SHOWN: Final = 20
# What a process that was killed was waiting for, or computing, ends with it.
GONE_IS_NOTICED: Final = {"client_connection_check_interval": "1s"}

_LOCK: Final = (
    f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}",
    # Against every consumer: the first statement of a batch moves its positions, a claim raises their epoch.
    "LOCK TABLE positions IN SHARE ROW EXCLUSIVE MODE",
)
# Services keep facts in memory: they see with the repair that there was one.
_RAISE: Final = "UPDATE generation SET number = number + 1"
_WRONG_LOTS: Final = "SELECT gtin, lot FROM flows_wrong UNION SELECT gtin, lot FROM lots_wrong ORDER BY gtin, lot"
_OF_LOTS: Final = "(gtin, lot) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))"
_OF_EVENTS: Final = "event_key = ANY($1::bytea[])"


Replace = Callable[[Sequence[Any]], Awaitable[None]]
REPAIRED: Final = "ledger_repaired"
SOMEBODY: Final = Author(SHELL, SHELL, OWNER)


class UnderWay(Exception):
    """Somebody else is rebuilding this ledger."""


class CannotLock(Exception):
    """The consumer's positions were busy at every attempt; what was replaced until then stays replaced."""


class Rebuilt(msgspec.Struct):
    """What a rebuild found, and how many lots and events it replaced (0 when it only compared)."""

    compared: list[Comparison]
    lots: int
    events: int
    seconds: float

    @property
    def differing(self) -> int:
        return sum(item.differing for item in self.compared)

    @property
    def beyond_repair(self) -> int:
        """Records of the journal itself that cannot be what they are recorded as. No fold puts these right, and
        nothing is replaced from a journal that holds one: it has to be restored first."""
        return sum(item.differing for item in self.compared if item.table == "journal")


async def rebuild(
    database_url: str, tell: Tell, *, replace: bool, max_shown: int = MAX_SHOWN, author: Author = SOMEBODY
) -> Rebuilt:
    """Compares, and with `replace` puts right; the audit says so of each step.

    Raises UnderWay, CannotLock, and the database's errors.
    """
    began = time.monotonic()
    async with _alone(database_url) as connection:
        async with connection.transaction(isolation="repeatable_read"):
            compared = await refold(connection, max_shown, tell)
        done = Rebuilt(compared, 0, 0, 0.0)
        if replace and done.differing and not done.beyond_repair:
            done.lots = await _replace_lots(connection, tell, author)
            for table in BY_EVENT:
                done.events += await _replace_events(connection, table, tell, author)
    done.seconds = time.monotonic() - began
    return done


@asynccontextmanager
async def _alone(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of the ledger's own schema that holds the lock of rebuilding; both end together."""
    settings = {"search_path": "supply", "application_name": "supply-rebuild", **GONE_IS_NOTICED}
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", REBUILD_LOCK):
            raise UnderWay("somebody else is rebuilding this ledger")
        yield connection
    finally:
        await connection.close()


async def _replace_lots(connection: asyncpg.Connection, tell: Tell, author: Author) -> int:
    """Flows and lots of every product's lot in which either differed, from all entries that are there by then."""
    wrong = await connection.fetch(_WRONG_LOTS)

    async def replace(step: Sequence[Any]) -> None:
        keys = [row[0] for row in step], [row[1] for row in step]
        for table, fold in ((FLOWS, flows_fold(f"AND {_OF_LOTS}")), (LOTS, lots_fold("flows", f"AND {_OF_LOTS}"))):
            await connection.execute(f"DELETE FROM {table.name} WHERE {_OF_LOTS}", *keys)
            await connection.execute(f"INSERT INTO {table.name} ({', '.join(table.columns)}) {fold}", *keys)

    await _in_steps(connection, "lots", wrong, LOTS_A_STEP, _audited(replace, connection, "lots", author), tell)
    return len(wrong)


async def _replace_events(connection: asyncpg.Connection, table: Derived, tell: Tell, author: Author) -> int:
    """The rows of one table of BY_EVENT that differed. An event recorded twice is known by its first place."""
    wrong = await connection.fetch(f"SELECT DISTINCT event_key FROM {table.name}_wrong ORDER BY event_key")
    first = (
        f"SELECT DISTINCT ON (event_key) {', '.join(table.columns)} FROM {table.name}_rebuilt"
        f" WHERE {_OF_EVENTS} ORDER BY event_key, topic_id, partition, kafka_offset"
    )

    async def replace(step: Sequence[Any]) -> None:
        keys = [row[0] for row in step]
        await connection.execute(f"DELETE FROM {table.name} WHERE {_OF_EVENTS}", keys)
        await connection.execute(f"INSERT INTO {table.name} ({', '.join(table.columns)}) {first}", keys)

    audited = _audited(replace, connection, table.name, author)
    await _in_steps(connection, table.name, wrong, EVENTS_A_STEP, audited, tell)
    return len(wrong)


def _audited(replace: Replace, connection: asyncpg.Connection, what: str, author: Author) -> Replace:
    async def replace_and_say(step: Sequence[Any]) -> None:
        await replace(step)
        await record_bare(connection, author, Change(REPAIRED, what, {"differing": len(step)}, {"differing": 0}))

    return replace_and_say


async def _in_steps(
    connection: asyncpg.Connection,
    name: str,
    wrong: Sequence[Any],
    size: int,
    replace: Replace,
    tell: Tell,
) -> None:
    for start in range(0, len(wrong), size):
        tell(f"replace {name}", start, len(wrong))
        await _locked(connection, wrong[start : start + size], replace)


async def _locked(connection: asyncpg.Connection, step: Sequence[Any], replace: Replace) -> None:
    """One step in a transaction of its own, during which no batch commits."""
    for _ in range(LOCK_ATTEMPTS):
        try:
            async with connection.transaction():
                for statement in _LOCK:
                    await connection.execute(statement)
                await replace(step)
                await connection.execute(_RAISE)
            return
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(LOCK_RETRY_SECONDS)
    raise CannotLock(f"the positions were busy {LOCK_ATTEMPTS} times for {LOCK_TIMEOUT_MS} ms")
