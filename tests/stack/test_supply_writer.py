"""The writer on a PostgreSQL database of its own: who may write, what a paused owner holds up, what the tables are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

from services.supply import tables
from services.supply.claims import Claim, claim
from services.supply.fold import Verdict
from services.supply.journal import Advance, Journal, NotOwner
from services.supply.rows import COPY_HEAD, JOURNAL_COLUMNS
from shared import topics
from shared.audit import AUDIT
from shared.database import engine
from tests.stack.supply_world import PATIENCE_MS, PAUSE_BOUND_MS, PLACE, World, claimed, released, write
from tests.supply_given import GTIN, event, message
from tests.unit.supply_ledger import decoded

A_MONTH_LATER_MS = 1_770_300_000_000
# What the client of a session hears that the server has ended.
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


async def test_who_lost_a_partition_cannot_write_and_leaves_nothing(world: World) -> None:
    former = await claimed(world.one, "one")
    await write(world.one, former, released("1"))
    successor = await claimed(world.other, "other")
    assert (successor.epoch, successor.next_offset, successor.chain) == (former.epoch + 1, 1, former.chain)
    before = await world.rows()
    with pytest.raises(NotOwner):
        await write(world.one, former, released("2"), event("stock.counted", "3"))
    assert await world.rows() == before
    await write(world.other, successor, released("2"))
    assert await world.one.fetchval("SELECT available FROM lots") == 20


async def test_a_batch_that_was_written_is_not_written_again(world: World) -> None:
    held = await claimed(world.one, "one")
    again = Claim(held.topic, held.topic_id, held.partition, held.epoch, held.next_offset, held.chain)
    await write(world.one, held, released("1"))
    before = await world.rows()
    with pytest.raises(NotOwner):
        await write(world.one, again, released("1"))
    assert await world.rows() == before


async def test_a_batch_is_written_whole_or_not_at_all(world: World) -> None:
    held = await claimed(world.one, "one")
    await write(world.one, held, released("1"))
    await world.one.execute("ALTER TABLE flows ADD CONSTRAINT full_disk CHECK (packs < 100)")
    before = await world.rows(), await world.one.fetch("SELECT * FROM positions")
    with pytest.raises(asyncpg.CheckViolationError):
        await write(world.one, held, released("2"), released("3", quantity=100))
    assert (await world.rows(), await world.one.fetch("SELECT * FROM positions")) == before


async def test_an_owner_that_was_paused_in_a_transaction_holds_its_successor_up_for_a_bounded_time(
    world: World,
) -> None:
    held = await claimed(world.one, "one")
    async with world.one.acquire() as paused:
        await paused.execute("BEGIN")
        await paused.execute("UPDATE positions SET next_offset = 1 WHERE epoch = $1", held.epoch)
        successor = await asyncio.wait_for(claimed(world.other, "other"), PAUSE_BOUND_MS / 1000 + 5)
        assert (successor.epoch, successor.next_offset) == (held.epoch + 1, 0)
        with pytest.raises(GONE):
            await paused.execute("COMMIT")
    await write(world.other, successor, released("1"))


async def test_an_owner_that_was_paused_within_a_copy_is_cut_off_by_its_successor(world: World) -> None:
    """Where the database's timeout for idle transactions does not reach: it waits for the rest of the rows."""
    held = await claimed(world.one, "one")
    never, begun = asyncio.Event(), asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield COPY_HEAD
        begun.set()
        await never.wait()

    async with world.one.acquire() as paused:
        await paused.execute("BEGIN")
        await paused.execute("UPDATE positions SET next_offset = 1 WHERE epoch = $1", held.epoch)
        copying = asyncio.create_task(
            paused.copy_to_table("journal", source=half(), columns=JOURNAL_COLUMNS, format="binary")
        )
        await begun.wait()
        with pytest.raises(asyncpg.LockNotAvailableError):
            await claim(world.other, [PLACE], "other", PAUSE_BOUND_MS)
        successor = await claimed(world.other, "other")
        never.set()
        with pytest.raises(GONE):
            await copying
    assert (successor.epoch, successor.next_offset) == (held.epoch + 1, 0)
    await write(world.other, successor, released("1"))


