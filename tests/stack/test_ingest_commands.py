"""`supply-watch producers` and `supply-watch keys` against a running ingest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.local.stack import Stack
from shared.json_http import Refused, call
from tests.stack.test_ingest_access import gln
from tests.stack.waiting import eventually

REVOKED_WITHIN_SECONDS = 5.0


class Shell:
    """Runs the command as an operator does, with an administrator's key in its environment."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._environment = {**os.environ, "SUPPLY_WATCH_INGEST_URL": url, "SUPPLY_WATCH_ADMIN_KEY": admin_key}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.local.cli", *words],
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def said(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.said(*words, "--json"))


@pytest.fixture
def shell(credentials: dict[str, Any]) -> Shell:
    return Shell(credentials["ingest"], credentials["keys"]["admin"])


def status(url: str, key: str) -> int:
    try:
        call("GET", url, key)
    except Refused as refused:
        return refused.status
    return 200


def test_a_producer_is_added_and_its_key_rotated_and_revoked(shell: Shell, credentials: dict[str, Any]) -> None:
    catalogue = f"{credentials['ingest']}/catalogue"
    added = ("producers", "add", "by-command", "--gln", gln(71_001), "--gln", gln(71_002))
    shell.said(*added, "--role", "manufacturer", "--role", "importer")
    producer = next(row for row in shell.told("producers", "list") if row["name"] == "by-command")
    assert (producer["glns"], producer["roles"]) == ([gln(71_001), gln(71_002)], ["importer", "manufacturer"])

    first = shell.told("keys", "issue", "--producer", "by-command", "--label", "plant system")
    assert first["kafka"]["topic"] == "inbound.by-command"
    second = shell.told("keys", "rotate", first["key_id"])
    assert [status(catalogue, issued["key"]) for issued in (first, second)] == [200, 200]
    assert {first["kafka"]["username"], second["kafka"]["username"]} == {
        f"by-command.{issued['key_id']}" for issued in (first, second)
    }

    shell.said("keys", "revoke", first["key_id"])
    assert [status(catalogue, issued["key"]) for issued in (first, second)] == [401, 200]
    labels = {row["key_id"]: row["label"] for row in shell.told("keys", "list") if row["name"] == "by-command"}
    assert labels == {second["key_id"]: "plant system"}
    assert first["key_id"] in {row["key_id"] for row in shell.told("keys", "list", "--revoked")}


def test_a_key_for_a_person_is_shown_once(shell: Shell, credentials: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    file.write_text(credentials["keys"]["admin"] + "\n")
    done = shell.run(
        "keys",
        "issue",
        *("--role", "viewer", "--label", "ops", "--key-file", str(file)),
        SUPPLY_WATCH_ADMIN_KEY="",
    )
    assert done.returncode == 0, done.stderr
    key = next(word for word in done.stdout.split() if word.startswith("sw_"))
    assert status(f"{credentials['ingest']}/catalogue", key) == 200
    assert key.split("_", 2)[2] not in shell.said("keys", "list")


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("producers", "add", "manufacturer-1", "--gln", gln(71_010), "--role", "manufacturer"), 1, "name_taken"),
        (("producers", "add", "nobody", "--gln", "1", "--role", "king"), 1, "choice"),
        (("keys", "issue", "--producer", "no-such-firm"), 1, "not_found"),
        (("keys", "rotate", "nosuchkey"), 1, "nosuchkey"),
        (("keys", "revoke", "nosuchkey"), 1, "not_found"),
        (("keys", "list", "--url", "http://127.0.0.1:1"), 2, "cannot ask"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_reason(
    shell: Shell, words: tuple[str, ...], code: int, reason: str
) -> None:
    done = shell.run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr


def test_without_an_administrators_key_nothing_is_asked(shell: Shell, credentials: dict[str, Any]) -> None:
    assert shell.run("keys", "list", SUPPLY_WATCH_ADMIN_KEY="").returncode == 2
    done = shell.run("keys", "list", SUPPLY_WATCH_ADMIN_KEY=credentials["keys"]["operator"])
    assert (done.returncode, "role" in done.stderr) == (1, True)


async def test_a_revoked_key_is_refused_by_every_service_within_five_seconds(
    stack: Stack, credentials: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    admin = {"Authorization": f"Bearer {credentials['keys']['admin']}"}
    body = {"role": "viewer", "label": "everywhere"}
    async with http.post(f"{credentials['ingest']}/keys", json=body, headers=admin) as answer:
        issued = await answer.json()
    open_to_viewers = ("ingest", "/catalogue"), ("supply", "/goals"), ("alerts", "/alerts")

    async def statuses() -> list[int]:
        found = []
        for service, path in open_to_viewers:
            headers = {"Authorization": f"Bearer {issued['key']}"}
            async with http.get(credentials[service] + path, headers=headers) as answer:
                found.append(answer.status)
        return found

    async def all_are(expected: int) -> bool:
        return await statuses() == [expected] * 3

    await eventually(lambda: all_are(200))
    async with http.delete(f"{credentials['ingest']}/keys/{issued['key_id']}", headers=admin) as answer:
        assert answer.status == 204
    await eventually(lambda: all_are(401), timeout_seconds=REVOKED_WITHIN_SECONDS)
