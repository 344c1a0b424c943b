"""The ledger on real Kafka and PostgreSQL: what is sent appears, and what was known does not change."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.stack import Stack
from services.supply.asof import Cut, lots_at, lots_now
from services.supply.reads import sales_at, sales_now
from services.supply.registry import Registry
from shared import topics
from shared.clock import parse_clock
from shared.web import encode_cursor
from tests.reference import CORRECTED
from tests.stack.supply_given import (
    EFFECTIVE,
    Ledger,
    Sender,
    database,
    fresh_gtins,
    writer_of_trusted_topics,
)
from tests.stack.waiting import eventually
from tests.supply_given import correcting, correction, event

JSON = dict[str, Any]


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


@pytest.fixture
def regulator(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "regulator-1")


def of(sender: Sender, kind: str, id: str, **told: Any) -> JSON:
    """An event in the name of `sender`."""
    named = {"batch.produced": "manufacturer", "export.shipped": "exporter", "stock.counted": "holder"}.get(kind)
    return event(kind, id, source=sender.source, **({named: sender.gln} if named else {}), **told)


async def test_an_event_sent_by_http_appears_with_its_place_in_balances_lot_and_event(
    maker: Sender, ledger: Ledger
) -> None:
    (product,) = fresh_gtins(1)
    made = of(maker, "batch.produced", f"{product}/made", gtin=product, lot="A/1%b", quantity=100)
    released = of(maker, "batch.released", f"{product}/released", gtin=product, lot="A/1%b", quantity=70)
    places = await maker.send(made, released)
    known = await ledger.holds(maker)

    (item,) = (await ledger.get("/balances", gtin=product, effective=EFFECTIVE))["items"]
    expected = {"produced": -100, "quarantine": 30, "available": 70}
    assert {place: packs for place, packs in item["places"].items() if packs} == expected
    assert (item["lot"], item["origin"], item["usable"]) == ("A/1%b", "domestic", 70)

    lot = await ledger.get(f"/lots/{product}/{quote('A/1%b', safe='')}", effective=EFFECTIVE)
    assert (lot["origin"], lot["expires_on"], lot["supplied_on"]) == ("domestic", "2028-01-05", "2026-01-05")
    shown = [(item["debit"], item["credit"], item["quantity"], item["event"]["id"]) for item in lot["transfers"]]
    assert shown == [("produced", "quarantine", 100, made["id"]), ("quarantine", "available", 70, released["id"])]

    for sent, place in zip((made, released), places, strict=True):
        told = await ledger.get(f"/events/{quote(maker.source, safe='')}/{quote(sent['id'], safe='')}", known=known)
        assert (told["source"], told["id"], told["type"]) == (maker.source, sent["id"], sent["type"])
        assert (told["topic"], told["partition"], told["offset"]) == (
            topics.MOVEMENTS,
            place["partition"],
            place["offset"],
        )
        assert (told["state"], len(told["transfers"]), told["anomalies"]) == ("recorded", 1, [])


async def test_of_an_event_that_never_came_nothing_is_told(maker: Sender, ledger: Ledger) -> None:
    status, problem, _ = await ledger.call(f"/events/{quote(maker.source, safe='')}/never")
    assert (status, problem["errors"][0]["code"]) == (404, "not_recorded")


async def test_corrections_tell_what_became_of_them(maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    released = of(maker, "batch.released", f"{product}/r", gtin=product, quantity=100)
    less = of(maker, "batch.released", "", gtin=product, quantity=70)
    holding = correction(f"{product}/2", released, less, source=maker.source)
    losing = correction(f"{product}/1", released, source=maker.source)
    waiting = correction(f"{product}/3", {**released, "id": f"{product}/later"}, source=maker.source)
    other_type = correction(
        f"{product}/4", released, original={**released, "type": "supply.batch.rejected.v1"}, source=maker.source
    )
    await maker.send(losing, holding, waiting, released, other_type, {**released, "time": "2026-01-04T00:00:00Z"})
    await ledger.holds(maker)

    async def told(sent: JSON) -> JSON:
        return await ledger.get(f"/events/{quote(maker.source, safe='')}/{quote(sent['id'], safe='')}")

    states = [(await told(sent))["state"] for sent in (released, holding, losing, waiting, other_type)]
    assert states == ["recorded", "recorded", "conflict", "waiting", "waiting"]
    first = await told(released)
    corrected_by = {item["id"] for item in first["corrected_by"]}
    assert corrected_by >= {holding["id"], losing["id"]}
    assert [item["kind"] for item in first["anomalies"]] == ["id_conflict"]
    moved = [(item["quantity"], item["reversal"]) for item in (await told(holding))["transfers"]]
    assert moved == [(100, True), (70, False)]

    async def open_anomalies() -> bool:
        items = await ledger.items("/anomalies")
        found = {(item["kind"], item["subject"]) for item in items if item["until"] is None}
        subject = quote(maker.source, safe="") + "/" + quote(f"{product}/", safe="")
        return found >= {
            ("id_conflict", subject + "r"),
            ("correction_conflict", subject + "1"),
            ("correction_without_original", subject + "3"),
        }

    await eventually(open_anomalies)


async def test_a_correction_whose_replacement_does_not_fit_stops_nothing(maker: Sender, ledger: Ledger) -> None:
    """It is accepted at the edge, where nobody knows what it corrects."""
    (product,) = fresh_gtins(1)
    released = of(maker, "batch.released", f"{product}/r", gtin=product, quantity=100)
    inner = {"type": CORRECTED, "data": correcting(released)}
    await maker.send(released, correction(f"{product}/c", released, inner, source=maker.source))
    checkpoint = (await ledger.get("/goals"))["checkpoint"]
    await maker.send(of(maker, "batch.released", f"{product}/r2", gtin=product, quantity=5))
    await ledger.holds(maker)
    (item,) = (await ledger.get("/balances", gtin=product, effective=EFFECTIVE))["items"]
    assert item["places"]["available"] == 105

    async def evaluated_since() -> bool:
        return bool((await ledger.get("/goals"))["checkpoint"] > checkpoint)

    await eventually(evaluated_since)


async def test_what_was_known_at_a_moment_stays_the_answer_while_more_comes(
    maker: Sender, regulator: Sender, ledger: Ledger
) -> None:
    product, other = fresh_gtins(2)
    lot = of(maker, "batch.produced", f"{product}/made", gtin=product, quantity=100, lot="K")
    released = of(maker, "batch.released", f"{product}/r", gtin=product, quantity=60, lot="K")
    early = of(maker, "batch.released", f"{other}/r", gtin=other, quantity=9, lot="K")
    await maker.send(lot, released, early)
    await ledger.holds(maker)

    async def asked(known: str) -> list[Any]:
        found: list[Any] = []
        for gtin in (product, other):
            found.append(await ledger.get("/balances", gtin=gtin, known=known, effective=EFFECTIVE))
            found.append(await ledger.get(f"/lots/{gtin}/K", known=known, effective=EFFECTIVE))
            about = {"name": "domestic_share_volume", "scope": f"gtin:{gtin}"}
            found.append(await ledger.get("/indicators", **about, known=known, effective=EFFECTIVE))
        event_id = quote(released["id"], safe="")
        found.append(await ledger.get(f"/events/{quote(maker.source, safe='')}/{event_id}", known=known))
        found.append(await ledger.get("/registry/authorisations", known=known, effective=EFFECTIVE))
        return found

    newest = await ledger.get("/balances", gtin=product, effective=EFFECTIVE)
    first = await asked(newest["known"])
    assert first[0] == newest
    assert first[2]["items"][0]["value"] == "1"

    less = of(maker, "batch.released", "", gtin=product, quantity=1, lot="K")
    await maker.send(
        correction(f"{product}/c", released, less, source=maker.source),
        correction(f"{product}/c2", lot, source=maker.source),
        of(maker, "batch.produced", f"{other}/made", gtin=other, quantity=9, lot="K", produced_on="2026-01-01"),
    )
    grant = {
        "specversion": "1.0",
        "type": "supply.registration.granted.v1",
        "id": f"{product}/grant",
        "source": regulator.source,
        "time": "2026-01-05T03:00:00Z",
        "data": {
            "authorisation": f"VD-{product}",
            "product": {"name": "M", "substance": "m", "atc": "A10BA02", "form": "tablet", "class": "generic"},
            "packs": [{"gtin": product, "pack_size": 30, "ddd_per_pack": "2"}],
            "origin": "domestic",
            "holder": maker.gln,
            "manufacturer": maker.gln,
            "granted_on": "2024-01-01",
            "expires_on": "2029-01-01",
        },
    }
    await regulator.send(grant, {**grant, "id": f"{product}/again"})
    later = await ledger.holds(maker, regulator)
    assert await asked(newest["known"]) == first
    second = await asked(later)
    assert second[0]["items"][0]["places"]["available"] == 1
    assert second[0]["items"][0]["origin"] == "unknown"
    assert [answer[3]["items"][0]["origin"] for answer in (first, second)] == ["unknown", "domestic"]
    assert len(first[7]["items"]) < len(second[7]["items"])


async def test_before_the_first_checkpoint_nothing_was_known(ledger: Ledger) -> None:
    answer = await ledger.get("/balances", known="2020-01-01T00:00:00Z")
    assert (answer["items"], answer["checkpoint"], answer["known"]) == ([], 0, None)


async def test_what_will_be_known_is_not_final(ledger: Ledger) -> None:
    for path in ("/balances", "/indicators", "/registry/products"):
        status, problem, headers = await ledger.call(path, known="2100-01-01T00:00:00Z")
        assert (status, problem["errors"][0]["code"]) == (409, "known_not_final")
        assert int(headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/indicators", {"scope": "gtin:abc"}, 422),
        ("/indicators", {"scope": "planet:mars"}, 422),
        ("/indicators", {"name": "unknown"}, 422),
        ("/indicators", {"effective": "0001-01-02", "scope": "all"}, 200),
        ("/indicators", {"effective": "9999-12-31", "scope": "all"}, 200),
        ("/balances", {"effective": "0001-01-01"}, 200),
        ("/goals", {"effective": "0001-01-01"}, 200),
        ("/goals", {"effective": "9999-12-31"}, 200),
        ("/goals", {"known": "2020-01-01T00:00:00Z"}, 200),
        ("/obligations", {"effective": "0001-01-01"}, 200),
        ("/obligations", {"effective": "9999-12-31", "known": "2020-01-01T00:00:00Z"}, 200),
        ("/anomalies", {"effective": "0001-01-01"}, 200),
        ("/anomalies", {"effective": "9999-12-31", "known": "2020-01-01T00:00:00Z"}, 200),
        ("/anomalies", {"known": "9999-12-31T23:59:59Z"}, 409),
        ("/anomalies", {"known": "2020-01-01T00:00:00Z", "cursor": encode_cursor(1)}, 422),
        ("/anomalies", {"kind": "nonsense", "effective": "2026-01-01"}, 200),
        ("/balances", {"known": "2026-01-01T00:00:00"}, 422),
        ("/balances", {"known": "0001-01-01T00:00:00+14:00"}, 200),
        ("/balances", {"known": "9999-12-31T23:59:59-14:00"}, 409),
        ("/balances", {"lot": "\x00"}, 422),
        ("/balances", {"cursor": "nonsense"}, 422),
        ("/balances", {"cursor": encode_cursor((2**63, ""))}, 422),
        ("/balances", {"cursor": encode_cursor((1, "\x00"))}, 422),
        ("/lots/09520000010013/L", {"cursor": encode_cursor(("0001-01-01T00:00:00", 1, 0, 0, 0))}, 422),
        ("/anomalies", {"cursor": encode_cursor("\x00")}, 422),
        ("/ledger/checkpoints", {"cursor": encode_cursor(2**70)}, 422),
        ("/lots/09520000010013/%00", {}, 404),
        ("/lots/٠٩٥٢٠٠٠٠٠١٠٠١٣/L", {}, 422),
        ("/lots/99999999999999/L", {}, 404),
        ("/events/urn:gln:9521000000018/%00", {}, 404),
        ("/events/a/b/c/d", {}, 404),
        ("/registry/nonsense", {}, 422),
        ("/goals/nonsense", {}, 404),
    ],
)
async def test_odd_questions_get_an_answer_and_never_a_failure(
    ledger: Ledger, path: str, query: dict[str, str], status: int
) -> None:
    found, body, _ = await ledger.call(path, **query)
    assert found == status, body


async def test_unreadable_records_are_kept_passed_and_shown(stack: Stack, maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    released = of(maker, "batch.released", f"{product}/r", gtin=product, quantity=1)
    (place,) = await maker.send(released)
    number = place["partition"]
    good = [
        *((f"ce_{name}", released[name].encode()) for name in ("specversion", "source", "type", "time")),
        ("ce_id", f"{product}/odd".encode()),
    ]
    value = b'{"gtin":"%s","lot":"L","quantity":1,"released_on":"2026-01-05","reason":"r"}' % product.encode()
    other = {"ce_type": b"supply.price.declared.v1", "ce_id": f"{product}/price".encode()}
    counted = [(name, other.get(name, told)) for name, told in good]
    price = b'{"gtin":"%s","price":1,"currency":"VND","effective_on":"2026-01-01","odd":1e999999}' % product.encode()
    odd: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (product.encode(), None, [*good]),
        (None, b"", []),
        (b"\xff\xfe", b"{not json", [*good]),
        (product.encode(), value, [("ce_type", b"supply.unknown.v1")]),
        (product.encode(), value, [*good, ("ce_id", b"twice")]),
        (product.encode(), value, [*good, ("x", None), ("x", b"1")]),
        (product.encode(), value.replace(product.encode(), b"abcdefghijklmn"), [*good]),
        (product.encode(), b"[" * 100_000, [*good]),
        (product.encode(), value.replace(b'"L"', b'"\\u0000"'), [*good]),
    ]
    passed: list[Any] = [(None, price, counted)]  # read without a key; what nobody reads of it, PostgreSQL would refuse
    async with writer_of_trusted_topics(stack) as writer:
        offsets = []
        for key, told, headers in odd + passed:
            sent = await writer.send_and_wait(topics.MOVEMENTS, told, key=key, partition=number, headers=headers)
            offsets.append(sent.offset)
    await maker.send(of(maker, "batch.released", f"{product}/after", gtin=product, quantity=2))
    await ledger.holds(maker)
    (item,) = (await ledger.get("/balances", gtin=product, effective=EFFECTIVE))["items"]
    assert item["places"]["available"] == 3
    async with database(stack) as tables:
        rows = await tables.fetch(
            "SELECT verdict, record_key, value FROM journal WHERE topic_id = 1 AND partition = $1"
            " AND kafka_offset >= $2 AND kafka_offset < $3 AND seq = 0 ORDER BY kafka_offset",
            *(number, offsets[0], offsets[-1] + 1),
        )
    assert [row["verdict"] for row in rows] == [3] * len(odd) + [0]
    assert [(row["record_key"], row["value"]) for row in rows[:-1]] == [(key, told) for key, told, _ in odd]

    told = await ledger.get(f"/events/{quote(maker.source, safe='')}/{quote(f'{product}/odd', safe='')}")
    by_event = quote(maker.source, safe="") + "/" + quote(f"{product}/odd", safe="")
    assert (told["state"], told["transfers"]) == ("unreadable", [])
    assert [(item["kind"], item["subject"]) for item in told["anomalies"]] == [("unreadable", by_event)]
    by_place = f"{topics.MOVEMENTS}/{number}/{offsets[1]}"

    async def shown() -> bool:
        items = await ledger.items("/anomalies")
        found = {item["subject"] for item in items if item["kind"] == "unreadable" and item["until"] is None}
        return {by_event, by_place} <= found

    await eventually(shown)


async def test_what_is_read_from_the_tables_is_what_folding_the_journal_gives(stack: Stack) -> None:
    today = parse_clock("real").today()
    days = [today, *(type(today).fromisoformat(day) for day in ("2020-01-01", "2026-01-04", "2026-01-05", EFFECTIVE))]
    async with database(stack) as tables, tables.transaction(isolation="repeatable_read", readonly=True):
        rows = await tables.fetch("SELECT topic_id, partition, next_offset FROM positions")
        cut = Cut(1, parse_clock("real").real_now(), *(tuple(row[at] for row in rows) for at in range(3)))
        for day in days:
            assert await lots_now(tables, day) == await lots_at(tables, cut, day)
            live = await sales_now(tables, day, Registry(()))
            folded = await sales_at(tables, cut, day, Registry(()))
            assert live.lots == sorted(folded.lots, key=lambda lot: (lot.gtin, lot.lot))
        assert await lots_now(tables, today)


async def test_every_answer_of_one_page_is_of_one_checkpoint(ledger: Ledger, maker: Sender) -> None:
    products = fresh_gtins(30)
    told = [of(maker, "batch.released", f"{product}/p", gtin=product, quantity=1) for product in products]
    async with asyncio.TaskGroup() as under_way:
        under_way.create_task(maker.send(*told))
        answers = [await ledger.get("/balances", effective=EFFECTIVE, limit=1) for _ in range(20)]
    known = await ledger.holds(maker)
    again = [await ledger.get("/balances", effective=EFFECTIVE, limit=1, known=item["known"]) for item in answers]
    assert again == answers
    assert set(await ledger.balances(products, known)) == {(product, "L1") for product in products}
    by_product = await ledger.items("/balances", by="gtin", effective=EFFECTIVE, known=known, limit=7)
    assert [item["gtin"] for item in by_product] == sorted({item["gtin"] for item in by_product})
    assert set(products) <= {item["gtin"] for item in by_product}
