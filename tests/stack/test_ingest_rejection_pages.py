"""What was refused, as a person sees it: lists, one with what was sent, and replays from a form."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest

from tests.stack.browser import Browser, Shown
from tests.stack.kafka_way import Way, record
from tests.stack.waiting import eventually

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def key(credentials: dict[str, Any]) -> str:
    """The first manufacturer's."""
    return str(credentials["producers"]["manufacturer-1"]["key"])


async def refused(way: Way, *values: bytes | None) -> list[dict[str, Any]]:
    """What came of records with these values, in their order."""
    first = await way.send(0, [record(value) for value in values])
    wanted = range(first, first + len(values))

    async def all_kept() -> list[dict[str, Any]]:
        return [one for one in await way.rejections() if one["partition"] == 0 and one["offset"] in wanted]

    await eventually(lambda: all_are_there(way, wanted))
    return sorted(await all_kept(), key=lambda one: one["offset"])


async def all_are_there(way: Way, offsets: range) -> bool:
    found = {one["offset"] for one in await way.rejections() if one["partition"] == 0}
    return set(offsets) <= found


def links(page: Shown) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="(/rejections[^"]*)"', page.text)]


async def test_a_producer_sees_its_own_by_filters_page_by_page(browser: Browser, way: Way, key: str) -> None:
    found = await refused(way, b"{", None, b"[")
    since = found[0]["received_at"]
    page = await browser.sign_in(key, f"/rejections?since={since}&topic={way.topic}&limit=2")
    assert (page.status, page.path) == (200, "/rejections")
    assert "<h1>Rejections</h1>" in page.text
    assert '<th scope="col">Producer</th>' not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    (older,) = [link for link in links(page) if "cursor=" in link]
    assert f"/rejections/{found[2]['id']}" in links(page)
    rest = await browser.get(older)
    assert [f"/rejections/{one['id']}" in links(rest) for one in found] == [True, False, False]
    empty_fields = "producer=&kind=&code=no_value&state=&until="
    filtered = await browser.get(f"/rejections?since={since}&topic={way.topic}&{empty_fields}")
    assert [f"/rejections/{one['id']}" in links(filtered) for one in found] == [False, True, False]


async def test_where_there_is_nothing_it_says_so(browser: Browser, key: str) -> None:
    page = await browser.sign_in(key, "/rejections?code=no_such_code")
    assert (page.status, "There are none like that." in page.text) == (200, True)
    wrong = await browser.get("/rejections?state=lost")
    assert (wrong.status, "<code>state</code>" in wrong.text, "<code>choice</code>" in wrong.text) == (422, True, True)


async def test_another_producer_sees_nothing_of_it(browser: Browser, way: Way, credentials: dict[str, Any]) -> None:
    (found,) = await refused(way, b"{")
    page = await browser.sign_in(credentials["producers"]["manufacturer-2"]["key"], f"/rejections?topic={way.topic}")
    assert f"/rejections/{found['id']}" not in links(page)
    assert (await browser.get(f"/rejections/{found['id']}")).status == 404
    replayed = await browser.post(f"/rejections/{found['id']}/replay", {"csrf": page.token()})
    assert replayed.status == 404


async def test_what_was_sent_is_shown_as_text_or_byte_by_byte_and_never_as_markup(
    browser: Browser, way: Way, key: str
) -> None:
    named = [(SCRIPT.encode(), b"\x00\xff")]
    offset = await way.send(
        0, [record(json.dumps(way.event("x", type=SCRIPT)).encode()), record(b"\x00\xfe<b>", named)]
    )
    await eventually(lambda: all_are_there(way, range(offset, offset + 2)))
    ids = {one["offset"]: one["id"] for one in await way.rejections() if one["partition"] == 0}
    text = await browser.sign_in(key, f"/rejections/{ids[offset]}")
    assert (text.status, SCRIPT in text.text, SCRIPT in unescape(text.text)) == (200, False, True)
    assert way.event("x")["id"] in text.text
    raw = await browser.get(f"/rejections/{ids[offset + 1]}")
    assert "000000  00 fe 3c 62 3e" in raw.text
    assert "000000  00 ff" in raw.text
    assert "<b>" not in raw.text
    assert SCRIPT in unescape(raw.text)


async def test_viewers_see_neither_what_was_sent_nor_a_button(
    browser: Browser, way: Way, credentials: dict[str, Any]
) -> None:
    (found,) = await refused(way, b'{"secret": 1')
    page = await browser.sign_in(credentials["keys"]["viewer"], f"/rejections/{found['id']}")
    assert (page.status, "secret" in page.text, "/replay" in page.text) == (200, False, False)
    assert '<th scope="col">Producer</th>' in (await browser.get("/rejections")).text
    assert (await browser.post(f"/rejections/{found['id']}/replay", {"csrf": page.token()})).status == 403


async def test_a_replay_from_the_page_needs_its_form_and_says_what_came_of_it(
    browser: Browser, way: Way, key: str
) -> None:
    (found,) = await refused(way, b"{")
    page = await browser.sign_in(key, f"/rejections/{found['id']}")
    path = f"/rejections/{found['id']}/replay"
    assert (await browser.post(path, {"csrf": "0" * 64})).status == 403
    assert (await browser.post(path, {})).status == 403
    again = await browser.post(path, {"csrf": page.token()})
    assert (again.status, "Refused again: <code>json</code>" in again.text) == (200, True)
    since = found["received_at"]
    many = await browser.post(f"/rejections/replay?code=json&since={since}", {"csrf": again.token()})
    assert many.status == 200
    assert "0 accepted, 1 refused again." in many.text
    assert f"/rejections/{found['id']}" in links(many)
