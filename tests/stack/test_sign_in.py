"""Signing in with a key or a link, over real HTTP with time moved: what is throttled, when it ends, what is kept."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from deploy.local.sign_in_link import GOOD_FOR_SECONDS, sign_in_link
from shared.access import SESSION_COOKIE
from shared.attempts import Attempts
from shared.keys import VIEWER, AccessRecord, new_key
from tests.applications import NOWHERE
from tests.stack.browser import Browser
from tests.stack.sign_in_service import Service, served

HOUR: Final = 3600
KEY: Final = new_key()
RECORD: Final = AccessRecord(KEY.key_id, KEY.sha256, VIEWER, "Hoa")
WRONG: Final = f"sw_{KEY.key_id}_{'x' * 43}"


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[tuple[Service, Browser]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        service = Service(url, **{"public_url": url, **settings})
        service.app.state.access.put(RECORD)
        browser = Browser(url)
        try:
            async with served(listening, service.app):
                yield service, browser
        finally:
            await browser.close()


@pytest.fixture
async def door() -> AsyncIterator[tuple[Service, Browser]]:
    async with opened() as found:
        yield found


async def test_who_fails_too_often_waits_with_the_right_key_too(door: tuple[Service, Browser]) -> None:
    service, browser = door
    now = time.monotonic()
    service.app.state.attempts = Attempts(6, 3, now_seconds=lambda: now)
    assert [(await browser.sign_in(WRONG)).status for _ in range(4)] == [401, 401, 401, 429]
    held = await browser.sign_in(KEY.key)
    assert (held.status, held.headers["Retry-After"]) == (429, "10")
    assert SESSION_COOKIE not in browser.cookies()
    now += 10
    assert (await browser.sign_in(KEY.key)).path == "/who"
    assert [(await browser.sign_in(KEY.key)).path for _ in range(9)] == ["/who"] * 9


@pytest.mark.parametrize(("trusted", "last"), [("", 429), ("127.0.0.1", 401), ("10.9.9.9", 429)])
async def test_an_address_is_believed_of_a_trusted_proxy_alone(trusted: str, last: int) -> None:
    async with opened(trusted_proxies=trusted) as (service, browser):
        service.app.state.attempts = Attempts(6, 3)
        for number in range(4):
            form = {"csrf": (await browser.get("/sign-in")).token(), "key": new_key().key}
            shown = await browser.post("/sign-in", form, headers={"X-Forwarded-For": f"10.0.0.{number}"})
        assert shown.status == last


async def test_a_session_ends_after_eight_hours_and_with_its_key(door: tuple[Service, Browser]) -> None:
    service, browser = door
    await browser.sign_in(KEY.key)
    service.late_seconds = 8 * HOUR - 60
    assert (await browser.get("/who")).status == 200
    service.late_seconds = 8 * HOUR + 1
    assert (await browser.get("/who")).path == "/sign-in"
    service.late_seconds = 0
    assert (await browser.get("/who")).status == 200
    service.app.state.access.put(AccessRecord(KEY.key_id, KEY.sha256, VIEWER, "Hoa", revoked_at="2026-11-24T00:00:00Z"))
    assert (await browser.get("/who")).path == "/sign-in"


async def test_a_link_opens_the_pages_once_within_its_time(door: tuple[Service, Browser]) -> None:
    service, browser = door
    secret = NOWHERE["session_secret"]
    first, second, elsewhere = (
        sign_in_link(secret, KEY.key, service.url, name) for name in ("ingest", "ingest", "supply")
    )
    assert (await browser.get(elsewhere)).status == 401
    assert (await browser.get(f"{first}&next=/who")).path == "/who"
    assert (await browser.get(first)).status == 401
    service.late_seconds = GOOD_FOR_SECONDS + 1
    assert (await browser.get(second)).status == 401
    for nonsense in ("", "x", "a" * 5_000, f"{KEY.key_id}.1.{'a' * 22}.{'0' * 64}"):
        assert (await browser.get(f"/sign-in?token={nonsense}")).status == 401


async def test_over_https_cookies_and_browsers_are_kept_to_it() -> None:
    async with opened(public_url="https://supply.example") as (_, browser):
        page = await browser.get("/sign-in")
        cookies = page.headers.getall("Set-Cookie")
        assert cookies and all("Secure" in one and "HttpOnly" in one and "SameSite=lax" in one for one in cookies)
        assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
