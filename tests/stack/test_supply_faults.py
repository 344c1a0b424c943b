"""Nothing is lost and nothing doubled: supply is killed, paused, joined by another; Kafka and PostgreSQL go away."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from deploy.local.stack import Stack, StackOptions
from services.supply.places import NAME_OF
from shared import topics
from tests.reference import Book
from tests.stack.places import free_port_base
from tests.stack.supply_flood import flood
from tests.stack.supply_given import (
    EFFECTIVE,
    PLACES,
    Ledger,
    Sender,
    assert_balances,
    database,
    fresh_gtins,
    reader_of_trusted_topics,
)
from tests.stack.waiting import eventually
from tests.supply_given import event

JSON = dict[str, Any]
MOVEMENTS = 20_000
KILLS = 4
RECORDS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM positions"
SAYS = {
    "manufacturer-1": "batch.produced batch.released batch.rejected export.shipped stock.adjusted batch.destroyed",
    "manufacturer-2": "batch.produced batch.released stock.returned batch.recalled",
    "importer-1": "import.received batch.released export.shipped batch.destroyed",
    "distributor-1": "consumption.reported stock.returned stock.adjusted",
}


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def senders(http: aiohttp.ClientSession, credentials: JSON) -> dict[str, Sender]:
    return {name: Sender(http, credentials, name) for name in SAYS}


def floods(senders: dict[str, Sender], products: list[str], count: int) -> dict[str, list[JSON]]:
    seed = random.randrange(10**9)
    share = count // len(senders)
    return {
        name: flood(sender.source, sender.gln, SAYS[name].split(), products, share, seed + number)
        for number, (name, sender) in enumerate(senders.items())
    }


async def send_all(senders: dict[str, Sender], told: dict[str, list[JSON]]) -> None:
    async with asyncio.TaskGroup() as under_way:
        for name, events in told.items():
            under_way.create_task(senders[name].send(*events))


async def recorded(tables: asyncpg.Connection) -> int:
    return int(await tables.fetchval(RECORDS))


async def test_however_often_supply_is_killed_the_balances_are_those_of_a_plain_fold(
    stack: Stack, ledger: Ledger, senders: dict[str, Sender]
) -> None:
    products = fresh_gtins(40)
    told = floods(senders, products, MOVEMENTS)
    deaths = stack.children.deaths("supply")
    async with database(stack) as tables, asyncio.TaskGroup() as under_way:
        before = await recorded(tables)
        under_way.create_task(send_all(senders, told))
        for number in range(1, KILLS + 1):
            # Soon after it has begun again, and not later than the end of all.
            moment = min(await recorded(tables) + random.randrange(1, 3_000), before + MOVEMENTS)
            await eventually(lambda: _reached(tables, moment), timeout_seconds=60)  # noqa: B023
            await asyncio.to_thread(stack.kill_child, "supply", signal.SIGKILL)
            await eventually(lambda: stack.children.deaths("supply") == deaths + number)  # noqa: B023
            await eventually(lambda: stack.pid("supply") is not None)
    known = await ledger.holds(*senders.values(), timeout_seconds=90)
    assert stack.children.deaths("supply") == deaths + KILLS
    book = Book([item for events in told.values() for item in events])
    assert sum(len(events) for events in told.values()) > MOVEMENTS
    assert_balances(await ledger.balances(products, known), book)


async def _reached(tables: asyncpg.Connection, moment: int) -> bool:
    return await recorded(tables) >= moment


def _packed(part: bytes | None) -> bytes:
    return b"\xff" * 4 if part is None else struct.pack(">I", len(part)) + part


async def test_the_tables_are_what_the_journal_comes_to_and_the_journal_is_what_kafka_holds(stack: Stack) -> None:
    async with database(stack) as tables, tables.transaction(isolation="repeatable_read", readonly=True):
        entries = await tables.fetch(
            "SELECT gtin, lot, effective_on, debit, credit, packs, reversal FROM journal WHERE debit IS NOT NULL"
        )
        lots = await tables.fetch(f"SELECT gtin, lot, {', '.join(PLACES)} FROM lots")
        flows = await tables.fetch("SELECT gtin, lot, effective_on, debit, credit, packs FROM flows")
        heads = {(row[0], row[1]): row for row in await tables.fetch("SELECT * FROM positions")}
        kept = await tables.fetch(
            "SELECT topic_id, partition, count(*), min(kafka_offset), max(kafka_offset) FROM journal"
            " WHERE seq = 0 GROUP BY 1, 2"
        )
    balances: dict[Any, dict[str, int]] = defaultdict(lambda: dict.fromkeys(PLACES, 0))
    net: dict[Any, int] = defaultdict(int)
    for gtin, lot, on, debit, credit, packs, reversal in entries:
        balances[gtin, lot][NAME_OF[debit]] -= packs
        balances[gtin, lot][NAME_OF[credit]] += packs
        ends = (credit, debit) if reversal else (debit, credit)
        net[gtin, lot, on, *ends] += -packs if reversal else packs
    assert {(row[0], row[1]): dict(zip(PLACES, row[2:], strict=True)) for row in lots} == balances
    assert {tuple(row[:5]): row[5] for row in flows} == net
    assert all(sum(row[2:]) == 0 for row in lots)
    for topic_id, partition, count, first, last in kept:
        assert (first, last + 1) == (0, heads[topic_id, partition]["next_offset"])
        assert count == last + 1
    await _assert_chains(stack, {place: (row["next_offset"], row["chain"]) for place, row in heads.items()})


async def _assert_chains(stack: Stack, heads: dict[tuple[int, int], tuple[int, bytes]]) -> None:
    """The chain of every partition, worked out again from Kafka's own records."""
    numbers = {topics.MOVEMENTS: 1, topics.REGISTRY: 2}
    chains = dict.fromkeys(heads, bytes(32))
    left = sum(end for end, _ in heads.values())
    async with reader_of_trusted_topics(stack) as records:
        while left:
            batches = await asyncio.wait_for(records.getmany(timeout_ms=500), 10)
            for record in (record for batch in batches.values() for record in batch):
                place = (numbers[record.topic], record.partition)
                if record.offset >= heads[place][0]:
                    continue
                left -= 1
                headers = sorted(
                    ((name.encode(), value) for name, value in record.headers),
                    key=lambda pair: (pair[0], pair[1] or b""),
                )
                parts = [
                    chains[place],
                    _packed(record.topic.encode()),
                    struct.pack(">IQq", record.partition, record.offset, record.timestamp),
                    _packed(record.key),
                    _packed(struct.pack(">I", len(headers)) + b"".join(_packed(a) + _packed(b) for a, b in headers)),
                    _packed(record.value),
                ]
                chains[place] = hashlib.sha256(b"".join(parts)).digest()
    assert chains == {place: chain for place, (_, chain) in heads.items()}


