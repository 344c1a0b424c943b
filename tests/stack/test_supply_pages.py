"""The pages of supply as a person walks through them: from a goal to an event, in two languages, on the real stack."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.stack.browser import Browser, Shown
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import event

JSON = dict[str, Any]
GOAL = "vn-2030-domestic-volume"


@pytest.fixture
async def reader(credentials: JSON) -> AsyncIterator[Browser]:
    """A viewer's browser at supply."""
    opened = Browser(credentials["supply"])
    await opened.sign_in(credentials["keys"]["viewer"])
    yield opened
    await opened.close()


@pytest.fixture
def regulator(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "regulator-1")


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


def links(shown: Shown, path: str) -> list[str]:
    """Where the page leads to under a path."""
    return [unescape(link) for link in re.findall(r'href="([^"]+)"', shown.text) if unescape(link).startswith(path)]


async def known_product(regulator: Sender, maker: Sender, ledger: Ledger, gtin: str) -> None:
    """A registered product of which a lot was made and released."""
    granted = {
        "specversion": "1.0",
        "type": "supply.registration.granted.v1",
        "id": f"{gtin}/granted",
        "source": regulator.source,
        "time": "2026-01-02T03:00:00Z",
        "data": {
            "authorisation": f"VD-{gtin[-6:]}-26",
            "product": {
                "name": f"Pagol {gtin}",
                "substance": "pagolin",
                "atc": "A10BA02",
                "form": "tablet",
                "class": "generic",
            },
            "packs": [{"gtin": gtin, "pack_size": 30, "ddd_per_pack": "15"}],
            "origin": "domestic",
            "local_step": "full",
            "holder": maker.gln,
            "manufacturer": maker.gln,
            "granted_on": "2026-01-02",
            "expires_on": "2031-01-02",
        },
    }
    await regulator.send(granted)
    lot = {"gtin": gtin, "lot": "P/1", "source": maker.source}
    made = event("batch.produced", f"{gtin}/p", **lot, quantity=1_234, manufacturer=maker.gln)
    await maker.send(made, event("batch.released", f"{gtin}/r", **lot, quantity=1_234))
    await ledger.holds(regulator, maker)


async def test_a_reader_walks_from_a_goal_to_the_event_behind_it(
    reader: Browser, regulator: Sender, maker: Sender, http: aiohttp.ClientSession, credentials: JSON
) -> None:
    (gtin,) = fresh_gtins(1)
    await known_product(regulator, maker, Ledger(http, credentials), gtin)

    async def goals() -> Shown:
        shown = await reader.get("/")
        assert f"/goals/{GOAL}" in links(shown, "/goals/")
        return shown

    await eventually(goals, timeout_seconds=60)
    goal = await reader.get(f"/goals/{GOAL}")
    assert '<svg role="img"' in goal.text
    (explained,) = links(goal, "/indicators/domestic_share_volume/explain")
    assert (await reader.get(explained)).status == 200

    found = await reader.get(f"/products?q=pagol+{gtin}")
    assert links(found, "/products/") == [f"/products/{gtin}"]
    product = await reader.get(f"/products/{gtin}")
    assert "pagolin" in product.text
    assert "1,234" in product.text
    lot = await reader.get(links(product, "/lots/")[0])
    assert "<h1>Lot P/1</h1>" in lot.text
    address = f"/events/{quote(maker.source, safe='')}/{quote(f'{gtin}/r', safe='')}"
    assert address in links(lot, "/events/")
    told = await reader.get(address)
    assert "supply.batch.released.v1" in told.text
    assert f"/lots/{gtin}/P%2F1" in links(told, "/lots/")


async def test_every_page_is_there_in_both_languages_and_runs_nothing_of_its_own(reader: Browser) -> None:
    for path in ("/", "/goals", "/shares", "/products", "/agreements", "/obligations", "/anomalies"):
        for language, title in (("en", "Supply Watch"), ("vi", "Nguồn cung")):
            shown = await reader.get(f"{path}?lang={language}")
            assert (shown.status, shown.path) == (200, path)
            assert f'<html lang="{language}">' in shown.text and title in shown.text
            assert "unsafe" not in shown.headers["Content-Security-Policy"]
            assert re.search(r"<style|\sstyle=|\son\w+=|<script>", shown.text) is None


async def test_a_search_finds_by_lot_authorisation_and_gtin(
    reader: Browser, regulator: Sender, maker: Sender, http: aiohttp.ClientSession, credentials: JSON
) -> None:
    (gtin,) = fresh_gtins(1)
    await known_product(regulator, maker, Ledger(http, credentials), gtin)
    for wanted in (gtin, gtin[4:], f"VD-{gtin[-6:]}", f"vd-{gtin[-6:].lower()}"):
        assert f"/products/{gtin}" in links(await reader.get(f"/products?q={wanted}"), "/products/")
    assert links(await reader.get("/products?q=P/"), "/lots/")
    nothing = await reader.get("/products?q=there+is+no+such+thing")
    assert links(nothing, "/products/") == [] and 'class="empty"' in nothing.text


async def test_what_is_not_there_is_told_by_a_page(reader: Browser) -> None:
    for path in (
        "/goals/none",
        "/products/09999999999994",
        "/lots/09999999999994/X",
        "/agreements/none",
        "/events/a/b",
    ):
        shown = await reader.get(path)
        assert shown.status == 404
        assert "<h1>Not found</h1>" in shown.text
    assert (await reader.get("/lots/abc/X")).status == 422


async def test_programs_are_answered_with_json_at_the_same_paths(
    http: aiohttp.ClientSession, credentials: JSON
) -> None:
    ledger = Ledger(http, credentials)
    for path in ("/goals", "/obligations", "/anomalies", "/registry/agreements"):
        assert "items" in await ledger.get(path)


async def test_pages_are_for_readers_and_a_producer_sees_its_own_events_alone(
    browser: Browser, credentials: JSON
) -> None:
    supply = credentials["supply"]
    assert (await browser.get(f"{supply}/")).path == "/sign-in"
    await browser.sign_in(credentials["producers"]["manufacturer-1"]["key"])
    assert (await browser.get(f"{supply}/")).status == 403
    assert (await browser.get(f"{supply}/events/urn%3Agln%3A9520000000004/none")).status in (403, 404)
