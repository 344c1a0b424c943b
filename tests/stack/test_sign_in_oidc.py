"""Signing in by an OpenID Connect provider, over real HTTP: who comes in, as what, for how long, and who does not."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from shared.access import SESSION_COOKIE
from shared.attempts import Attempts
from shared.oidc import CALLBACK
from tests.stack.browser import Browser
from tests.stack.sign_in_provider import CLIENT, SECRET, SignInProvider
from tests.stack.sign_in_service import Service, served

HOUR: Final = 3600
MAI: Final = {"name": "Mai Nguyễn", "roles": ["something", "supply-watch-viewer", "supply-watch-operator"]}


@pytest.fixture
async def provider() -> AsyncIterator[SignInProvider]:
    found = SignInProvider(claims=dict(MAI))
    async with found.running():
        yield found
    assert found.faults == []


@pytest.fixture
async def service(provider: SignInProvider) -> AsyncIterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        provider.redirect_uri = url + CALLBACK
        one = Service(url, oidc_issuer=provider.issuer, oidc_client_id=CLIENT, oidc_client_secret=SECRET)
        async with served(listening, one.app):
            yield one


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[Browser]:
    opened = Browser(service.url)
    yield opened
    await opened.close()


def signed_in(browser: Browser) -> bool:
    return SESSION_COOKIE in browser.cookies()


async def test_a_person_comes_in_with_the_highest_role_that_the_provider_names(browser: Browser) -> None:
    page = await browser.get("/sign-in?next=/who")
    link = re.search(r'href="(/sign-in/oidc[^"]*)"', page.text)
    assert link is not None
    shown = await browser.get(link[1])
    assert (shown.status, shown.path) == (200, "/who")
    assert shown.text == '{"name":"Mai Nguyễn","role":"operator","key_id":"oidc:u-17"}'


async def test_the_session_is_kept_as_that_of_a_key_and_the_journey_is_forgotten(browser: Browser) -> None:
    way = await browser.get("/sign-in/oidc", follow=False)
    provided = await browser.get(way.headers["Location"], follow=False)
    onward = await browser.get(provided.headers["Location"], follow=False)
    told = {cookie.partition("=")[0]: set(cookie.split("; ")[1:]) for cookie in onward.headers.getall("Set-Cookie")}
    assert told[SESSION_COOKIE] == {"HttpOnly", "Max-Age=28800", "Path=/", "SameSite=lax"}
    assert "Max-Age=0" in told["supply_watch_oidc"]
    assert "Mai" not in browser.cookies()[SESSION_COOKIE].value


async def test_a_session_ends_after_eight_hours(browser: Browser, service: Service) -> None:
    await browser.get("/sign-in/oidc?next=/who")
    service.late_seconds = 8 * HOUR - 60
    assert (await browser.get("/who")).path == "/who"
    service.late_seconds = 8 * HOUR + 1
    assert (await browser.get("/who")).path == "/sign-in"


@pytest.mark.parametrize(
    "changed",
    [{"oidc_issuer": ""}, {"oidc_client_id": "another"}, {"oidc_roles": {"something": "viewer"}}],
    ids=["no provider", "another client", "other roles"],
)
async def test_a_session_ends_with_its_provider(
    browser: Browser, service: Service, provider: SignInProvider, changed: dict[str, Any]
) -> None:
    await browser.get("/sign-in/oidc?next=/who")
    assert (await browser.get("/who")).status == 200
    settings = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET, **changed}
    after = Service(service.url, **settings)
    service.app.state.provider = after.app.state.provider
    assert (await browser.get("/who")).path == "/sign-in"


WRONG: Final[tuple[dict[str, Any], ...]] = (
    {"nonce": "of another sign-in"},
    {"aud": "another client"},
    {"aud": [CLIENT, "another client"], "azp": "another client"},
    {"iss": "https://elsewhere.example"},
    {"exp": 1_000_000_000},
    {"iat": 4_000_000_000},
    {"sub": ""},
    {"sub": 17},
    {"sub": "x" * 1_000},
)


async def test_an_id_token_that_does_not_hold_lets_nobody_in(browser: Browser, provider: SignInProvider) -> None:
    for wrong in WRONG:
        provider.wrong = wrong
        assert (await browser.get("/sign-in/oidc")).status == 403, wrong
    assert not signed_in(browser)
    provider.wrong = {}
    assert (await browser.get("/sign-in/oidc?next=/who")).status == 200


async def test_a_token_that_another_signed_lets_nobody_in(browser: Browser, provider: SignInProvider) -> None:
    provider.forge()
    assert (await browser.get("/sign-in/oidc")).status == 403
    provider.sign_with_the_secret()
    assert (await browser.get("/sign-in/oidc")).status == 403
    assert not signed_in(browser)


async def test_who_has_no_role_here_is_told_so(browser: Browser, provider: SignInProvider) -> None:
    for roles in ([], "something", {"supply-watch-admin": True}, None, ["producer"]):
        provider.claims["roles"] = roles
        shown = await browser.get("/sign-in/oidc")
        assert (shown.status, signed_in(browser)) == (403, False)
        assert "names no role" in shown.text


async def test_the_answer_of_a_sign_in_that_another_began_is_of_no_use(browser: Browser, service: Service) -> None:
    way = await browser.get("/sign-in/oidc", follow=False)
    theirs = (await browser.get(way.headers["Location"], follow=False)).headers["Location"]
    victim = Browser(service.url)
    try:
        assert (await victim.get(theirs)).status == 403
        await victim.get("/sign-in/oidc", follow=False)
        assert (await victim.get(theirs)).status == 403
        assert not signed_in(victim)
    finally:
        await victim.close()


async def test_a_code_of_another_sign_in_is_of_no_use(browser: Browser) -> None:
    def code_of(location: str) -> str:
        return location.partition("code=")[2].partition("&")[0]

    first = await browser.get("/sign-in/oidc", follow=False)
    stolen = code_of((await browser.get(first.headers["Location"], follow=False)).headers["Location"])
    second = await browser.get("/sign-in/oidc", follow=False)
    answer = (await browser.get(second.headers["Location"], follow=False)).headers["Location"]
    assert (await browser.get(answer.replace(code_of(answer), stolen))).status == 403
    assert not signed_in(browser)


async def test_a_journey_takes_ten_minutes_at_most_and_its_cookie_cannot_be_changed(
    browser: Browser, service: Service
) -> None:
    way = await browser.get("/sign-in/oidc", follow=False)
    answer = (await browser.get(way.headers["Location"], follow=False)).headers["Location"]
    service.late_seconds = 601
    assert (await browser.get(answer)).status == 403
    service.late_seconds = 0
    kept = browser.cookies_at(service.url + CALLBACK)["supply_watch_oidc"].value
    browser.forget("supply_watch_oidc")
    browser.keep("supply_watch_oidc", "A" + kept[1:])
    assert (await browser.get(answer)).status == 403


async def test_what_the_provider_refuses_is_told(browser: Browser) -> None:
    way = await browser.get("/sign-in/oidc", follow=False)
    state = way.headers["Location"].partition("state=")[2].partition("&")[0]
    assert (await browser.get(f"{CALLBACK}?error=access_denied&state={state}")).status == 403


@pytest.mark.parametrize("wanted", ["//elsewhere.example", "https://elsewhere.example"])
async def test_nobody_is_led_elsewhere(browser: Browser, wanted: str) -> None:
    assert (await browser.get(f"/sign-in/oidc?next={wanted}")).path == "/who"


async def test_a_provider_that_is_away_is_waited_for_by_the_person(browser: Browser, service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    away = Service(service.url, oidc_issuer=f"http://127.0.0.1:{port}", oidc_client_id=CLIENT)
    service.app.state.provider = away.app.state.provider
    shown = await browser.get("/sign-in/oidc")
    assert (shown.status, shown.headers["Retry-After"]) == (503, "5")


async def test_without_a_provider_people_sign_in_by_keys_alone(browser: Browser, service: Service) -> None:
    service.app.state.provider = None
    assert (await browser.get("/sign-in/oidc")).status == 404
    assert (await browser.get(f"{CALLBACK}?code=x&state=y")).status == 404


async def test_failed_sign_ins_are_throttled_and_others_are_not(
    browser: Browser, service: Service, provider: SignInProvider
) -> None:
    service.app.state.attempts = Attempts(per_minute=6, burst=4)
    for _ in range(4):
        assert (await browser.get("/sign-in/oidc?next=/who")).status == 200
    provider.wrong = {"nonce": "wrong"}  # each fails on the way there, which counts, and on the way back
    assert [(await browser.get("/sign-in/oidc")).status for _ in range(3)] == [403, 403, 429]
