"""Producers and keys as an administrator sees them at a browser; a key is shown once."""

from __future__ import annotations

import re
import uuid
from html import unescape
from typing import Any

import aiohttp

from tests.stack.browser import Browser, Shown
from tests.stack.pages_given import fresh_gln


def shown_key(page: Shown) -> str:
    [key] = set(re.findall(r"sw_[a-z2-7]{12}_[\w-]{43}", page.text))
    return str(key)


async def accepted(http: aiohttp.ClientSession, url: str, key: str) -> bool:
    async with http.get(f"{url}/catalogue", headers={"Authorization": f"Bearer {key}"}) as answer:
        return answer.status == 200


async def test_a_producer_is_added_and_its_key_issued_rotated_and_revoked(
    browser: Browser, http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    await browser.sign_in(credentials["keys"]["admin"])
    form = {"csrf": (await browser.get("/producers/new")).token(), "country": "vn"}
    name = f"firm-{uuid.uuid4().hex[:8]}"
    wrong = await browser.post("/producers", {**form, "name": "No Name", "glns": "9520000000001"})
    assert wrong.status == 422
    assert {"name-wrong", "glns-wrong", "roles-wrong"} <= set(re.findall(r'id="([a-z]+-wrong)"', wrong.text))
    assert 'value="No Name"' in wrong.text
    right = {**form, "name": name, "glns": f"{fresh_gln()}\r\n{fresh_gln()}", "role-importer": "on"}
    added = await browser.post("/producers", right)
    assert (added.status, added.path) == (200, f"/producers/{name}")
    taken = await browser.post("/producers", right)
    assert (taken.status, 'id="name-wrong"' in taken.text) == (409, True)

    issued = await browser.post(f"/producers/{name}/keys", {"csrf": form["csrf"], "label": "plant 1"})
    key = shown_key(issued)
    assert issued.status == 201 and f"inbound.{name}" in issued.text
    assert await accepted(http, credentials["ingest"], key)
    page = await browser.get(f"/producers/{name}")
    assert key not in page.text and "plant 1" in page.text
    second = await browser.post(f"/keys/{key.split('_')[1]}/rotate", {"csrf": form["csrf"]})
    assert shown_key(second) != key
    gone = {"csrf": form["csrf"], "next": f"/producers/{name}", "reason": "the first was lost"}
    revoked = await browser.post(f"/keys/{key.split('_')[1]}/revoke", gone)
    assert (revoked.status, revoked.path) == (200, f"/producers/{name}")
    assert [await accepted(http, credentials["ingest"], one) for one in (key, shown_key(second))] == [False, True]
    assert "the first was lost" in (await browser.get(f"/audit?subject={key.split('_')[1]}")).text


async def test_a_person_gets_a_key_of_a_role(browser: Browser, credentials: dict[str, Any]) -> None:
    await browser.sign_in(credentials["keys"]["admin"])
    token = (await browser.get("/keys")).token()
    wrong = await browser.post("/keys", {"csrf": token, "role": "producer", "label": ""})
    assert wrong.status == 422
    assert {"role-wrong", "label-wrong"} <= set(re.findall(r'id="([a-z]+-wrong)"', wrong.text))
    issued = await browser.post("/keys", {"csrf": token, "role": "viewer", "label": "the minister"})
    assert issued.status == 201
    other = Browser(credentials["ingest"])
    assert (await other.sign_in(shown_key(issued))).path == "/"
    await other.close()


async def test_the_first_page_tells_each_role_what_is_here_for_it(
    browser: Browser, credentials: dict[str, Any]
) -> None:
    maker = credentials["producers"]["manufacturer-1"]
    mine = await browser.sign_in(maker["key"])
    assert (mine.path, maker["gln"][0] in mine.text, maker["topic"] in mine.text) == ("/", True, True)
    assert "/producers" not in mine.text
    await browser.sign_in(credentials["keys"]["admin"])
    links = [unescape(link) for link in re.findall(r'href="([^"]*)"', (await browser.get("/")).text)]
    assert {"/producers", "/keys", "/catalogue", "/rejections", credentials["alerts"] + "/"} <= set(links)
    unknown = await browser.get("/producers/nobody")
    assert (unknown.status, "nobody" in unknown.text) == (404, True)
