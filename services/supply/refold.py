"""Folds the journal anew into tables beside the derived ones, and compares the two, in the caller's snapshot.

The caller's transaction must be repeatable read: then journal and derived tables are those of one moment, however fast
the consumer goes on. The tables `<name>_rebuilt` (what the fold gives) and `<name>_wrong` (where the kept one differs)
are temporary: they end with the transaction that is rolled back, or with the connection, and no crash leaves any.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
import orjson

from services.supply.claims import TOPIC_OF
from services.supply.derived import (
    BY_EVENT,
    CORRECTIONS,
    DERIVED,
    EVENT_IDS,
    FACTS,
    FLOWS,
    LOTS,
    Derived,
    Row,
    differing,
    flows_fold,
    lots_fold,
    rebuilt_empty,
    said_again,
)
from shared.events.reader import Unreadable

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
# What is told while it works: the step, and how many of how many records are done (0 of 0 where they are not counted).
Tell = Callable[[str, int, int], None]
RECORDS_A_STEP: Final = 5_000
YIELD_EVERY_RECORDS: Final = 200
# The session works alone and long: it may sort in memory, and be held up by a busy machine between two statements.
_SESSION: Final = ("SET LOCAL work_mem = '64MB'", "SET LOCAL idle_in_transaction_session_timeout = '60s'")
_RECORDED: Final = """
SELECT topic_id, partition, kafka_offset, record_key, headers, value, event_key FROM journal WHERE verdict = 0
"""


class Difference(msgspec.Struct, frozen=True):
    """One place where a table is not what the journal gives: `column` is empty where a whole row is missing on a side.

    `kept` is what stands in the table (null: nothing), `rebuilt` what the fold gives (null: nothing).
    """

    table: str
    key: dict[str, Any]
    column: str
    kept: Any
    rebuilt: Any


class Comparison(msgspec.Struct):
    """A derived table beside its fold: rows that the fold gives, rows that differ, how many of these are not shown, and
    the differences of those that are."""

    table: str
    rows: int
    differing: int = 0
    untold: int = 0
    differences: list[Difference] = []


def _silent(step: str, done: int, total: int) -> None:
    pass


async def refold(connection: Connection, max_shown: int, tell: Tell = _silent) -> list[Comparison]:
    """Every derived table beside its fold; of each at most `max_shown` rows are shown. Last the journal's own records:
    those that cannot be what they are recorded as."""
    for statement in (*_SESSION, *rebuilt_empty(BY_EVENT)):
        await connection.execute(statement)
    tell("fold flows", 0, 0)
    await connection.execute(f"CREATE TEMP TABLE {FLOWS.name}_rebuilt AS {flows_fold()}")
    tell("fold lots", 0, 0)
    await connection.execute(f"CREATE TEMP TABLE {LOTS.name}_rebuilt AS {lots_fold('flows_rebuilt')}")
    records = await _read_again(connection, max_shown, tell)
    compared = []
    for table in DERIVED:
        tell(f"compare {table.name}", 0, 0)
        compared.append(await _compare(connection, table, max_shown))
    return [*compared, records]


async def _read_again(connection: Connection, max_shown: int, tell: Tell) -> Comparison:
    """Fills what is read from the records themselves: identities, corrections, facts."""
    total = int(await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM positions"))
    seen = Comparison("journal", 0)
    async for rows in _recorded(connection):
        tell("read the records again", seen.rows, total)
        found: dict[Derived, list[Row]] = {table: [] for table in BY_EVENT}
        for number, row in enumerate(rows, 1):
            if number % YIELD_EVERY_RECORDS == 0:
                await asyncio.sleep(0)
            if (odd := _take(row, found)) is not None:
                seen.differing += 1
                if len(seen.differences) < max_shown:
                    seen.differences.append(odd)
                else:
                    seen.untold += 1
        seen.rows += len(rows)
        for table, records in found.items():
            if records:
                name = f"{table.name}_rebuilt"
                await connection.copy_records_to_table(name, records=records, columns=table.columns)
    return seen


async def _recorded(connection: Connection) -> AsyncIterator[Sequence[Any]]:
    cursor = await connection.cursor(_RECORDED)
    while rows := await cursor.fetch(RECORDS_A_STEP):
        yield rows


def _take(row: Any, found: dict[Derived, list[Row]]) -> Difference | None:
    """Adds what a recorded record says; what is odd about it, if it cannot be that record."""
    place = tuple(row[:3])
    try:
        again = said_again(place, *row[3:6])
    except Unreadable as error:
        return Difference("journal", _named(place), "value", "recorded", f"unreadable: {error.reason}")
    found[EVENT_IDS].append(again.identity)
    if again.correction is not None:
        found[CORRECTIONS].append(again.correction)
    if again.fact is not None:
        found[FACTS].append(again.fact)
    if again.identity[0] != row[6]:
        return Difference("journal", _named(place), "event_key", row[6] and row[6].hex(), again.identity[0].hex())
    return None


def _named(place: Row) -> dict[str, Any]:
    return {"topic": TOPIC_OF.get(place[0], place[0]), "partition": place[1], "offset": place[2]}


async def _compare(connection: Connection, table: Derived, max_shown: int) -> Comparison:
    await connection.execute(f"CREATE TEMP TABLE {table.name}_wrong AS {differing(table)}")
    rows = await connection.fetchval(f"SELECT count(*) FROM {table.name}_rebuilt")
    wrong = await connection.fetchval(f"SELECT count(*) FROM {table.name}_wrong")
    query = f"SELECT kept::text, folded::text FROM {table.name}_wrong ORDER BY {', '.join(table.key)} LIMIT $1"
    found = Comparison(table.name, rows, wrong)
    for kept, folded in await connection.fetch(query, max_shown) if wrong else ():
        found.differences += _differences(table, kept and orjson.loads(kept), folded and orjson.loads(folded))
        wrong -= 1
    found.untold = wrong
    return found


def _differences(table: Derived, kept: dict[str, Any] | None, folded: dict[str, Any] | None) -> list[Difference]:
    """Column by column; a row that one side lacks is one difference."""
    whole = kept or folded or {}
    key = {column: whole[column] for column in table.key}
    if kept is None or folded is None:
        rest = {column: whole[column] for column in table.rest}
        return [Difference(table.name, key, "", kept and rest, folded and rest)]
    return [
        Difference(table.name, key, column, kept[column], folded[column])
        for column in table.rest
        if kept[column] != folded[column]
    ]