async def test_a_second_instance_takes_over_from_a_paused_one_which_cannot_write_any_more(
    stack: Stack, http: aiohttp.ClientSession, credentials: JSON, ledger: Ledger, senders: dict[str, Sender]
) -> None:
    products = fresh_gtins(20)
    told = floods(senders, products, 4_000)
    first = stack.pid("supply")
    second = stack.spawn_service("supply")
    other = Ledger(http, credentials, f"http://127.0.0.1:{stack.ports.of('supply') + 1}")
    try:
        async with database(stack) as tables:
            await eventually(lambda: _holders(tables, {"supply", second}), timeout_seconds=30)
            before = await recorded(tables)
            async with asyncio.TaskGroup() as under_way:
                under_way.create_task(send_all(senders, told))
                await eventually(lambda: _reached(tables, before + 1_000), timeout_seconds=30)
                stack.kill_child("supply", signal.SIGSTOP)
            await eventually(lambda: _holders(tables, {second}), timeout_seconds=30)
            known = await other.holds(*senders.values(), timeout_seconds=30)
            book = Book([item for events in told.values() for item in events])
            assert_balances(await other.balances(products, known), book)

            epochs = await _epochs(tables)
            stack.kill_child("supply", signal.SIGCONT)
            await eventually(lambda: _holders(tables, {"supply", second}), timeout_seconds=30)
            more = [
                event("batch.released", f"{gtin}/more", source=senders["manufacturer-1"].source, gtin=gtin)
                for gtin in products
            ]
            await senders["manufacturer-1"].send(*more)
            known = await ledger.holds(*senders.values(), timeout_seconds=30)
            assert_balances(await ledger.balances(products, known), Book([*_flat(told), *more]))
            assert stack.pid("supply") == first
            assert all(epoch > epochs[place] for place, epoch in (await _epochs(tables)).items())
    finally:
        stack.kill_child("supply", signal.SIGCONT)
        await asyncio.to_thread(stack.end_service, second)
    async with database(stack) as tables:
        await eventually(lambda: _holders(tables, {"supply"}), timeout_seconds=30)


