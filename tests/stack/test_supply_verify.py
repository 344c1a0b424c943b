"""GET /ledger/verify: it names what was tampered with, one at a time, and ends with who asked for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from services.supply.findings import TOPIC_OF
from services.supply.journal import Advance, Journal
from services.supply.rebuild import rebuild
from services.supply.signing import Signer
from services.supply.verification import Failure, Order, Verdict, verify
from services.supply.verify_api import run_verification
from shared.database import dsn
from shared.errors import Transient
from tests.stack.supply_flood import flood
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.supply_world import World, claimed, write
from tests.stack.waiting import eventually
from tests.supply_given import MAKER, SOURCE, event, gtin, message
from tests.unit.supply_ledger import decoded

JSON = dict[str, Any]
KINDS: Final = ("batch.produced", "batch.released", "export.shipped", "stock.adjusted", "batch.recalled")
# What is done behind the ledger's back: the statement, and how the verification names it (kind, part of the place).
TAMPERED: Final = {
    "UPDATE lots SET available = available + 1 WHERE lot = 'L1'": ("unbalanced", "/L1"),
    "UPDATE lots SET available = available + 1, exported = exported - 1 WHERE lot = 'L2'": ("derived", "L2 available"),
    "UPDATE flows SET packs = packs + 1 WHERE lot = 'L3'": ("derived", "flows "),
    "DELETE FROM facts": ("derived", "facts "),
    "DELETE FROM event_ids": ("derived", "event_ids "),
    "UPDATE journal SET value = '{}' WHERE kafka_offset = 7 AND seq = 0": ("changed", "[0]@7"),
    "UPDATE journal SET packs = packs + 1 WHERE kafka_offset = 8 AND debit IS NOT NULL": ("changed", "[0]@8"),
    "DELETE FROM journal WHERE kafka_offset = 9": ("missing", "[0]@9"),
}


async def filled(world: World) -> None:
    """Every offset below 60 with an entry: no duplicates among the first."""
    held = await claimed(world.one, "one")
    first = [event("batch.released", str(number), lot=f"L{number % 4}") for number in range(60)]
    await write(world.one, held, *first)
    await write(world.one, held, *flood(SOURCE, MAKER, KINDS, [gtin(1), gtin(2)], 150, seed=2))


def order(world: World, folder: Path) -> Order:
    """Without signed checkpoints: nothing has been signed in this world."""
    return Order(dsn(world.settings), str(folder), [Signer.fresh().public_pem().decode()])


async def test_a_ledger_that_nobody_touched_is_good(world: World, tmp_path: Path) -> None:
    await filled(world)
    found = await verify(order(world, tmp_path))
    assert (found.ok, found.findings, found.more) == (True, [], 0)
    counts = [await world.one.fetchval(query) for query in ("SELECT sum(next_offset) FROM positions", _ENTRIES, _LOTS)]
    assert [found.records, found.entries, found.lots] == counts
    assert found.records > 150


_ENTRIES: Final = "SELECT count(*) FROM journal WHERE debit IS NOT NULL"
_LOTS: Final = "SELECT count(*) FROM lots"


@pytest.mark.parametrize("statement", TAMPERED)
async def test_what_was_tampered_with_is_named(world: World, tmp_path: Path, statement: str) -> None:
    await filled(world)
    await world.one.execute(statement)
    found = await verify(order(world, tmp_path))
    kind, place = TAMPERED[statement]
    assert not found.ok
    assert [item for item in found.findings if item.kind == kind and place in item.place], found.findings
    assert await world.one.fetch("SELECT relname FROM pg_class WHERE relname LIKE '%\\_rebuilt'") == []


async def test_only_so_many_findings_are_told_and_the_rest_is_counted(world: World, tmp_path: Path) -> None:
    await filled(world)
    await world.one.execute(
        "INSERT INTO flows SELECT 1, 'X' || n, '2026-01-01', 3, 4, 5 FROM generate_series(1, 250) n"
    )
    found = await verify(order(world, tmp_path))
    assert (len(found.findings), found.more) == (200, 50)


@pytest.mark.parametrize("key", [b"\0", b"\xff\xfe"])
async def test_a_mark_whose_key_is_no_text_is_kept_as_unreadable_and_the_ledger_stays_good(
    world: World, tmp_path: Path, key: bytes
) -> None:
    held = await claimed(world.one, "one")
    records = decoded([message(event("stock.counted", "1"), 0)._replace(key=key)], held)
    await Journal(world.one).write([Advance(1, 0, held.epoch, 0, 1, held.chain)], records)
    row = await world.one.fetchrow("SELECT verdict, record_key, (SELECT count(*) FROM facts) FROM journal")
    assert tuple(row or ()) == (3, key, 0)
    found = await verify(order(world, tmp_path))
    assert (found.ok, found.findings) == (True, [])


async def test_a_damaged_file_of_checkpoints_is_a_finding(world: World, tmp_path: Path) -> None:
    await filled(world)
    (tmp_path / "checkpoints-2026-01-01.jsonl").write_text('{"n": 1}\n')
    found = await verify(order(world, tmp_path))
    assert [(item.kind, item.place) for item in found.findings] == [("bad_signature", "checkpoints-2026-01-01.jsonl")]


async def test_a_verification_that_takes_too_long_or_finds_no_database_says_so(world: World, tmp_path: Path) -> None:
    with pytest.raises(Transient):
        await run_verification(order(world, tmp_path), 0.01)
    nowhere = Order("postgresql://nobody:x@127.0.0.1:1/nothing", str(tmp_path), [])
    found = await run_verification(nowhere, 30)
    assert isinstance(found, Failure)
    assert found.why == "away"
    assert isinstance(await run_verification(order(world, tmp_path), 30), Verdict)


class Verifier:
    """GET /ledger/verify with a key."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, role: str) -> None:
        self._http = http
        self._url = f"{credentials['supply']}/ledger/verify"
        keys = {**credentials["keys"], "producer": credentials["producers"]["manufacturer-1"]["key"]}
        self._headers = {"Authorization": f"Bearer {keys[role]}"}

    async def call(self) -> tuple[int, JSON, Any]:
        async with self._http.get(self._url, headers=self._headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


async def test_whoever_may_read_is_told_what_was_tampered_with_until_it_is_put_right(
    stack: Stack, http: aiohttp.ClientSession, credentials: JSON
) -> None:
    ledger, maker = Ledger(http, credentials), Sender(http, credentials, "manufacturer-1")
    (product,) = fresh_gtins(1)
    (place,) = await maker.send(event("batch.released", f"{product}/r", source=maker.source, gtin=product, quantity=3))
    await ledger.holds(maker)
    assert (await Verifier(http, credentials, "producer").call())[0] == 403
    status, body, _ = await Verifier(http, credentials, "viewer").call()
    assert (status, body["ok"], body["findings"]) == (200, True, []), body
    newest = (await ledger.get("/ledger/checkpoints", limit=1))["items"][0]["n"]
    assert 0 < body["checkpoint"] <= newest
    assert body["signed"] > 0

    server = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    try:
        row = "topic_id = 1 AND partition = $1 AND kafka_offset = $2 AND seq = 0"
        at = (place["partition"], place["offset"])
        await server.execute("UPDATE supply.lots SET available = 4 WHERE gtin = $1", int(product))
        value = await server.fetchval(f"SELECT value FROM supply.journal WHERE {row}", *at)
        await server.execute(f"UPDATE supply.journal SET value = $3 WHERE {row}", *at, value.replace(b"3", b"4"))
        status, body, _ = await Verifier(http, credentials, "admin").call()
        assert (status, body["ok"]) == (200, False)
        found = [(item["kind"], item["place"]) for item in body["findings"]]
        assert ("changed", f"{TOPIC_OF[1]}[{at[0]}]@{at[1]}") in found
        assert [place for kind, place in found if kind == "derived" and f"{int(product)} " in place]
        await server.execute(f"UPDATE supply.journal SET value = $3 WHERE {row}", *at, value)
    finally:
        await server.close()
    await rebuild(stack.postgres.url("supply"), lambda step, done, total: None, replace=True)
    status, body, _ = await Verifier(http, credentials, "operator").call()
    assert (status, body["ok"], body["findings"]) == (200, True, [])


async def test_one_verification_at_a_time_and_it_ends_with_who_asked_for_it(
    stack: Stack, http: aiohttp.ClientSession, credentials: JSON
) -> None:
    operator = Verifier(http, credentials, "operator")
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    watch = await asyncpg.connect(stack.postgres.url(SUPERUSER))

    async def under_way() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'supply-verify'"
        found: int = await watch.fetchval(query)
        return found

    async def none_under_way() -> bool:
        return await under_way() == 0

    try:
        async with server.transaction():
            await server.execute("LOCK TABLE supply.journal IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(operator.call())
            await eventually(under_way)
            status, _, headers = await operator.call()
            assert (status, int(headers["Retry-After"]) > 0) == (429, True)
            first.cancel()
            await eventually(none_under_way)
    finally:
        await server.close()
        await watch.close()
    status, body, _ = await operator.call()
    assert (status, body["ok"]) == (200, True), body
