"""Every route of the running services, called in every role, by key and at a browser; what a page lets a browser do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from shared.access import SESSION_COOKIE
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, AccessRecord, key_hash, key_id_of
from shared.sessions import Session
from tests.access_table import ANONYMOUS, EVERYBODY, ROLES, TABLE, Route, routes
from tests.applications import applications
from tests.stack.browser import PAGE

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
# Of whatever a path names there is none; a list of none is refused, so that nothing is replayed or sent.
SAMPLE: Final = "1"
NOTHING: Final = {"limit": "0"}
REFUSED: Final = (401, 403)
SAFE: Final = ("GET", "OPTIONS")
PAGE_POLICY: Final = {"default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"}


@pytest.fixture(scope="module")
def every_route(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Route]]:
    apps = applications(Path(tmp_path_factory.mktemp("access")))
    return {service: list(routes(app)) for service, app in apps.items()}


@pytest.fixture
def keys(credentials: dict[str, Any]) -> dict[str, str]:
    """By role."""
    return {**credentials["keys"], PRODUCER: credentials["producers"]["manufacturer-1"]["key"]}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Keeps no cookie and follows nobody."""
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=30), trust_env=False) as one:
        yield one


def address(credentials: dict[str, Any], service: str, route: Route) -> str:
    """Where the producer of these tests asks of events, it asks of its own: of others' it may not."""
    own = f"urn:gln:{credentials['producers']['manufacturer-1']['gln'][0]}"
    path = route.path.replace("{source}", quote(own, safe=""))
    return str(credentials[service]) + re.sub(r"{[^}]*}", SAMPLE, path)


def query(route: Route) -> dict[str, str]:
    return {} if route.method in SAFE else NOTHING


def told(route: Route, role: str, status: int, headers: Any) -> str | None:
    """What is wrong with this answer, by the table."""
    admitted = role in route.admits
    if not admitted and role == ANONYMOUS:
        right = status == 401 or (status == 303 and headers["Location"].startswith("/sign-in?next="))
    elif not admitted:
        right = status == 403
    else:  # nobody needs to be known where everybody may call, but a form needs its token
        right = status < 500 and (route.admits == EVERYBODY or status not in REFUSED)
    return None if right else f"{route.name} as {role}: {status}"


@pytest.mark.parametrize("service", TABLE)
async def test_every_route_answers_every_role_by_key_as_the_table_says(
    service: str,
    every_route: dict[str, list[Route]],
    client: aiohttp.ClientSession,
    credentials: dict[str, Any],
    keys: dict[str, str],
) -> None:
    wrong = []
    for route in every_route[service]:
        for role in ROLES:
            headers = {} if role == ANONYMOUS else {"Authorization": f"Bearer {keys[role]}"}
            headers |= {"Accept": "text/html"} if route.page else {}
            target = address(credentials, service, route)
            asked = client.request(
                route.method, URL(target, encoded=True), params=query(route), headers=headers, allow_redirects=False
            )
            async with asked as answer:
                fault = told(route, role, answer.status, answer.headers)
                wrong += [fault] if fault else []
    assert wrong == []


@pytest.fixture
def sessions(stack: Any, keys: dict[str, str]) -> dict[str, str]:
    """The cookie of somebody of each role, as signing in would have made it."""
    secret, later = stack.session_secret.encode(), 4_000_000_000
    made = {}
    for role, key in keys.items():
        record = AccessRecord(key_id_of(key) or "", key_hash(key), role, role)
        made[role] = Session.begin(secret, record, later).cookie()
    return made


@pytest.mark.parametrize("service", TABLE)
async def test_every_page_tells_a_browser_to_be_strict_and_every_form_has_its_token(
    service: str,
    every_route: dict[str, list[Route]],
    client: aiohttp.ClientSession,
    credentials: dict[str, Any],
    sessions: dict[str, str],
) -> None:
    wrong = []
    for route in every_route[service]:
        readers = (VIEWER, OPERATOR, ADMIN) if route.page else (ADMIN,)  # what is no page is the same for all
        for role in readers if route.method == "GET" else ():
            headers = {**PAGE, "Cookie": f"{SESSION_COOKIE}={sessions[role]}"}
            async with client.get(
                address(credentials, service, route), headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.text() if answer.content_type == "text/html" else ""
                where = f"{route.name} as {role} ({answer.status})"
                wrong += [f"{where}: {fault}" for fault in faults(answer, text)]
                if route.page and answer.status not in (303, 404, 422) and not text:
                    wrong.append(f"{where}: no page")
    assert wrong == []


def faults(answer: aiohttp.ClientResponse, text: str) -> list[str]:
    """What is too lax in an answer, a page or not."""
    policy = {part.strip() for part in answer.headers.get("Content-Security-Policy", "").split(";")}
    found = []
    if "default-src 'none'" not in policy or "frame-ancestors 'none'" not in policy:
        found.append("its policy allows what is not named")
    if answer.headers.get("X-Content-Type-Options") != "nosniff" or "Referrer-Policy" not in answer.headers:
        found.append("a header is missing")
    if not text:
        return found
    if not policy >= PAGE_POLICY or "unsafe" in str(policy) or "*" in str(policy) or "http" in str(policy):
        found.append(f"its policy is {policy}")
    if answer.headers.get("Cache-Control") != "no-store":
        found.append("it may be kept by others")
    if re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=\"/)", text):
        found.append("it has a script or style of its own")
    for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.DOTALL):
        if not re.search(r'name="csrf" value="[0-9a-f]{64}"', form):
            found.append(f"a form without its token: {form[:100]}")
    return found


@pytest.mark.parametrize("service", TABLE)
async def test_a_session_changes_nothing_without_the_token_of_a_form(
    service: str,
    every_route: dict[str, list[Route]],
    client: aiohttp.ClientSession,
    credentials: dict[str, Any],
    sessions: dict[str, str],
) -> None:
    wrong = []
    for route in every_route[service]:
        for forged in ("", "0" * 64) if route.method not in SAFE else ():
            headers = {**FORM, "Cookie": f"{SESSION_COOKIE}={sessions[ADMIN]}", **(PAGE if route.page else {})}
            body = f"csrf={forged}&reason=x"
            asked = client.request(route.method, address(credentials, service, route), data=body, headers=headers)
            async with asked as answer:
                if answer.status not in REFUSED:
                    wrong.append(f"{route.name}: {answer.status}")
    assert wrong == []
