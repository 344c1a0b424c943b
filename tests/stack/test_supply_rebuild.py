"""Rebuilding: the derived tables are what the journal gives, whatever was done to them and whenever it stops."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aiohttp
import asyncpg
import pytest

from deploy.local.stack import Stack
from services.supply import rebuild as rebuilding
from services.supply.asof import cut_now
from services.supply.derived import DERIVED
from services.supply.known_facts import KnownFacts
from services.supply.rebuild import CannotLock, Rebuilt, UnderWay, rebuild
from shared.database import dsn
from tests.stack.supply_flood import flood
from tests.stack.supply_given import EFFECTIVE, Ledger, Sender, database, fresh_gtins
from tests.stack.supply_world import World, claimed, write
from tests.stack.waiting import eventually
from tests.supply_given import GTIN, MAKER, SOURCE, event, gtin

KINDS: Final = (
    *("batch.produced", "batch.released", "import.received", "export.shipped", "stock.returned"),
    *("consumption.reported", "batch.destroyed", "stock.adjusted", "batch.recalled", "stock.counted"),
)
# What is done to each table behind the ledger's back, and how a rebuild names it.
TAMPERED: Final = {
    "flows": "UPDATE flows SET packs = packs + 1 WHERE (gtin, lot) = (SELECT gtin, lot FROM flows LIMIT 1)",
    "lots": "UPDATE lots SET available = available - 7, supplied_on = NULL WHERE lot = 'L3'",
    "event_ids": "DELETE FROM event_ids WHERE event_key IN (SELECT event_key FROM event_ids LIMIT 3)",
    "corrections": "UPDATE corrections SET data = '{}' WHERE event_key IN (SELECT event_key FROM corrections LIMIT 1)",
    "facts": "DELETE FROM facts",
}
Tables = dict[str, list[tuple[Any, ...]]]


def silent(step: str, done: int, total: int) -> None:
    """Whoever watches a rebuild sees nothing."""


async def filled(world: World, count: int = 400) -> None:
    """A ledger with every kind of event, duplicates, conflicts and corrections of corrections."""
    events = flood(SOURCE, MAKER, KINDS, [gtin(number) for number in range(1, 6)], count, seed=5)
    events.append({**event("batch.recalled", "by the regulator"), "authority": "regulator"})
    held = await claimed(world.one, "one")
    for start in range(0, len(events), 50):
        await write(world.one, held, *events[start : start + 50])


async def tables_of(world: World) -> Tables:
    """Every derived table, by key."""
    return {
        table.name: [tuple(row) for row in await world.one.fetch(f"SELECT * FROM {table.name} ORDER BY {key}")]
        for table in DERIVED
        for key in [", ".join(table.key)]
    }


async def compared(world: World) -> Rebuilt:
    return await rebuild(dsn(world.settings), silent, replace=False)


def found_in(done: Rebuilt) -> dict[str, int]:
    """Rows that differ, by table."""
    return {item.table: item.differing for item in done.compared if item.differing}


async def command(world: World, *options: str) -> tuple[int, str]:
    """Exit code and output of `supply-watch ledger rebuild`."""
    arguments = ("-m", "deploy.local.cli", "ledger", "rebuild", "--database-url", dsn(world.settings), *options)
    return await run(*arguments)


async def run(*arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode is not None
    return child.returncode, told.decode()


async def test_what_the_consumer_kept_up_to_date_is_what_the_journal_gives(world: World) -> None:
    await filled(world)
    before = await tables_of(world)
    assert all(before.values())
    done = await rebuild(dsn(world.settings), silent, replace=True)
    assert (found_in(done), done.lots, done.events) == ({}, 0, 0)
    assert {item.table: item.rows for item in done.compared} == {
        **{name: len(rows) for name, rows in before.items()},
        "journal": len(before["event_ids"]),
    }
    assert await tables_of(world) == before


@pytest.mark.parametrize(
    "table", [pytest.param(table, marks=[] if table == "flows" else pytest.mark.proof) for table in TAMPERED]
)
async def test_what_was_changed_behind_the_ledgers_back_is_named_and_put_right(world: World, table: str) -> None:
    await filled(world)
    before = await tables_of(world)
    await world.one.execute(TAMPERED[table])
    tampered = await tables_of(world)
    assert tampered[table] != before[table]

    code, told = await command(world, "--check")
    assert (code, f"\n{table} " in told) == (1, True), told
    assert await tables_of(world) == tampered
    assert set(found_in(await compared(world))) == {table}

    code, told = await command(world, "--reason", "after a crash")
    assert (code, "replaced" in told) == (0, True), told
    assert await tables_of(world) == before
    said = {(row["action"], row["role"], row["reason"]) for row in await world.one.fetch("SELECT * FROM audit")}
    assert said == {("ledger_repaired", "owner", "after a crash")}
    assert (await command(world, "--check"))[0] == 0


async def test_all_is_made_anew_from_the_journal_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "LOTS_A_STEP", 7)
    monkeypatch.setattr(rebuilding, "EVENTS_A_STEP", 50)
    await filled(world)
    before = await tables_of(world)
    await world.one.execute("TRUNCATE flows, lots, event_ids, corrections, facts")
    await rebuild(dsn(world.settings), silent, replace=True)
    assert await tables_of(world) == before


async def test_every_difference_is_told_with_both_values_and_only_so_many_are_shown(world: World) -> None:
    await write(world.one, await claimed(world.one, "one"), event("batch.released", "1"))
    await world.one.execute("UPDATE lots SET available = 11, quarantine = -11")
    await world.one.execute(
        "INSERT INTO flows SELECT gtin, 'X' || n, '2026-01-01', 3, 4, 5 FROM lots, generate_series(1, 30) n"
    )
    done = await compared(world)
    by_table = {item.table: item for item in done.compared}
    assert [(item.column, item.kept, item.rebuilt) for item in by_table["lots"].differences] == [
        ("quarantine", -11, -10),
        ("available", 11, 10),
    ]
    assert by_table["lots"].differences[0].key == {"gtin": int(GTIN), "lot": "L1"}
    assert (by_table["flows"].differing, len(by_table["flows"].differences)) == (30, rebuilding.MAX_SHOWN)
    assert (by_table["flows"].differences[0].kept, by_table["flows"].differences[0].rebuilt) == ({"packs": 5}, None)


@pytest.mark.parametrize(
    ("damage", "column"),
    [("value = '{}'", "value"), ("headers = '\\x00000003ff'", "value"), ("event_key = '\\x00'", "event_key")],
)
async def test_from_a_journal_that_is_damaged_nothing_is_replaced(world: World, damage: str, column: str) -> None:
    await filled(world, 40)
    await world.one.execute("UPDATE lots SET available = 0")
    await world.one.execute(f"UPDATE journal SET {damage} WHERE verdict = 0 AND kafka_offset = 0")
    before = await tables_of(world)
    code, told = await command(world)
    assert (code, f"journal supply.movements.v1 0 0 {column}: kept " in told) == (1, True), told
    assert await tables_of(world) == before


@pytest.mark.parametrize("step", ["fold lots", "compare facts", "replace lots", "replace facts"])
async def test_a_rebuild_that_was_killed_leaves_nothing_in_the_way_of_the_next(world: World, step: str) -> None:
    await filled(world)
    before = await tables_of(world)
    for statement in TAMPERED.values():
        await world.one.execute(statement)
    killed = (
        "import asyncio, os, signal, sys\n"
        "from services.supply import rebuild\n"
        "rebuild.LOTS_A_STEP = 3\n"
        "def tell(step, done, total):\n"
        "    if step == sys.argv[2] and (done or not total or step != 'replace lots'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(rebuild.rebuild(sys.argv[1], tell, replace=True))\n"
    )
    code, told = await run("-c", killed, dsn(world.settings), step)
    assert code == -signal.SIGKILL, told

    async def done() -> Rebuilt | None:
        try:
            return await rebuild(dsn(world.settings), silent, replace=True)
        except UnderWay:  # until PostgreSQL has noticed that the client is gone
            return None

    found = await eventually(done)
    assert found is not None and found.differing > 0
    assert await tables_of(world) == before
    left = "SELECT relname FROM pg_class WHERE relname LIKE '%\\_rebuilt' OR relname LIKE '%\\_wrong'"
    assert await world.one.fetch(left) == []


async def test_what_a_rebuild_put_right_is_seen_by_who_had_read_the_facts_before(world: World) -> None:
    await write(world.one, await claimed(world.one, "one"), event("batch.recalled", "1"), event("batch.recalled", "2"))
    reading = KnownFacts()

    async def recalls(connection: Any) -> int:
        registry = await reading.registry(connection, await cut_now(connection))
        return len({fact.id for facts in registry.recalls.values() for fact in facts})

    async with world.one.acquire() as before, before.transaction(isolation="repeatable_read"):
        await before.execute("SELECT FROM facts")  # its snapshot begins
        await world.other.execute("UPDATE facts SET data = data || '{\"lot\": \"X\"}' WHERE id = '1'")
        async with world.other.acquire() as later, later.transaction(isolation="repeatable_read"):
            assert await recalls(later) == 2
        await rebuild(dsn(world.settings), silent, replace=True)
        async with world.other.acquire() as after, after.transaction(isolation="repeatable_read"):
            assert await recalls(after) == 1
        assert await recalls(before) == 1
    async with world.other.acquire() as after, after.transaction(isolation="repeatable_read"):
        assert await recalls(after) == 1


async def test_two_rebuilds_are_never_under_way_at_once(world: World) -> None:
    await filled(world, 40)
    refused: list[str] = []

    def tell(step: str, done: int, total: int) -> None:
        """In the middle of the first, on which the second does not wait."""
        if step == "fold lots":
            with ThreadPoolExecutor(1) as other, pytest.raises(UnderWay) as why:
                other.submit(asyncio.run, compared(world)).result()
            refused.append(str(why.value))

    done = await rebuild(dsn(world.settings), tell, replace=True)
    assert (found_in(done), refused) == ({}, ["somebody else is rebuilding this ledger"])


async def test_while_the_positions_are_busy_a_rebuild_waits_for_a_bounded_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(world, 40)
    before = await tables_of(world)
    await world.one.execute("UPDATE lots SET available = 0")
    wrong = await tables_of(world)
    monkeypatch.setattr(rebuilding, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(rebuilding, "_LOCK", ("SET LOCAL lock_timeout = 50", rebuilding._LOCK[1]))
    busy = await asyncpg.connect(dsn(world.settings), server_settings={"search_path": "supply"})
    transaction = busy.transaction()
    await transaction.start()
    await busy.execute("UPDATE positions SET next_offset = next_offset")
    with pytest.raises(CannotLock):
        await rebuild(dsn(world.settings), silent, replace=True)
    assert await tables_of(world) == wrong
    await transaction.rollback()
    await busy.close()
    await rebuild(dsn(world.settings), silent, replace=True)
    assert await tables_of(world) == before


async def test_a_rebuild_goes_on_while_the_service_writes_and_answers(
    stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    """Every answer given meanwhile is whole, and what was written meanwhile is in what was replaced."""
    ledger, maker = Ledger(http, credentials), Sender(http, credentials, "manufacturer-1")
    products = fresh_gtins(20)
    kinds = [kind for kind in KINDS if kind not in ("import.received", "consumption.reported", "stock.counted")]
    events = flood(maker.source, maker.gln, kinds, products, 6_000, seed=11)
    await maker.send(*events[:3_000])
    await ledger.holds(maker)
    url = stack.postgres.url("supply")
    answers: list[int] = []

    async def read(until: asyncio.Event) -> None:
        while not until.is_set():
            items = await ledger.items("/balances", effective=EFFECTIVE, limit=1000)
            answers.append(len({item["gtin"] for item in items} & set(products)))
            await ledger.get("/indicators", name="domestic_share_volume")

    async with database(stack) as tables, asyncio.TaskGroup() as under_way:
        ended = asyncio.Event()
        under_way.create_task(read(ended))
        sending = under_way.create_task(maker.send(*events[3_000:]))
        rounds = 0
        while not sending.done() or rounds < 3:
            await tamper(tables, products)
            assert set(found_in(await rebuild(url, silent, replace=True))) == {"flows", "lots"}
            rounds += 1
        ended.set()
    await ledger.holds(maker)
    assert found_in(await rebuild(url, silent, replace=False)) == {}
    assert min(answers) == len(products)


async def tamper(tables: asyncpg.Connection, products: Sequence[str]) -> None:
    """Between two batches, so that neither waits for the other in a circle."""
    numbers = [int(product) for product in products]
    async with tables.transaction():
        await tables.execute("LOCK TABLE positions IN SHARE MODE")
        await tables.execute("UPDATE lots SET available = available + 1 WHERE gtin = ANY($1::bigint[])", numbers)
        await tables.execute("UPDATE flows SET packs = packs - 1 WHERE gtin = ANY($1::bigint[])", numbers)
