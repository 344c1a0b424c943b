"""Each form in which EPCIS 2.0 comes is captured, shown as it came, and counts in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from services.ingest.epcis import documents
from services.ingest.epcis.contexts import contexts
from services.ingest.epcis.event_hash import event_hash
from tests.stack.capture_given import JSON, TIME, Captor, events_in, fresh_item, gtin
from tests.unit.epcis_given import (
    GS1,
    PREFIX,
    SW,
    destination,
    document,
    location,
    lot,
    made,
    objects,
    packs,
    received,
    serial,
    source,
    transformed,
    withdrawn,
)

MAKER, IMPORTER, DISTRIBUTOR = "manufacturer-2", "importer-1", "distributor-1"
# The places of the producers of the stack, by the number in their GLN.
AT = {MAKER: 3, IMPORTER: 4, DISTRIBUTOR: 5}
HOME = {"readPoint": {"id": location(AT[MAKER])}, "bizLocation": {"id": location(AT[MAKER])}}
ABROAD = 77_000
PRODUCED, RELEASED, CORRECTED = (
    f"supply.{name}.v1" for name in ("batch.produced", "batch.released", "event.corrected")
)


def urn(item: str) -> str:
    return f"urn:x:{item}"


def making(item: str, lot_name: str = "A1", quantity: int = 500, **fields: Any) -> JSON:
    told = {"eventID": f"{urn(item)}:made", "eventTime": TIME, "quantityList": [packs(quantity, lot(lot_name, item))]}
    return made(**{**told, **HOME, **fields})


def releasing(item: str, lot_name: str = "A1", quantity: int = 490, **fields: Any) -> JSON:
    told = {"eventID": f"{urn(item)}:out", "eventTime": TIME, "quantityList": [packs(quantity, lot(lot_name, item))]}
    return objects("OBSERVE", "sw:releasing", **{**told, "readPoint": HOME["readPoint"], **fields})


@dataclass
class Case:
    """A body and what becomes of it: the catalogue's (id, type) in the ledger, and where each lot's packs are."""

    body: Any
    sender: str = MAKER
    outcomes: dict[str, int] = field(default_factory=lambda: {"mapped": 1})
    recorded: list[tuple[str, str]] = field(default_factory=list)
    packs: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)


def many_events(item: str) -> Case:
    return Case(
        document(making(item), releasing(item)),
        outcomes={"mapped": 2},
        recorded=[(f"{urn(item)}:made/{gtin(item)}/A1", PRODUCED), (f"{urn(item)}:out/{gtin(item)}/A1", RELEASED)],
        packs={(item, "A1"): {"produced": -500, "quarantine": 10, "available": 490}},
    )


def query_document(item: str) -> Case:
    results = {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": [making(item)]}}
    body = {**document(), "type": "EPCISQueryDocument", "epcisBody": {"queryResults": results}}
    return Case(body, packs={(item, "A1"): {"produced": -500, "quarantine": 500}})


def bare_event(item: str) -> Case:
    body = {"@context": [GS1, {"sw": SW}], **making(item)}
    return Case(body, packs={(item, "A1"): {"produced": -500, "quarantine": 500}})


def list_of_events(item: str) -> Case:
    return Case(
        [making(item), releasing(item)],
        outcomes={"mapped": 2},
        packs={(item, "A1"): {"produced": -500, "quarantine": 10, "available": 490}},
    )


def custom_context(item: str) -> Case:
    event = {**making(item, bizStep="https://ref.gs1.org/cbv/BizStep-commissioning"), "ex:shift": {"ex:line": 7}}
    body = {**document(event), "@context": [GS1, {"ex": "https://factory.example/"}]}
    return Case(body, packs={(item, "A1"): {"produced": -500, "quarantine": 500}})


def urns_and_digital_links_of_several_lots(item: str) -> Case:
    link = f"https://pharma.example/shop/01/{gtin(item)}/10/B%2F2"
    classes = [packs(500, lot("A1", item)), packs(30, link), packs(20, f"https://id.gs1.org/01/{gtin(item)}/10/B%2F2")]
    return Case(
        document(making(item, quantityList=classes, bizLocation={"id": f"https://id.example/414/{PREFIX}000032"})),
        recorded=[(f"{urn(item)}:made/{gtin(item)}/{name}", PRODUCED) for name in ("A1", "B/2")],
        packs={
            (item, "A1"): {"produced": -500, "quarantine": 500},
            (item, "B/2"): {"produced": -50, "quarantine": 50},
        },
    )


def declared_error(item: str) -> Case:
    time = "2026-05-05T08:00:00+07:00"
    return Case(
        document(making(item), releasing(item), withdrawn(releasing(item), time)),
        outcomes={"mapped": 3},
        recorded=[(f"{urn(item)}:out/error/{time}/{gtin(item)}/A1", CORRECTED)],
        packs={(item, "A1"): {"produced": -500, "quarantine": 500}},
    )


def declared_error_with_corrective_event(item: str) -> Case:
    right = making(item, quantity=400, eventID=f"{urn(item)}:right")
    wrong = withdrawn(making(item), correctiveEventIDs=[f"{urn(item)}:right"])
    return Case(
        document(making(item), right, wrong),
        outcomes={"mapped": 3},
        packs={(item, "A1"): {"produced": -400, "quarantine": 400}},
    )


def no_event_id(item: str) -> Case:
    return Case(document(making(item, eventID=None)), packs={(item, "A1"): {"produced": -500, "quarantine": 500}})


def transformation(item: str) -> Case:
    used = fresh_item()
    event = transformed(
        eventID=f"{urn(item)}:made",
        eventTime=TIME,
        inputQuantityList=[packs(510, lot("IN", used))],
        outputQuantityList=[packs(500, lot("A1", item))],
        **HOME,
    )
    return Case(
        document(event),
        recorded=[(f"{urn(item)}:made/{gtin(item)}/A1", PRODUCED)],
        packs={
            (item, "A1"): {"produced": -500, "quarantine": 500},
            (used, "IN"): {"available": -510, "transformed": 510},
        },
    )


def what_says_nothing_about_supply(item: str) -> Case:
    plain = {"eventTime": TIME, "eventTimeZoneOffset": "+07:00"}
    packing = {"type": "AggregationEvent", "parentID": f"urn:epc:id:sscc:{PREFIX}.1234567890", "action": "ADD", **plain}
    paper = {"type": "po", "bizTransaction": "urn:x:po"}
    return Case(
        document(
            {**packing, "childQuantityList": [packs(5, lot("A1", item))], "eventID": f"{urn(item)}:1"},
            {"type": "TransactionEvent", "action": "ADD", "bizTransactionList": [paper], **plain}
            | {"epcList": [serial("1", item)], "eventID": f"{urn(item)}:2"},
            {"type": "AssociationEvent", "action": "ADD", "parentID": location(3), **plain}
            | {"childEPCs": [serial("1", item)], "eventID": f"{urn(item)}:3"},
        ),
        outcomes={"not_applicable": 3},
    )


def places_in_master_data(item: str) -> Case:
    """Of the header; where the goods come from, nobody else has told."""
    event = received(
        eventID=f"{urn(item)}:in",
        eventTime=TIME,
        quantityList=[packs(900, lot("F1", item))],
        readPoint={"id": location(AT[IMPORTER])},
        sourceList=source(ABROAD),
        destinationList=destination(AT[IMPORTER]),
    )
    return Case(
        document(event, countries={location(ABROAD): "FR"}),
        sender=IMPORTER,
        recorded=[(f"{urn(item)}:in/{gtin(item)}/F1", "supply.import.received.v1")],
        packs={(item, "F1"): {"imported": -900, "available": 900}},
    )


FORMS: list[Callable[[str], Case]] = [
    many_events,
    query_document,
    bare_event,
    list_of_events,
    custom_context,
    urns_and_digital_links_of_several_lots,
    declared_error,
    declared_error_with_corrective_event,
    no_event_id,
    transformation,
    what_says_nothing_about_supply,
    places_in_master_data,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
async def test_each_form_is_captured_shown_and_counted(
    http: aiohttp.ClientSession, credentials: JSON, form: Callable[[str], Case]
) -> None:
    item = fresh_item()
    case = form(item)
    captor = Captor(http, credentials, case.sender)
    job = await captor.capture(case.body)
    assert (job["success"], job["errors"]) == (True, []), job
    assert {name: count for name, count in job["events"].items() if count} == case.outcomes
    for sent in events_of(case.body):
        if "eventID" in sent:
            status, answered = await captor.event(sent["eventID"])
            assert status == 200
            assert sent in [without_record_time(event) for event in events_in(answered)]
    for id, type_ in case.recorded:
        found = await captor.recorded(id)
        assert (found["type"], found["state"]) == (type_, "recorded")
    for (product, name), expected in case.packs.items():
        await captor.packs_become(product, name, expected)


def events_of(body: Any) -> list[JSON]:
    if isinstance(body, list):
        return body
    if "epcisBody" not in body:
        return [body]
    found: list[JSON] = body["epcisBody"].get("eventList") or events_in(body)
    return found


def without_record_time(event: JSON) -> JSON:
    return {name: value for name, value in event.items() if name != "recordTime"}


async def test_serialised_packs_are_of_the_lot_that_was_told_earlier(
    http: aiohttp.ClientSession, credentials: JSON
) -> None:
    item = fresh_item()
    maker, distributor = Captor(http, credentials, MAKER), Captor(http, credentials, DISTRIBUTOR)
    marked = making(
        item,
        quantityList=None,
        epcList=[serial(str(number), item) for number in range(5)],
        ilmd={"cbvmda:itemExpirationDate": "2028-11-30", "cbvmda:lotNumber": "S1"},
    )
    assert (await maker.capture(document(marked)))["success"]
    out = releasing(item, quantityList=None, epcList=marked["epcList"])
    sold = objects(
        "DELETE",
        "dispensing",
        eventID=f"{urn(item)}:sold",
        eventTime=TIME,
        quantityList=None,
        epcList=[f"https://id.gs1.org/01/{gtin(item)}/21/{number}" for number in (1, 3)],
        readPoint=None,
    )
    assert (await maker.capture(document(out)))["events"]["mapped"] == 1
    assert (await distributor.capture(document(sold)))["events"]["mapped"] == 1
    await maker.packs_become(item, "S1", {"produced": -5, "available": 3, "consumed": 2})


async def test_an_event_without_an_id_is_shown_by_its_hash(http: aiohttp.ClientSession, credentials: JSON) -> None:
    captor, body = Captor(http, credentials, MAKER), document(making(fresh_item(), eventID=None))
    assert (await captor.capture(body))["success"]
    (event,) = documents.read(body).events
    id = event_hash(event, contexts(body["@context"]))
    status, answered = await captor.event(id)
    assert status == 200
    assert [without_record_time(found) for found in events_in(answered)] == [{**event, "eventID": id}]
