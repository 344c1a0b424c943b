"""Requests that carry keys, tokens, passwords and webhook secrets, right and wrong: none of it stands in any log."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.sign_in_link import sign_in_link
from deploy.local.stack import Stack
from shared.access import SESSION_COOKIE
from tests.stack.browser import Browser
from tests.stack.waiting import eventually

SERVICES = ("ingest", "supply", "alerts")


class Secrets:
    """What must not be found, by what it is."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def add(self, what: str, value: str) -> str:
        assert len(value) >= 12, f"{what} could stand in a log by chance"
        self.known[what] = value
        return value

    def fresh(self, what: str) -> str:
        return self.add(what, secrets.token_hex(16))

    def found_in(self, text: str) -> list[str]:
        return [what for what, value in self.known.items() if value in text or quote(value, safe="") in text]


@pytest.fixture
def kept(stack: Stack, credentials: dict[str, Any]) -> Secrets:
    """Everything that the stack keeps to itself."""
    found = Secrets()
    for name, password in json.loads((stack.run_dir / "secrets.json").read_text()).items():
        found.add(f"password {name}", password)
    for role, key in credentials["keys"].items():
        found.add(f"key of {role}", key.split("_", 2)[2])
    for name, producer in credentials["producers"].items():
        found.add(f"key of {name}", producer["key"].split("_", 2)[2])
        found.add(f"Kafka password of {name}", producer["kafka_password"])
    found.add("secret of the receiver", credentials["receiver"]["secret"].removeprefix("whsec_"))
    found.add("bootstrap key", json.loads((stack.run_dir / "bootstrap-key.json").read_text())["key"].split("_", 2)[2])
    return found


async def test_no_log_holds_a_secret_of_a_request_or_of_the_stack(
    stack: Stack, credentials: dict[str, Any], http: aiohttp.ClientSession, browser: Browser, kept: Secrets
) -> None:
    await _by_key(credentials, http, kept)
    await _at_a_browser(stack, credentials, browser, kept)
    await _by_webhook(credentials, http, kept)
    logs = {log.name: log.read_text("utf-8", "replace") for log in stack.run_dir.logs.glob("*.log*")}
    assert {f"{name}.log" for name in SERVICES} <= logs.keys()
    assert {name: found for name, text in logs.items() if (found := kept.found_in(text))} == {}


async def _by_key(credentials: dict[str, Any], http: aiohttp.ClientSession, kept: Secrets) -> None:
    """Right and wrong keys, keys in wrong places, secrets in what cannot be read."""
    admin = credentials["keys"]["admin"]
    wrong = f"sw_{admin.split('_')[1]}_{kept.fresh('wrong key')}"
    for service in SERVICES:
        url = credentials[service]
        for header in (f"Bearer {admin}", f"Bearer {wrong}", f"Basic {wrong}", wrong):
            async with http.get(f"{url}/openapi.json", headers={"Authorization": header}) as answer:
                await answer.read()
        async with http.get(f"{url}/nowhere/{kept.fresh('path')}", params={"token": admin}) as answer:
            assert answer.status == 404
        async with http.get(f"{url}/sign-in", params={"token": wrong, "next": kept.fresh("query")}) as answer:
            assert answer.status == 401
    bearer = {"Authorization": f"Bearer {admin}"}
    for body in ('{"role": "admin", "label": "' + kept.fresh("broken JSON"), json.dumps({"role": kept.fresh("role")})):
        async with http.post(f"{credentials['ingest']}/keys", data=body, headers=bearer) as answer:
            assert answer.status in (400, 422)
    async with http.post(
        f"{credentials['ingest']}/keys", json={"role": "viewer", "label": "new"}, headers=bearer
    ) as answer:
        issued = await answer.json()
    kept.add("new key", issued["key"].split("_", 2)[2])
    name = next(iter(credentials["producers"]))
    async with http.post(f"{credentials['ingest']}/producers/{name}/keys", json={}, headers=bearer) as answer:
        given = await answer.json()
    kept.add("new key of a producer", given["key"].split("_", 2)[2])
    kept.add("new Kafka password", given["kafka"]["password"])
    for one in (issued, given):
        async with http.delete(f"{credentials['ingest']}/keys/{one['key_id']}", headers=bearer) as answer:
            assert answer.status == 204


async def _at_a_browser(stack: Stack, credentials: dict[str, Any], browser: Browser, kept: Secrets) -> None:
    """Signing in by a wrong key, a right one and a link; the cookie and the tokens of forms."""
    await browser.sign_in(f"sw_abcdefghijkl_{kept.fresh('wrong key at a browser')}")
    page = await browser.sign_in(credentials["keys"]["operator"])
    kept.add("token of a form", page.token())
    kept.add("session", browser.cookies()[SESSION_COOKIE].value.rpartition(".")[2])
    await browser.post("/rejections/replay?limit=0", {"csrf": page.token(), "reason": "x"})
    link = sign_in_link(stack.session_secret, credentials["keys"]["admin"], credentials["ingest"], "ingest")
    kept.add("one-time token", link.rpartition(".")[2])
    await browser.get(link)
    await browser.get(link)


async def _by_webhook(credentials: dict[str, Any], http: aiohttp.ClientSession, kept: Secrets) -> None:
    """An endpoint with credentials of its own, at which nobody answers."""
    operator = {"Authorization": f"Bearer {credentials['keys']['operator']}"}
    endpoints = f"{credentials['alerts']}/endpoints"
    userinfo = f"http://user:{kept.fresh('password in a URL')}@127.0.0.1:9/"
    async with http.post(endpoints, json={"url": userinfo}, headers=operator) as answer:
        assert answer.status == 422
    body = {"url": "http://127.0.0.1:9/", "headers": {"Authorization": f"Bearer {kept.fresh('header of an endpoint')}"}}
    async with http.post(endpoints, json=body, headers=operator) as answer:
        made = await answer.json()
    kept.add("secret of an endpoint", made["secret"].removeprefix("whsec_"))
    one = f"{endpoints}/{made['id']}"
    async with http.post(f"{one}/rotate-secret", headers=operator) as answer:
        kept.add("new secret of an endpoint", (await answer.json())["secret"].removeprefix("whsec_"))
    async with http.post(f"{one}/test", headers=operator) as answer:
        delivery = (await answer.json())["delivery"]

    async def tried() -> bool:
        async with http.get(f"{credentials['alerts']}/deliveries/{delivery}", headers=operator) as answer:
            return bool((await answer.json())["attempts"])

    await eventually(tried, timeout_seconds=10)
    async with http.delete(one, headers=operator) as answer:
        assert answer.status == 204
