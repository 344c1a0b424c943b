"""Anomalies, obligations and goals: as last told, with the checkpoint that rests on; and as known at any moment."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.stack import Stack
from tests.stack.supply_given import Ledger, Sender, database, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import correction, event

JSON = dict[str, Any]
PAGE = 400  # each page works everything out anew, also what other tests have left behind
OPEN = ("overdrawn_lot", "id_conflict", "correction_without_original", "correction_conflict")


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


async def test_anomalies_are_answered_as_known_then_and_in_effect_on_the_day(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    lot, source = f"{product}/L1", quote(maker.source, safe="")

    def of(kind: str, id: str, **told: Any) -> JSON:
        return event(kind, f"{product}/{id}", source=maker.source, gtin=product, **told)

    shipped = of("export.shipped", "s", quantity=5, shipped_on="2026-02-02", exporter=maker.gln)
    late = of("stock.adjusted", "late", delta=-1)
    undone = correction(f"{product}/c", late, source=maker.source)
    lost = correction(f"{product}/b", late, source=maker.source)
    await maker.send(shipped, {**shipped, "time": "2026-01-04T00:00:00Z"}, undone, lost)
    before = await ledger.holds(maker)

    async def known(moment: str, **more: str) -> dict[str, JSON]:
        items = await ledger.items("/anomalies", known=moment, limit=PAGE, **more)
        mine = (item for item in items if product in item["subject"])
        return {f"{item['kind']}/{item['subject']}": item for item in mine}

    first = await known(before, effective="2026-06-30")
    assert set(first) == {
        f"overdrawn_lot/{lot}",
        f"id_conflict/{source}/{product}%2Fs",
        f"correction_without_original/{source}/{product}%2Fc",
        f"correction_without_original/{source}/{product}%2Fb",
    }
    overdrawn = first[f"overdrawn_lot/{lot}"]
    assert (overdrawn["since"], overdrawn["until"]) == ("2026-02-02", None)
    shown = [f"/events/{source}/{quote(event['id'], safe='')}" for event in overdrawn["events"]]
    assert shown and overdrawn["links"]["events"] == shown
    assert f"overdrawn_lot/{lot}" not in await known(before, effective="2026-02-01")

    async def overdrawn_is_told() -> bool:
        items = await ledger.items("/anomalies", kind="overdrawn_lot")
        return any(product in item["subject"] and item["until"] is None for item in items)

    # What begins and ends between two evaluations is never told.
    await eventually(overdrawn_is_told, timeout_seconds=60)
    released = of("batch.released", "r", quantity=5, released_on="2026-03-03")
    await maker.send(late, released, of("batch.produced", "p", quantity=5, manufacturer=maker.gln))
    after = await ledger.holds(maker)
    assert await known(before, effective="2026-06-30") == first
    second = await known(after, effective="2026-06-30")
    assert set(second) == {
        f"id_conflict/{source}/{product}%2Fs",
        f"correction_conflict/{source}/{product}%2Fb",
        f"unregistered_supply/{lot}",
    }
    assert f"overdrawn_lot/{lot}" in await known(after, effective="2026-03-02")
    only = await known(after, effective="2026-06-30", kind="id_conflict", subject=f"{source}/{product}%2Fs")
    assert list(only) == [f"id_conflict/{source}/{product}%2Fs"]

    async def told() -> bool:
        items = [item for item in await ledger.items("/anomalies") if product in item["subject"]]
        still = {f"{item['kind']}/{item['subject']}": item for item in items if item["until"] is None}
        over = {item["subject"]: item for item in items if item["kind"] == "overdrawn_lot"}
        if still != second or over.keys() != {lot}:
            return False
        assert [event["id"] for event in over[lot]["ended_by"]] == [f"{product}/r"]
        return bool(over[lot]["until"] == "2026-03-03")

    await eventually(told, timeout_seconds=60)  # nothing is told for a while after history has come in


async def test_what_was_told_last_names_the_checkpoint_that_it_rests_on(stack: Stack, ledger: Ledger) -> None:
    async with database(stack) as tables:
        for path in ("/anomalies", "/obligations", "/goals"):
            before = await tables.fetchval("SELECT checkpoint FROM evaluations")
            answer = await ledger.get(path)
            after = await tables.fetchval("SELECT checkpoint FROM evaluations")
            assert before <= answer["checkpoint"] <= after
            at = await tables.fetchval("SELECT at FROM checkpoints WHERE n = $1", answer["checkpoint"])
            assert answer["known"] == at.isoformat()


async def test_obligations_are_answered_as_known_then_and_in_effect_on_the_day(
    http: aiohttp.ClientSession, credentials: JSON, maker: Sender, ledger: Ledger
) -> None:
    (product,) = fresh_gtins(1)
    name = f"TA-{product}"
    goods = [{"name": "M", "substance": "m", "gtins": [product]}]
    first = {"milestone": "m1", "title": "First release", "due_on": "2026-03-01", "met_by": "first_released"}
    abroad = {"milestone": "m2", "title": "First export", "due_on": "2026-09-01", "met_by": "first_exported"}
    signed = {
        "specversion": "1.0",
        "type": "supply.transfer.signed.v1",
        "id": f"{product}/signed",
        "source": maker.source,
        "time": "2026-01-05T03:00:00Z",
        "data": {
            "agreement": name,
            "title": "T",
            "originator": "9520000009991",
            "recipient": maker.gln,
            "signed_on": "2026-01-01",
            "products": goods,
            "milestones": [first, abroad],
        },
    }
    await maker.send(signed)
    before = await ledger.holds(maker)

    async def states(moment: str, on: str) -> list[tuple[str, str, str | None, int | None]]:
        items = await ledger.items("/obligations", known=moment, effective=on, limit=1)
        mine = [item for item in items if item["subject"] == name and item["kind"] == "milestone"]
        return [(item["obligation"], item["state"], item["met_on"], item["days_left"]) for item in mine]

    still_open = [(f"{name}:m1", "open", None, -30), (f"{name}:m2", "open", None, 154)]
    assert await states(before, "2026-03-31") == still_open
    assert await states(before, "2025-12-31") == []
    made = event("batch.produced", f"{product}/p", source=maker.source, gtin=product, manufacturer=maker.gln)
    released = event("batch.released", f"{product}/r", source=maker.source, gtin=product, released_on="2026-02-20")
    sent = event("export.shipped", f"{product}/s", source=maker.source, gtin=product, shipped_on="2026-05-05")
    sent["data"]["exporter"] = maker.gln
    await maker.send(made, released, sent, correction(f"{product}/c", sent, source=maker.source))
    after = await ledger.holds(maker)
    assert await states(before, "2026-03-31") == still_open
    met = (f"{name}:m1", "met", "2026-02-20", None)
    assert await states(after, "2026-03-31") == [met, still_open[1]]
    assert await states(after, "2026-06-30") == [met, (f"{name}:m2", "open", None, 63)]
    found = await ledger.items("/obligations", known=after, obligation=f"{name}:m2", state="open")
    assert [item["obligation"] for item in found] == [f"{name}:m2"]


async def test_goals_are_answered_as_known_then_and_in_effect_on_the_day(ledger: Ledger) -> None:
    newest = (await ledger.get("/ledger/checkpoints", limit=1))["items"][0]
    answer = await ledger.get("/goals", known=newest["at"], effective="2027-01-01")
    assert (answer["checkpoint"], answer["effective"]) == (newest["n"], "2027-01-01")
    goals = {item["goal"]: item for item in (await ledger.get("/goals"))["items"]}
    assert {item["goal"] for item in answer["items"]} == goals.keys()
    assert {item["on"] for item in answer["items"]} == {"2027-01-01"}
    (some, *_) = goals
    one = await ledger.get(f"/goals/{some}", known=newest["at"], effective="2027-01-01")
    assert {name: one[name] for name in ("goal", "on", "checkpoint")} == {
        "goal": some,
        "on": "2027-01-01",
        "checkpoint": newest["n"],
    }
