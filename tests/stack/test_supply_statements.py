"""Statements of lots and events on the running service: filters, pages, and what became of an event."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.stack.supply_given import EFFECTIVE, Ledger, Sender, fresh_gtins
from tests.supply_given import correction, event

JSON = dict[str, Any]


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


def made(maker: Sender, id: str, **told: Any) -> JSON:
    return event("batch.produced", id, source=maker.source, manufacturer=maker.gln, **told)


def released(maker: Sender, id: str, **told: Any) -> JSON:
    return event("batch.released", id, source=maker.source, **told)


def event_path(source: str, id: str) -> str:
    return f"/events/{quote(source, safe='')}/{quote(id, safe='')}"


def registry_event(kind: str, id: str, source: str, **data: Any) -> JSON:
    time = "2026-01-05T03:00:00Z"
    return {"specversion": "1.0", "type": f"supply.{kind}.v1", "id": id, "source": source, "time": time, "data": data}


async def test_balances_are_filtered_by_product_lot_origin_and_atc_page_by_page(
    http: aiohttp.ClientSession, credentials: JSON, maker: Sender, ledger: Ledger
) -> None:
    importer = Sender(http, credentials, "importer-1")
    regulator = Sender(http, credentials, "regulator-1")
    product, other = sorted(fresh_gtins(2))
    atc = f"V{product[-5:-3]}XX{product[-3:-1]}"  # a code that no other test uses
    await maker.send(
        *(made(maker, f"{product}/{lot}", gtin=product, lot=lot) for lot in ("A", "B", "C")),
        *(released(maker, f"{gtin}/u{lot}", gtin=gtin, lot=lot) for gtin in (product, other) for lot in ("C", "U")),
    )
    received = event("import.received", f"{product}/i", source=importer.source, gtin=product, lot="I")
    received["data"]["importer"] = importer.gln
    await importer.send(received)
    grant = registry_event(
        "registration.granted",
        f"{product}/grant",
        regulator.source,
        authorisation=f"VD-{product}",
        product={"name": "M", "substance": "m", "atc": atc, "form": "tablet", "class": "generic"},
        packs=[{"gtin": product, "pack_size": 30}],
        origin="domestic",
        holder=maker.gln,
        manufacturer=maker.gln,
        granted_on="2024-01-01",
        expires_on="2029-01-01",
    )
    await regulator.send(grant)
    known = await ledger.holds(maker, importer, regulator)

    async def lots(**filters: Any) -> list[str]:
        found = await ledger.items("/balances", known=known, effective=EFFECTIVE, limit=2, **filters)
        assert found == sorted(found, key=lambda item: (item["gtin"], item["lot"] or ""))
        return [item["lot"] for item in found if item["gtin"] in (product, other)]

    assert await lots(gtin=product) == ["A", "B", "C", "I", "U"]
    assert await lots(gtin=product, origin="domestic") == ["A", "B", "C"]
    assert await lots(gtin=product, origin="import") == ["I"]
    assert await lots(gtin=product, origin="unknown") == ["U"]
    assert await lots(lot="U", gtin=other) == ["U"]
    assert await lots(atc=atc) == ["A", "B", "C", "I", "U"]
    assert await lots(atc=atc, origin="unknown") == ["U"]
    (whole,) = await ledger.items("/balances", known=known, effective=EFFECTIVE, by="gtin", gtin=product)
    assert (whole["lot"], whole["places"]["available"], whole["places"]["produced"]) == (None, 30, -30)


async def test_a_lots_statement_is_paged_and_ends_with_the_day_that_is_asked(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    days = [f"2026-01-{day:02d}" for day in range(5, 12)]
    told = [released(maker, f"{product}/{day}", gtin=product, lot="L", released_on=day, quantity=1) for day in days]
    await maker.send(*told, correction(f"{product}/c", told[0], source=maker.source))
    known = await ledger.holds(maker)

    async def statement(limit: int, effective: str) -> tuple[list[JSON], JSON]:
        asked = {"limit": limit, "effective": effective, "known": known}
        page = await ledger.get(f"/lots/{product}/L", **asked)
        found: list[JSON] = page.pop("transfers")
        while page["next"] is not None:
            page = await ledger.get(f"/lots/{product}/L", **asked, cursor=page["next"])
            found += page.pop("transfers")
        return found, page

    whole, lot = await statement(100, EFFECTIVE)
    assert [(item["effective_on"], item["reversal"]) for item in whole] == [
        *((day, False) for day in days),
        (days[0], True),
    ]
    assert (whole[-1]["event"]["id"], lot["places"]["available"]) == (f"{product}/c", 6)
    assert await statement(3, EFFECTIVE) == (whole, lot)
    upto, lot = await statement(2, days[2])
    assert [item["effective_on"] for item in upto] == [*days[:3], days[0]]
    assert lot["places"]["available"] == 2


async def test_the_unnamed_lot_and_lots_that_only_marks_name_have_statements(
    http: aiohttp.ClientSession, credentials: JSON, maker: Sender, ledger: Ledger
) -> None:
    distributor = Sender(http, credentials, "distributor-1")
    (product,) = fresh_gtins(1)
    used = event("consumption.reported", f"{product}/u", source=distributor.source, gtin=product, lot=None, quantity=4)
    await distributor.send(used)
    recall = event("batch.recalled", f"{product}/x", source=maker.source, gtin=product, lot="X")
    await maker.send(recall, event("recall.closed", f"{product}/y", source=maker.source, gtin=product, lot="Y"))
    await ledger.holds(maker, distributor)
    unnamed = await ledger.get(f"/lots/{product}/", effective=EFFECTIVE)
    assert (unnamed["lot"], unnamed["origin"], unnamed["places"]["consumed"]) == (None, "unknown", 4)
    recalled = await ledger.get(f"/lots/{product}/X", effective=EFFECTIVE)
    assert (recalled["recalled_on"], recalled["transfers"]) == ("2026-01-05", [])
    closed = await ledger.get(f"/lots/{product}/Y", effective=EFFECTIVE)
    assert (closed["recalled_on"], closed["transfers"], closed["origin"]) == (None, [], "unknown")
    shown = (await ledger.get("/balances", gtin=product, effective=EFFECTIVE))["items"]
    assert [item["lot"] for item in shown] == [None, "X", "Y"]
    told = await ledger.get(event_path(maker.source, recall["id"]))
    assert (told["state"], told["transfers"]) == ("recorded", [])


async def test_an_event_tells_its_corrections_in_their_order_and_its_anomalies(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    said = released(maker, f"{product}/r", gtin=product, quantity=9)
    first = correction(f"{product}/a", said, released(maker, "", gtin=product, quantity=5), source=maker.source)
    last = correction(f"{product}/b", said, source=maker.source)
    accepted = await maker.send(said, last, first, {**said, "time": "2026-01-04T00:00:00Z"})
    known = await ledger.holds(maker)
    told = await ledger.get(event_path(maker.source, said["id"]), known=known)
    assert told["state"] == "no_effect"
    assert told["corrected_by"] == [{"source": maker.source, "id": item["id"]} for item in (first, last)]
    (anomaly,) = told["anomalies"]
    subject = quote(maker.source, safe="") + "/" + quote(said["id"], safe="")
    assert (anomaly["kind"], anomaly["subject"], anomaly["until"]) == ("id_conflict", subject, None)
    stands, refused = ({name: item[name] for name in ("topic", "partition", "offset")} for item in accepted[::3])
    assert anomaly["events"] == [{"source": maker.source, "id": said["id"], **place} for place in (stands, refused)]
    assert {name: told[name] for name in stands} == stands
    assert [{name: item[name] for name in refused} for item in told["refused"]] == [refused]
    places = ["/".join(str(part) for part in place.values()) for place in (refused, stands)]
    assert places == [word for word in anomaly["detail"].split() if "/" in word]

    lost = await ledger.get(event_path(maker.source, first["id"]), known=known)
    assert (lost["state"], lost["transfers"], lost["corrected_by"]) == ("conflict", [], [])
    assert [(item["kind"], item["events"][0]["id"]) for item in lost["anomalies"]] == [
        ("correction_conflict", first["id"])
    ]
    open_ones = await ledger.items("/anomalies", kind="correction_conflict", known=known)
    for item in open_ones:
        del item["links"]
    assert all(item in open_ones for item in lost["anomalies"])


async def test_what_a_stranger_says_of_an_agreement_has_no_effect(
    http: aiohttp.ClientSession, credentials: JSON, maker: Sender, ledger: Ledger
) -> None:
    stranger = Sender(http, credentials, "manufacturer-2")
    (product,) = fresh_gtins(1)
    agreement = f"T-{product}"
    signed = registry_event(
        "transfer.signed",
        f"{product}/signed",
        maker.source,
        agreement=agreement,
        title="T",
        originator="4000000000006",
        recipient=maker.gln,
        signed_on="2026-01-01",
        products=[{"name": "M", "substance": "m"}],
        milestones=[{"milestone": "m1", "title": "first"}],
    )
    reached = [
        registry_event(
            "transfer.reached",
            f"{product}/reached",
            sender.source,
            agreement=agreement,
            milestone="m1",
            reached_on="2026-01-02",
        )
        for sender in (maker, stranger)
    ]
    await stranger.send(reached[1])
    await ledger.holds(stranger)
    assert (await ledger.get(event_path(stranger.source, reached[1]["id"])))["state"] == "recorded"
    await maker.send(signed, reached[0])
    await ledger.holds(maker, stranger)
    states = [(await ledger.get(event_path(item["source"], item["id"])))["state"] for item in (signed, *reached)]
    assert states == ["recorded", "recorded", "no_effect"]


async def test_a_producer_sees_its_own_events_alone(
    http: aiohttp.ClientSession, credentials: JSON, maker: Sender, ledger: Ledger
) -> None:
    (product,) = fresh_gtins(1)
    said = released(maker, f"{product}/r", gtin=product)
    await maker.send(said)
    await ledger.holds(maker)

    async def status(producer: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {credentials['producers'][producer]['key']}"}
        async with http.get(credentials["supply"] + path, headers=headers) as answer:
            return answer.status

    path = event_path(maker.source, said["id"])
    assert [await status(name, path) for name in ("manufacturer-1", "manufacturer-2")] == [200, 403]
    assert await status("manufacturer-1", "/balances") == 403