async def test_a_month_begins_while_the_journal_is_being_read(world: World) -> None:
    held = await claimed(world.one, "one")
    await write(world.one, held, released("1"))
    async with world.other.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        assert await reader.fetchval("SELECT count(*) FROM journal") == 1
        later = message(released("2"), held.next_offset, timestamp=A_MONTH_LATER_MS)
        records = decoded([later], held)
        step = Advance(held.topic_id, held.partition, held.epoch, 1, 2, held.chain)
        await asyncio.wait_for(Journal(world.one).write([step], records), PAUSE_BOUND_MS / 1000 + 5)
        assert await reader.fetchval("SELECT count(*) FROM journal") == 1
    assert await world.one.fetchval("SELECT count(*) FROM journal") == 2


async def test_one_event_id_in_two_partitions_counts_once_whoever_writes_first(world: World) -> None:
    places = [(topics.MOVEMENTS, number) for number in (1, 2)]
    one, other = (await claim(world.one, places, "one", PATIENCE_MS)).values()
    for held, told in ((one, released("1")), (other, released("1", quantity=11))):
        sent = message(told, 0, partition=held.partition)
        records = decoded([sent], held)
        step = Advance(held.topic_id, held.partition, held.epoch, 0, 1, held.chain)
        written = await Journal(world.one).write([step], records)
        assert written.verdicts[Verdict.RECORDED] + written.verdicts[Verdict.CONFLICT] == 1
    assert await world.one.fetchval("SELECT available FROM lots") == 10


async def test_after_a_reversal_a_lot_has_the_earliest_days_of_what_stands(world: World) -> None:
    held = await claimed(world.one, "one")
    early = event("batch.produced", "1", produced_on="2026-01-01", expires_on="2027-01-01")
    late = event("batch.produced", "2", produced_on="2026-02-01", expires_on="2028-01-01")
    await write(world.one, held, early, late, released("3", released_on="2026-02-02"))
    undo = {**event("batch.released", "c"), "type": "supply.event.corrected.v1"}
    about = {"source": early["source"], "id": "1", "type": early["type"]}
    undo["data"] = {"corrects": about, "key": GTIN, "corrected_on": "2026-03-01", "reason": "r"}
    await write(world.one, held, undo)
    row = await world.one.fetchrow(
        "SELECT produced_count, introduced_on::text, expires_on::text, supplied_on::text FROM lots"
    )
    assert tuple(row or ()) == (1, "2026-02-01", "2028-01-01", "2026-02-02")


async def test_the_migrations_make_the_tables_that_the_classes_describe(world: World) -> None:
    described = {table.name for table in SQLModel.metadata.sorted_tables if _is_supplys(table.name)}

    def differences(connection: Connection) -> list[Any]:
        def wanted(name: str | None, kind: str, _: Any) -> bool:
            return kind != "table" or name in described

        options = {"compare_type": True, "include_name": wanted, "target_metadata": SQLModel.metadata}
        context = MigrationContext.configure(connection, opts=options)
        found: list[Any] = compare_metadata(context, SQLModel.metadata)
        return [item for item in found if not _is_about_indexes(item) and _is_supplys(_table_of(item))]

    opened = engine(world.settings)
    try:
        async with opened.connect() as connection:
            assert await connection.run_sync(differences) == []
            made = await connection.run_sync(lambda plain: set(inspect(plain).get_table_names()))
    finally:
        await opened.dispose()
    parts = {name for name in made if name.startswith(("journal_", "event_ids_"))}
    assert made - parts - {"alembic_version", AUDIT.name} == described


def _is_supplys(name: str) -> bool:
    """The classes of other services may be registered in the same process."""
    return any(getattr(found, "__tablename__", None) == name for found in vars(tables).values())


def _is_about_indexes(item: Any) -> bool:
    return (isinstance(item, tuple) and "index" in item[0]) or "constraint" in str(item[0])


def _table_of(item: Any) -> str:
    if isinstance(item, list):
        return str(item[0][2])
    return str(item[1].name if hasattr(item[1], "name") else item[2])