def _flat(told: dict[str, list[JSON]]) -> list[JSON]:
    return [item for events in told.values() for item in events]


async def _epochs(tables: asyncpg.Connection) -> dict[tuple[int, int], int]:
    return {(row[0], row[1]): row[2] for row in await tables.fetch("SELECT topic_id, partition, epoch FROM positions")}


async def _holders(tables: asyncpg.Connection, expected: set[str]) -> bool:
    return {row[0] for row in await tables.fetch("SELECT DISTINCT holder FROM positions")} == expected


async def test_while_postgres_is_away_the_ledger_says_so_and_then_goes_on_with_nothing_lost(
    stack: Stack, ledger: Ledger, senders: dict[str, Sender]
) -> None:
    (product,) = fresh_gtins(1)
    maker = senders["manufacturer-1"]
    supply = stack.pid("supply")

    def released(number: int) -> JSON:
        return event("batch.released", f"{product}/{number}", source=maker.source, gtin=product, quantity=1)

    await maker.send(*(released(number) for number in range(300)))
    await asyncio.to_thread(stack.stop_child, "postgres")
    try:
        await maker.send(*(released(number) for number in range(200, 600)))
        status, problem, headers = await ledger.call("/balances", gtin=product)
        assert (status, problem["status"]) == (503, 503)
        assert int(headers["Retry-After"]) > 0
    finally:
        await asyncio.to_thread(stack.start_child, "postgres")
    await maker.send(*(released(number) for number in range(600, 700)))
    await _available(ledger, maker, product, 700)
    assert stack.pid("supply") == supply


async def _available(ledger: Ledger, maker: Sender, product: str, packs: int) -> None:
    known = await ledger.holds(maker, timeout_seconds=60)
    (item,) = (await ledger.get("/balances", gtin=product, known=known, effective=EFFECTIVE))["items"]
    assert item["places"]["available"] == packs


async def test_after_kafka_was_away_supply_goes_on_with_nothing_lost_and_no_restart(
    stack: Stack, ledger: Ledger, senders: dict[str, Sender]
) -> None:
    (product,) = fresh_gtins(1)
    maker = senders["manufacturer-1"]
    supply = stack.pid("supply")
    events = [
        event("batch.released", f"{product}/{number}", source=maker.source, gtin=product, quantity=1)
        for number in range(600)
    ]
    await maker.send(*events[:300])
    await asyncio.to_thread(stack.kill_child, "kafka", stays_down=True)
    try:
        assert (await ledger.call("/balances", gtin=product))[0] == 200
    finally:
        await asyncio.to_thread(stack.start_child, "kafka")
    await maker.send(*events[200:])
    await _available(ledger, maker, product, 600)
    assert stack.pid("supply") == supply


async def test_a_position_beyond_the_end_of_the_log_stops_supply_which_says_records_lost(tmp_path: Path) -> None:
    """On a stack of its own: what is signed of a forged position stays outside for ever."""
    with Stack(StackOptions(tmp_path / "run", free_port_base(), "none", services=("supply",))) as stack:
        await asyncio.to_thread(stack.stop_child, "supply")
        log = stack.run_dir.logs / "supply.log"
        told_before = log.stat().st_size
        move = "UPDATE positions SET next_offset = next_offset + $1 WHERE (topic_id, partition) = (1, 0)"
        async with database(stack) as tables:
            assert await tables.execute(move, 10**6) == "UPDATE 1"
            stack.start_child("supply", wait=False)
            await eventually(lambda: stack.children.deaths("supply") > 0, timeout_seconds=30)
            await asyncio.to_thread(stack.stop_child, "supply")
            assert stack.children.last_exit("supply") == 70
            said = log.read_bytes()[told_before:].decode()
            assert "records_lost" in said
            assert "supply.movements.v1[0]" in said
            at = await tables.fetchval("SELECT next_offset FROM positions WHERE (topic_id, partition) = (1, 0)")
            assert at == 10**6
            await tables.execute(move, -(10**6))
        await asyncio.to_thread(stack.start_child, "supply")
