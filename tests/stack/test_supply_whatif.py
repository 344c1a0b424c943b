"""What would be left if a source stopped, and what is interrupted, as the service answers it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.supply_given import event

JSON = dict[str, Any]
DAY = "2026-06-30"


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


async def test_without_its_only_maker_nothing_of_a_product_is_left(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)

    def of(kind: str, id: str, **told: Any) -> JSON:
        return event(kind, f"{product}/{id}", source=maker.source, gtin=product, **told)

    await maker.send(
        of("batch.produced", "p", quantity=100, manufacturer=maker.gln, produced_on="2026-03-01"),
        of("batch.released", "r", quantity=100, released_on="2026-03-02"),
        of("stock.adjusted", "a", delta=-40),
        of("export.shipped", "e", quantity=10, exporter=maker.gln, shipped_on="2026-04-01"),
    )
    known = await ledger.holds(maker)
    about = {"scope": f"gtin:{product}", "effective": DAY, "known": known}
    found = await ledger.get("/whatif", manufacturer=maker.gln, **about)
    assert found["source"] == {"kind": "manufacturer", "key": maker.gln}
    assert found["shares"]["supply"] == {"now": "90", "without": "0"}
    (hit,) = found["products"]
    assert (hit["supplied"], hit["lost"], hit["lost_share"], hit["usable"]) == (90, 90, "1", 50)
    assert hit["lasts_months"] == {"now": None, "without": None}  # nobody has reported use
    assert [item["source"] for item in found["hardest"]["manufacturer"]] == [maker.gln]
    nobody = await ledger.get("/whatif", country="FR", **about)
    assert (nobody["products"], nobody["shares"]["supply"]) == ([], {"now": "90", "without": "90"})


@pytest.mark.parametrize(
    "query", [{"country": "FR", "site": "9520001000102"}, {"country": "fr"}, {"site": "1"}, {"scope": "x"}]
)
async def test_a_source_that_is_none_is_refused(ledger: Ledger, query: dict[str, str]) -> None:
    status, problem, _ = await ledger.call("/whatif", **query)
    assert (status, problem["status"]) == (422, 422)


async def test_an_interruption_is_shown_until_it_is_resolved(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    name = f"I-{product}"

    def said(kind: str, id: str, **told: Any) -> JSON:
        head = {"specversion": "1.0", "type": f"supply.interruption.{kind}.v1", "source": maker.source}
        return {**head, "id": f"{product}/{id}", "time": "2026-05-01T00:00:00Z", "data": {"interruption": name, **told}}

    notice = {"gtin": product, "cause": "fire", "started_on": "2026-05-01", "expected_until": "2026-06-01"}
    await maker.send(said("notified", "n", **notice), said("resolved", "r", resolved_on="2026-06-15"))
    known = await ledger.holds(maker)

    async def shown(on: str) -> list[JSON]:
        items = await ledger.items("/interruptions", effective=on, known=known)
        return [item for item in items if item["interruption"] == name]

    assert await shown("2026-04-30") == []
    (before,) = await shown("2026-06-14")
    assert (before["state"], before["days"], before["expected_until"]) == ("open", 44, "2026-06-01")
    (after,) = await shown("2026-06-15")
    assert (after["state"], after["resolved_on"], len(after["events"])) == ("resolved", "2026-06-15", 2)
    duties = await ledger.items("/obligations", effective="2026-06-14", known=known, subject=name)
    assert [(item["kind"], item["state"], item["days_left"], item["products"]) for item in duties] == [
        ("interruption", "open", -13, [f"gtin:{product}"])
    ]
