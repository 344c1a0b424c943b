"""Each row of the table: which EPCIS event is which event of the catalogue, and what is no such event."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest.epcis.occasion import Sender
from tests.unit.epcis_given import (
    ABROAD,
    ANY_LOT,
    DISTRIBUTOR,
    ELSEWHERE,
    GTIN,
    IMPORTER,
    MAKER,
    NOWHERE,
    OTHER_GTIN,
    OWN,
    OWN_PLANT,
    destination,
    gln,
    is_nothing,
    location,
    lot,
    made,
    missing,
    objects,
    packs,
    party,
    received,
    refused,
    sender,
    serial,
    shipped,
    source,
    told,
    transformed,
)

LOT = {"gtin": GTIN, "lot": "A1"}
PACKS = {**LOT, "quantity": 500}
DAY = "2026-11-20"
PRODUCED = {**PACKS, "produced_on": DAY, "expires_on": "2028-11-30", "manufacturer": gln(OWN), "site": gln(OWN)}
IMPORTED = {
    **PACKS,
    "received_on": DAY,
    "expires_on": "2028-11-30",
    "importer": gln(OWN),
    "country_of_origin": "FR",
}
EXPORTED = {**PACKS, "shipped_on": DAY, "destination": "FR", "exporter": gln(OWN)}
RETURNED = {**PACKS, "returned_on": DAY, "reason": "not given"}
CERT = [{"type": "cert", "bizTransaction": "urn:x:coa-1"}]

Told = tuple[str, dict[str, Any]]


@pytest.mark.parametrize(
    ("event", "who", "expected"),
    [
        (made(), MAKER, ("batch.produced", PRODUCED)),
        (made(bizStep="creating_class_instance"), MAKER, ("batch.produced", PRODUCED)),
        (
            made(bizLocation=None, **{"sw:authorisation": "VD-12345-26"}),
            MAKER,
            (
                "batch.produced",
                {name: value for name, value in PRODUCED.items() if name != "site"} | {"authorisation": "VD-12345-26"},
            ),
        ),
        (
            transformed(),
            MAKER,
            ("batch.produced", {**PRODUCED, "inputs": [{"gtin": OTHER_GTIN, "lot": "IN1", "quantity": 510}]}),
        ),
        (objects("OBSERVE", "sw:releasing"), MAKER, ("batch.released", {**PACKS, "released_on": DAY})),
        (
            objects("OBSERVE", "inspecting", disposition="conformant", bizTransactionList=CERT),
            MAKER,
            ("batch.released", {**PACKS, "released_on": DAY, "certificate": "urn:x:coa-1"}),
        ),
        (
            objects("OBSERVE", "inspecting", disposition="non_conformant", **{"sw:reason": "assay"}),
            MAKER,
            ("batch.rejected", {**PACKS, "rejected_on": DAY, "reason": "assay"}),
        ),
        (received(), IMPORTER, ("import.received", IMPORTED)),
        (received(bizStep="accepting"), IMPORTER, ("import.received", IMPORTED)),
        (received(destinationList=None), IMPORTER, ("import.received", IMPORTED)),
        (received(readPoint=None), IMPORTER, ("import.received", IMPORTED)),
        (
            received(
                **{"cbvmda:countryOfOrigin": None, "sw:countryOfOrigin": "DE", "sw:authorisation": "VN-1"},
                sourceList=source(ABROAD, "owning_party"),
            ),
            IMPORTER,
            ("import.received", {**IMPORTED, "country_of_origin": "DE", "authorisation": "VN-1"}),
        ),
        (shipped(), MAKER, ("export.shipped", EXPORTED)),
        (shipped(bizStep="consigning"), IMPORTER, ("export.shipped", EXPORTED)),
        (shipped(bizStep="departing"), MAKER, ("export.shipped", EXPORTED)),
        (shipped(sourceList=None), MAKER, ("export.shipped", EXPORTED)),
        (
            shipped(bizStep="void_shipping"),
            MAKER,
            ("stock.returned", {**RETURNED, "from": "exported", "to": "available"}),
        ),
        (
            received(disposition="returned"),
            DISTRIBUTOR,
            ("stock.returned", {**RETURNED, "from": "exported", "to": "quarantine"}),
        ),
        (
            received(disposition="returned", sourceList=source(ELSEWHERE), **{"sw:reason": "damaged"}),
            DISTRIBUTOR,
            ("stock.returned", {**RETURNED, "from": "consumed", "to": "quarantine", "reason": "damaged"}),
        ),
        (
            objects("OBSERVE", persistentDisposition={"set": ["recalled"]}, **{"sw:recallLevel": 2}),
            MAKER,
            ("batch.recalled", {**LOT, "level": 2, "recalled_on": DAY, "reason": "not given"}),
        ),
        (
            objects("OBSERVE", "holding", disposition="recalled", **{"sw:recallLevel": "1", "sw:reason": "sterility"}),
            sender("regulator"),
            ("batch.recalled", {**LOT, "level": 1, "recalled_on": DAY, "reason": "sterility"}),
        ),
        (
            objects("OBSERVE", persistentDisposition={"unset": ["recalled"]}),
            MAKER,
            ("recall.closed", {**LOT, "recovered": 500, "closed_on": DAY}),
        ),
        (
            objects("DELETE", "destroying"),
            MAKER,
            ("batch.destroyed", {**PACKS, "destroyed_on": DAY, "reason": "not given"}),
        ),
        (
            objects("DELETE", "dispensing"),
            DISTRIBUTOR,
            ("consumption.reported", {**PACKS, "period_start": DAY, "period_end": DAY}),
        ),
        (
            objects("DELETE", "retail_selling"),
            DISTRIBUTOR,
            ("consumption.reported", {**PACKS, "period_start": DAY, "period_end": DAY}),
        ),
        (
            objects("OBSERVE", "stock_taking", bizLocation={"id": location(OWN)}),
            DISTRIBUTOR,
            ("stock.counted", {**PACKS, "counted_on": DAY, "holder": gln(OWN), "covers": "holder"}),
        ),
        (
            objects("OBSERVE", "cycle_counting", bizLocation={"id": location(OWN)}, quantityList=[packs(0)]),
            DISTRIBUTOR,
            ("stock.counted", {**LOT, "quantity": 0, "counted_on": DAY, "holder": gln(OWN), "covers": "holder"}),
        ),
    ],
)
def test_the_event_is_this_one_of_the_catalogue(event: dict[str, Any], who: Sender, expected: Told) -> None:
    assert told(event, who) == [expected]


@pytest.mark.parametrize("form", ["", "cbv:BizStep-", "https://ref.gs1.org/cbv/BizStep-", "urn:epcglobal:cbv:bizstep:"])
def test_a_word_means_the_same_in_all_its_forms(form: str) -> None:
    assert told(made(bizStep=f"{form}commissioning")) == [("batch.produced", PRODUCED)]


@pytest.mark.parametrize(
    ("event", "who"),
    [
        (made(bizStep="encoding"), MAKER),
        (made(), IMPORTER),
        (transformed(), DISTRIBUTOR),
        (made(bizLocation={"id": location(ABROAD)}), MAKER),
        (objects("OBSERVE", "commissioning"), MAKER),
        (objects("OBSERVE", "inspecting", disposition="conformant"), MAKER),
        (objects("OBSERVE", "inspecting", bizTransactionList=CERT), MAKER),
        (objects("OBSERVE", "inspecting", disposition="non_conformant"), DISTRIBUTOR),
        (received(sourceList=source(ELSEWHERE)), IMPORTER),
        (received(destinationList=destination(ABROAD), readPoint=None), IMPORTER),
        (received(bizStep="arriving"), IMPORTER),
        (shipped(destinationList=destination(ELSEWHERE)), MAKER),
        (shipped(sourceList=source(ABROAD), readPoint={"id": location(ABROAD)}), MAKER),
        (shipped(bizStep="departing", readPoint={"id": location(ELSEWHERE)}), MAKER),
        (shipped(bizStep="departing", sourceList=source(OWN, "owning_party")), MAKER),
        (shipped(bizStep="void_shipping", destinationList=destination(ELSEWHERE)), MAKER),
        (received(bizStep="accepting", disposition="returned"), IMPORTER),
        (objects("OBSERVE", "destroying"), MAKER),
        (objects("OBSERVE", "dispensing"), DISTRIBUTOR),
        (objects("ADD", "stock_taking"), DISTRIBUTOR),
        (objects("OBSERVE", "storing"), MAKER),
        (objects("OBSERVE", None), MAKER),
        (objects("OBSERVE", "sw:releasing", quantityList=None, epcList=[]), MAKER),
        (objects("OBSERVE", "sw:releasing", quantityList=None, epcList=["urn:epc:id:giai:9521000.7"]), MAKER),
        (
            {
                **objects("OBSERVE", "packing", quantityList=None),
                "type": "AggregationEvent",
                "childQuantityList": [packs()],
            },
            MAKER,
        ),
        ({**objects("OBSERVE", "shipping"), "type": "TransactionEvent", "bizTransactionList": CERT}, MAKER),
        (
            {
                **objects("ADD", "assembling", quantityList=None),
                "type": "AssociationEvent",
                "parentID": location(OWN),
                "childEPCs": [serial()],
            },
            MAKER,
        ),
        ({**objects("OBSERVE", "shipping"), "type": "ex:OwnEvent"}, MAKER),
    ],
)
def test_a_valid_event_that_says_nothing_about_supply_is_not_applicable(event: dict[str, Any], who: Sender) -> None:
    assert is_nothing(event, who)


SHIPPED_PLAINLY = {"sourceList": None, "readPoint": None}
LEVELLESS: dict[str, Any] = {"persistentDisposition": {"set": ["recalled"]}}


@pytest.mark.parametrize(
    ("event", "who", "expected"),
    [
        (made(bizLocation={"id": location(NOWHERE)}), MAKER, [("bizLocation", "country")]),
        (made(bizLocation=None, readPoint=None), MAKER, [("bizLocation", "country")]),
        (made(ilmd=None), MAKER, [("data.expires_on", "missing")]),
        (received(sourceList=None), IMPORTER, [("sourceList", "country")]),
        (received(sourceList=source(NOWHERE)), IMPORTER, [("sourceList", "country")]),
        (received(destinationList=destination(NOWHERE), readPoint=None), IMPORTER, [("destinationList", "country")]),
        (received(destinationList=None, readPoint=None), IMPORTER, [("destinationList", "country")]),
        (received(**{"sw:expiresOn": None}), IMPORTER, [("data.expires_on", "missing")]),
        (received(**{"cbvmda:countryOfOrigin": None}), IMPORTER, [("data.country_of_origin", "missing")]),
        (received(**{"cbvmda:countryOfOrigin": "XX"}), IMPORTER, [("data.country_of_origin", "country")]),
        (shipped(destinationList=None), MAKER, [("destinationList", "country")]),
        (shipped(**SHIPPED_PLAINLY), MAKER, [("sourceList", "country")]),
        (shipped(bizStep="void_shipping", destinationList=None), MAKER, [("destinationList", "country")]),
        (received(disposition="returned", sourceList=None), DISTRIBUTOR, [("sourceList", "country")]),
        (objects("OBSERVE", **LEVELLESS), MAKER, [("sw:recallLevel", "missing")]),
        (objects("OBSERVE", **LEVELLESS, **{"sw:recallLevel": 4}), MAKER, [("data.level", "range")]),
        (objects("OBSERVE", "stock_taking"), DISTRIBUTOR, [("data.holder", "missing")]),
    ],
)
def test_what_is_not_told_makes_it_incomplete(
    event: dict[str, Any], who: Sender, expected: list[tuple[str, str]]
) -> None:
    assert missing(event, who) == expected


def test_what_could_only_be_one_that_its_sender_may_not_say_is_not_applicable() -> None:
    assert is_nothing(received(sourceList=source(NOWHERE)), DISTRIBUTOR)
    assert is_nothing(shipped(destinationList=None), DISTRIBUTOR)


@pytest.mark.parametrize(
    ("event", "who", "type_"),
    [
        (objects("OBSERVE", "sw:releasing"), DISTRIBUTOR, "batch.released"),
        (received(), MAKER, "import.received"),
        (shipped(), DISTRIBUTOR, "export.shipped"),
        (objects("DELETE", "destroying", quantityList=[packs(None)]), DISTRIBUTOR, "batch.destroyed"),
        (objects("DELETE", "dispensing"), MAKER, "consumption.reported"),
    ],
)
def test_what_the_sender_may_not_say_is_refused(event: dict[str, Any], who: Sender, type_: str) -> None:
    assert refused(event, who) == ("SecurityException", [("type", "role")])


def test_foreign_glns_are_refused() -> None:
    foreign = made(**{"sw:manufacturer": party(ELSEWHERE)})
    assert refused(foreign) == ("SecurityException", [("data.manufacturer", "foreign_gln")])
    elsewhere = objects("OBSERVE", "stock_taking", bizLocation={"id": location(ELSEWHERE)})
    assert refused(elsewhere, DISTRIBUTOR) == ("SecurityException", [("data.holder", "foreign_gln")])


def test_a_recall_wins_over_every_other_row_and_without_a_level_gives_way() -> None:
    recalling = shipped(**LEVELLESS, **{"sw:recallLevel": 1})
    assert [type_ for type_, _ in told(recalling)] == ["batch.recalled"]
    assert [type_ for type_, _ in told(shipped(**LEVELLESS))] == ["export.shipped"]
    closing = objects("DELETE", "destroying", persistentDisposition={"unset": ["recalled"]})
    assert [type_ for type_, _ in told(closing)] == ["recall.closed"]


def test_a_recall_or_a_dispensing_of_a_product_without_lot_is_complete() -> None:
    recalled = objects("OBSERVE", quantityList=[packs(None, ANY_LOT)], **LEVELLESS, **{"sw:recallLevel": 1})
    expected = {"gtin": GTIN, "level": 1, "recalled_on": DAY, "reason": "not given"}
    assert told(recalled) == [("batch.recalled", expected)]
    dispensed = objects("DELETE", "dispensing", quantityList=[packs(3, ANY_LOT)])
    [(_, data)] = told(dispensed, DISTRIBUTOR)
    assert "lot" not in data and data["quantity"] == 3


def test_the_senders_several_glns_leave_the_manufacturer_to_be_named() -> None:
    firm = sender("manufacturer", glns=(OWN, OWN_PLANT))
    assert missing(made(), firm) == [("data.manufacturer", "missing")]
    for written in (party(OWN_PLANT), gln(OWN_PLANT), f"urn:gln:{gln(OWN_PLANT)}", location(OWN_PLANT)):
        [(_, data)] = told(made(**{"sw:manufacturer": written}), firm)
        assert (data["manufacturer"], data["site"]) == (gln(OWN_PLANT), gln(OWN))


def test_the_expiry_may_be_a_moment_or_a_typed_value() -> None:
    [(_, data)] = told(received(**{"sw:expiresOn": "2028-11-30T00:00:00+07:00"}), IMPORTER)
    assert data["expires_on"] == "2028-11-30"
    [(_, data)] = told(made(ilmd={"cbvmda:itemExpirationDate": {"@type": "xsd:date", "@value": "2028-11-30"}}))
    assert data["expires_on"] == "2028-11-30"


def test_dates_that_the_catalogue_refuses_are_told_as_its_own() -> None:
    assert missing(made(ilmd={"cbvmda:itemExpirationDate": "2026-11-19"})) == [("data", "order")]
    assert missing(made(ilmd={"cbvmda:itemExpirationDate": "soon"})) == [("data.expires_on", "date")]
    assert missing(made(quantityList=[packs(of=lot("A B".replace(" ", "%20")))])) == [("data.lot", "pattern")]
    link = "https://example.com/01/09521000010016/10/A1"
    assert missing(made(quantityList=[packs(of=link)])) == [("data.gtin", "check_digit")]
