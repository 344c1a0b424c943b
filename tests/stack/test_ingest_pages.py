"""The catalogue as a person sees it, signing in and out, and judging an event without sending it."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.access import SESSION_COOKIE
from shared.events.cloudevent import BATCH, STRUCTURED
from shared.settings import ROOT
from tests.stack.browser import Browser
from tests.stack.trusted_log import Log

TYPE = "supply.batch.produced.v1"


@pytest.fixture
def maker(credentials: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = credentials["producers"]["manufacturer-1"]
    return found


async def test_a_browser_is_sent_to_sign_in_and_then_to_where_it_wanted(
    browser: Browser, maker: dict[str, Any]
) -> None:
    asked = await browser.get(f"/catalogue/{TYPE}")
    assert asked.path == "/sign-in"
    wanted = re.search(r'name="next" value="([^"]*)"', asked.text)
    assert wanted is not None
    form = {"csrf": asked.token(), "key": maker["key"], "next": unescape(wanted[1])}
    shown = await browser.post("/sign-in", form)
    assert (shown.status, shown.path) == (200, f"/catalogue/{TYPE}")
    assert '<h1 lang="en">Batch produced</h1>' in shown.text
    assert f"urn:gln:{min(maker['gln'])}" in unescape(shown.text)


async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_forms_of_other_sites(
    browser: Browser, maker: dict[str, Any]
) -> None:
    form = {"csrf": (await browser.get("/sign-in")).token(), "key": maker["key"]}
    onward = await browser.post("/sign-in", form, follow=False)
    (told,) = [cookie for cookie in onward.headers.getall("Set-Cookie") if cookie.startswith(SESSION_COOKIE)]
    value, *attributes = told.split("; ")
    assert set(attributes) == {"HttpOnly", "Max-Age=28800", "Path=/", "SameSite=lax"}
    assert maker["key"] not in value


async def test_a_page_runs_no_script_and_no_style_of_its_own(browser: Browser, maker: dict[str, Any]) -> None:
    await browser.sign_in(maker["key"])
    for path in ("/catalogue", f"/catalogue/{TYPE}", "/sign-in", "/sign-out", "/nowhere"):
        shown = await browser.get(path)
        policy = shown.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", shown.text) is None
        stylesheet = re.search(r'rel="stylesheet" href="([^"]+)"', shown.text)
        assert stylesheet is not None
        assert (await browser.get(stylesheet[1])).headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("key", ["", "nonsense", "sw_aaaaaaaaaaaa_" + "a" * 43])
async def test_a_wrong_key_does_not_sign_in(browser: Browser, key: str) -> None:
    shown = await browser.sign_in(key)
    assert (shown.status, shown.path) == (401, "/sign-in")
    assert "not valid" in shown.text
    assert SESSION_COOKIE not in browser.cookies()


@pytest.mark.parametrize("token", ["", "x", "0" * 64])
async def test_a_form_of_another_site_does_not_sign_in(browser: Browser, maker: dict[str, Any], token: str) -> None:
    await browser.get("/sign-in")
    shown = await browser.post("/sign-in", {"csrf": token, "key": maker["key"]})
    assert shown.status == 403
    assert SESSION_COOKIE not in browser.cookies()


async def test_the_token_of_one_browser_is_of_no_use_at_another(browser: Browser, maker: dict[str, Any]) -> None:
    theirs = (await browser.get("/sign-in")).token()
    browser.forget("supply_watch_form")
    await browser.get("/sign-in")
    assert (await browser.post("/sign-in", {"csrf": theirs, "key": maker["key"]})).status == 403


@pytest.mark.parametrize(
    "wanted", ["//elsewhere.example", "/\\elsewhere.example", "http://elsewhere.example", "x\r\ny"]
)
async def test_nobody_is_led_elsewhere_after_signing_in(browser: Browser, maker: dict[str, Any], wanted: str) -> None:
    assert (await browser.sign_in(maker["key"], wanted)).path == "/"


async def test_a_session_is_one_for_the_host_and_reads_what_its_role_may(
    browser: Browser, credentials: dict[str, Any]
) -> None:
    await browser.sign_in(credentials["keys"]["viewer"])
    for service, path in (("supply", "/goals"), ("alerts", "/alerts"), ("ingest", "/asyncapi.json")):
        assert (await browser.get(credentials[service] + path)).status == 200
    assert (await browser.get("/producers")).status == 403


async def test_a_session_alone_changes_nothing(browser: Browser, credentials: dict[str, Any]) -> None:
    await browser.sign_in(credentials["keys"]["admin"])
    assert (await browser.post("/keys", {"role": "admin", "label": "forged"})).status == 403
    assert (await browser.post(credentials["alerts"] + "/endpoints", {"url": "http://127.0.0.1"})).status == 403


async def test_signing_out_takes_the_cookie_away(browser: Browser, maker: dict[str, Any]) -> None:
    page = await browser.sign_in(maker["key"])
    assert (await browser.post("/sign-out", {"csrf": "0" * 64})).status == 403
    assert SESSION_COOKIE in browser.cookies()
    out = await browser.post("/sign-out", {"csrf": page.token()})
    assert (out.status, out.path) == (200, "/sign-in")
    assert SESSION_COOKIE not in browser.cookies()
    assert (await browser.get("/catalogue")).path == "/sign-in"


async def test_a_session_ends_with_its_key(
    browser: Browser, http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    admin = {"Authorization": f"Bearer {credentials['keys']['admin']}"}
    keys = f"{credentials['ingest']}/keys"
    async with http.post(keys, json={"role": "viewer", "label": "short"}, headers=admin) as answer:
        issued = await answer.json()
    assert (await browser.sign_in(issued["key"])).path == "/"
    async with http.delete(f"{keys}/{issued['key_id']}", headers=admin) as answer:
        assert answer.status == 204
    assert (await browser.get("/catalogue")).path == "/sign-in"


async def test_the_form_judges_as_post_events_would_and_sends_nothing(
    browser: Browser, maker: dict[str, Any], log: Log
) -> None:
    page = await browser.sign_in(maker["key"], f"/catalogue/{TYPE}")
    before = await log.size()
    written = unescape(re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)[0])
    form = {"csrf": page.token(), "event": written.replace("\n", "\r\n")}
    good = await browser.post(f"/catalogue/{TYPE}/validate", form)
    assert (good.status, "Valid: POST /events would accept it" in good.text) == (200, True)
    wrong = written.replace("09520000010010", "09520000010011").replace("A2603-01", "<b>A</b>")
    bad = await browser.post(f"/catalogue/{TYPE}/validate", {**form, "event": wrong})
    assert bad.status == 422
    assert "<code>data.gtin</code>" in bad.text
    assert "check_digit" in bad.text
    assert "<b>A</b>" not in bad.text
    assert "&lt;b&gt;A&lt;/b&gt;" in bad.text
    assert (await browser.post(f"/catalogue/{TYPE}/validate", {**form, "csrf": "0" * 64})).status == 403
    assert await log.size() == before


def _judged_alike(maker: dict[str, Any]) -> list[tuple[str, bytes]]:
    source = f"urn:gln:{maker['gln'][0]}"
    data = {"gtin": "09520000010010", "lot": "V-1", "quantity": 5, "released_on": "2026-03-12"}
    event = {
        "specversion": "1.0",
        "id": "v-1",
        "source": source,
        "type": "supply.batch.released.v1",
        "time": "2026-03-12T09:30:00+07:00",
        "data": data,
    }
    changes: list[Any] = [
        event | {"data": data | {"gtin": "1"}},
        event | {"data": data | {"quantity": "5"}, "time": "2999-01-01T00:00:00Z"},
        event | {"source": "urn:gln:9521000000032"},
        event | {"type": "supply.price.declared.v1"},
        event | {"type": "supply.nothing.v1"},
        event | {"specversion": "0.3"},
        [],
    ]
    bodies = [(STRUCTURED, json.dumps(change).encode()) for change in changes]
    bodies += [(BATCH, json.dumps([event, change]).encode()) for change in changes[:4]]
    return [*bodies, (STRUCTURED, b"{"), ("text/plain", b"x"), ("application/json", b"{}"), (BATCH, b"[{}]")]


async def test_over_the_api_every_judgement_is_that_of_post_events(
    http: aiohttp.ClientSession, credentials: dict[str, Any], maker: dict[str, Any]
) -> None:
    url = credentials["ingest"]

    async def answer(path: str, content_type: str, body: bytes) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {maker['key']}", "Content-Type": content_type}
        async with http.post(url + path, data=body, headers=headers) as found:
            told = await found.json(content_type=None)
        return found.status, [(fault["index"], fault["field"], fault["code"]) for fault in told["errors"]]

    for content_type, body in _judged_alike(maker):
        validated = await answer(f"/catalogue/{TYPE}/validate", content_type, body)
        assert validated[0] >= 400
        assert validated == await answer("/events", content_type, body), body


@pytest.mark.parametrize("service", ["ingest", "supply", "alerts"])
async def test_what_is_served_is_what_is_committed(
    http: aiohttp.ClientSession, credentials: dict[str, Any], service: str
) -> None:
    headers = {"Authorization": f"Bearer {credentials['keys']['viewer']}"}
    async with http.get(f"{credentials[service]}/openapi.json", headers=headers) as answer:
        assert await answer.json() == json.loads(Path(ROOT, "services", service, "openapi.json").read_text("utf-8"))


async def test_the_asyncapi_document_names_the_kafka_of_this_stack(
    http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {credentials['keys']['viewer']}"}
    async with http.get(f"{credentials['ingest']}/asyncapi.json", headers=headers) as answer:
        served = await answer.json()
    assert served["servers"]["kafka-1"]["host"] == credentials["kafka"]["bootstrap"]
    committed = json.loads(Path(ROOT, "services/ingest/asyncapi.json").read_text("utf-8"))
    assert {**served, "servers": None} == {**committed, "servers": None}
