"""From a value, and from a goal, links lead to the formula, the inputs and the very events behind them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import aiohttp
import pytest

from services.supply.indicators import INDICATORS
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.supply_given import correction, event

JSON = dict[str, Any]
DAY = "2026-06-30"


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


async def pages(ledger: Ledger, link: str, limit: int) -> list[JSON]:
    """Every event behind a value, read page by page."""
    found: list[JSON] = []
    asked: JSON = {"limit": limit}
    while True:
        answer = await ledger.get(link, **asked)
        found += answer["items"]
        if answer["next"] is None:
            return found
        asked["cursor"] = answer["next"]


async def test_a_value_is_explained_down_to_each_event(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)

    def of(kind: str, id: str, **told: Any) -> JSON:
        return event(kind, f"{product}/{id}", source=maker.source, gtin=product, **told)

    made = {"manufacturer": maker.gln}
    released = of("batch.released", "r1", quantity=50)
    events = [
        of("batch.produced", "p1", quantity=100, **made),
        released,
        correction(f"{product}/c1", released, of("batch.released", "r1", quantity=70), source=maker.source),
        of("batch.produced", "p2", lot="L2", quantity=20, **made),
        of("batch.released", "r2", lot="L2", quantity=20),
        of("export.shipped", "e2", lot="L2", quantity=5, exporter=maker.gln, value=900),
        of("batch.released", "u", lot="NOBODY", quantity=3),
        of("batch.recalled", "k", lot="L2", recalled_on=DAY),
    ]
    await maker.send(*events)
    known = await ledger.holds(maker)
    about = {"name": "domestic_share_volume", "scope": f"gtin:{product}", "effective": DAY, "known": known}
    (value,) = (await ledger.get("/indicators", **about))["items"]
    link = value["links"]["explain"]
    explained = await ledger.get(link)
    assert {name: explained[name] for name in value if name != "links"} == {
        k: v for k, v in value.items() if k != "links"
    }
    assert explained["formula"] == "D / (D + I)"
    terms = {term["input"]: term for term in explained["terms"]}
    # 70 packs of L1; L2 is recalled, and of its 20 packs none was used: 0
    assert (terms["domestic"]["value"], terms["imported"]["value"], terms["reached_packs"]["value"]) == (
        "70",
        "0",
        "93",
    )
    assert all(term["meaning"] for term in terms.values())
    assert Counter((item["input"], item["id"].removeprefix(f"{product}/")) for item in explained["items"]) == {
        **{("domestic", id): 1 for id in ("p1", "r1", "p2", "r2", "e2")},
        ("domestic", "c1"): 2,
        ("not_counted", "u"): 1,
        ("products", "k"): 1,
    }
    for limit in (1, 3, 100):
        assert await pages(ledger, link, limit) == explained["items"]
    alone = await ledger.get(terms["not_counted"]["links"]["events"])
    assert [item["id"] for item in alone["items"]] == [f"{product}/u"]
    packs = sum(
        item["quantity"] * (1 if item["credit"] == "available" else -1)
        for item in explained["items"]
        if item["input"] == "domestic" and item["lot"] == "L1" and "available" in (item["credit"], item["debit"])
    )
    assert packs == 70
    for item in explained["items"]:
        there = await ledger.get(item["links"]["event"])
        assert (there["source"], there["id"], there["type"]) == (item["source"], item["id"], item["type"])
    before = await ledger.get(link.replace(f"effective={DAY}", "effective=2026-06-29"))
    assert {term["input"]: term["value"] for term in before["terms"]}["domestic"] == "85"  # not recalled yet


@pytest.mark.parametrize("name", [*INDICATORS, "reported:market_value"])
async def test_every_indicator_can_be_explained(ledger: Ledger, name: str) -> None:
    explained = await ledger.get(f"/indicators/{name}/explain", scope="all", effective=DAY, limit=5)
    (value,) = (await ledger.get("/indicators", name=name, scope="all", effective=DAY))["items"]
    assert (explained["value"], explained["why"]) == (value["value"], value["why"])
    assert {term["input"] for term in explained["terms"]} >= value["inputs"].keys()
    assert all(term["meaning"] for term in explained["terms"])


async def test_from_a_goal_links_lead_to_its_value(ledger: Ledger) -> None:
    goals = (await ledger.get("/goals", effective=DAY))["items"]
    assert len(goals) > 20
    for goal in goals[::6]:
        explained = await ledger.get(goal["links"]["explain"], limit=3)
        assert (explained["name"], explained["scope"], explained["on"]) == (
            goal["indicator"],
            goal["scope"],
            goal["on"],
        )
        assert explained["inputs"] == goal["inputs"]
        assert (await ledger.get(goal["links"]["goal"]))["goal"] == goal["goal"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/indicators/none/explain", 404),
        ("/indicators/domestic_share_volume/explain?scope=x", 422),
        ("/indicators/domestic_share_volume/explain?window=week", 422),
        ("/indicators/domestic_share_volume/explain?cursor=x", 422),
        ("/indicators/domestic_share_volume/explain?known=2999-01-01T00:00:00Z", 409),
    ],
)
async def test_what_cannot_be_explained_is_refused_with_a_reason(ledger: Ledger, path: str, status: int) -> None:
    found, problem, _ = await ledger.call(path)
    assert (found, problem["status"]) == (status, status)
