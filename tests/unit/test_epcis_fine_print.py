"""The fine print of the mapping: ids, sums, serials, places, times, and errors declared afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.epcis.occasion import Original
from services.ingest.epcis.outcome import Incomplete, Mapped, NotApplicable
from shared.events.cloudevent import CloudEvent
from shared.events.corrections import EventCorrected
from tests.unit.epcis_given import (
    ABROAD,
    ANY_LOT,
    DISTRIBUTOR,
    ELSEWHERE,
    EVENT_ID,
    GTIN,
    IMPORTER,
    MAKER,
    NOWHERE,
    OTHER_GTIN,
    OWN,
    OWN_PLANT,
    SOURCE,
    SSCC,
    capture_all,
    destination,
    document,
    gln,
    is_nothing,
    location,
    lot,
    made,
    missing,
    objects,
    one,
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
    withdrawn,
)

SERIALS = {"quantityList": None, "epcList": [serial("7"), serial("8")]}
RELEASED = "sw:releasing"


def mapped(event: dict[str, Any], who: Any = MAKER, **known: Any) -> tuple[CloudEvent, ...]:
    found = one(event, who, **known).outcome
    assert isinstance(found, Mapped), found
    return found.events


# Several lots, sums, ids


def test_an_event_of_several_lots_is_several_and_equal_classes_are_summed() -> None:
    same = "https://shop.example/01/09521000010017/10/A1"
    event = objects(
        "OBSERVE", RELEASED, quantityList=[packs(5), packs(7, lot("B/2".replace("/", "%2F"))), packs(6.0, same)]
    )
    assert [(found.id, found.data.model_dump()["quantity"]) for found in mapped(event)] == [
        (f"{EVENT_ID}/{GTIN}/A1", 11),
        (f"{EVENT_ID}/{GTIN}/B/2", 7),
    ]


def test_the_id_of_a_product_without_lot_ends_in_a_slash() -> None:
    event = objects("DELETE", "dispensing", quantityList=[packs(3, ANY_LOT)])
    assert [found.id for found in mapped(event, DISTRIBUTOR)] == [f"{EVENT_ID}/{GTIN}/"]


def test_without_eventID_the_event_hash_serves_everywhere() -> None:  # noqa: N802
    event = objects("OBSERVE", RELEASED, eventID=None)
    found = one(event)
    assert found.id is not None and found.id.startswith("ni:///sha-256;") and found.id.endswith("?ver=CBV2.0")
    assert [one.id for one in mapped(event)] == [f"{found.id}/{GTIN}/A1"]
    assert one(objects("OBSERVE", "urn:x:y", eventID=None)).id != found.id


def test_time_is_the_eventTime_and_the_day_is_that_of_its_own_offset() -> None:  # noqa: N802
    event = objects("OBSERVE", RELEASED, eventTime="2026-11-20T20:30:00Z", eventTimeZoneOffset="+07:00")
    [found] = mapped(event)
    assert found.time.isoformat() == "2026-11-20T20:30:00+00:00"
    assert found.data.model_dump(mode="json")["released_on"] == "2026-11-21"
    [west] = mapped({**event, "eventTimeZoneOffset": "-05:00"})
    assert west.data.model_dump(mode="json")["released_on"] == "2026-11-20"


def test_the_source_is_the_senders_gln_that_the_event_names_else_its_first() -> None:
    firm = sender("manufacturer", "importer", glns=(OWN, OWN_PLANT))
    nowhere = {"readPoint": None}
    assert [found.source for found in mapped(objects("OBSERVE", RELEASED, **nowhere), firm)] == [SOURCE]
    plant = objects("OBSERVE", RELEASED, readPoint={"id": location(OWN_PLANT)})
    assert [found.source for found in mapped(plant, firm)] == [f"urn:gln:{gln(OWN_PLANT)}"]
    owned = received(destinationList=destination(OWN_PLANT, "owning_party"))
    [arrival] = mapped(owned, firm)
    assert arrival.source == f"urn:gln:{gln(OWN_PLANT)}"
    assert arrival.data.model_dump()["importer"] == gln(OWN_PLANT)
    left = shipped(sourceList=source(OWN_PLANT, "possessing_party"), readPoint={"id": location(OWN)})
    assert [found.data.model_dump()["exporter"] for found in mapped(left, firm)] == [gln(OWN_PLANT)]


def test_the_site_is_the_bizLocation_where_it_is_the_senders() -> None:  # noqa: N802
    [(_, data)] = told(made(bizLocation={"id": location(ELSEWHERE)}))
    assert "site" not in data


# Quantities


@pytest.mark.parametrize(
    ("quantity", "more", "field", "code"),
    [
        (None, {}, "quantity", "quantity"),
        (0, {}, "quantity", "quantity"),
        (-5, {}, "quantity", "quantity"),
        (2.5, {}, "quantity", "quantity"),
        (5, {"uom": "KGM"}, "uom", "unit"),
    ],
)
def test_a_quantity_missing_fractional_not_positive_or_with_a_unit_is_incomplete(
    quantity: Any, more: dict[str, str], field: str, code: str
) -> None:
    event = objects("OBSERVE", RELEASED, quantityList=[packs(), packs(quantity, lot("B"), **more)])
    assert missing(event) == [(f"quantityList[1].{field}", code)]


def test_a_count_may_be_zero_but_nothing_less() -> None:
    at = {"bizLocation": {"id": location(OWN)}}
    [(_, data)] = told(objects("OBSERVE", "stock_taking", quantityList=[packs(0), packs(4)], **at), DISTRIBUTOR)
    assert data["quantity"] == 4
    less = objects("OBSERVE", "stock_taking", quantityList=[packs(-1)], **at)
    assert missing(less, DISTRIBUTOR) == [("quantityList[0].quantity", "quantity")]


def test_more_packs_than_the_catalogue_knows_are_incomplete() -> None:
    assert missing(objects("OBSERVE", RELEASED, quantityList=[packs(10**13)])) == [("data.quantity", "range")]


def test_a_class_without_lot_a_logistic_unit_and_a_broken_identifier_are_incomplete() -> None:
    assert missing(objects("OBSERVE", RELEASED, quantityList=[packs(5, ANY_LOT)])) == [("quantityList[0]", "lot")]
    assert missing(objects("OBSERVE", RELEASED, epcList=[SSCC])) == [("epcList[0]", "sscc")]
    broken = objects("OBSERVE", RELEASED, quantityList=[packs(5, "urn:epc:class:lgtin:9521000.1.A1")])
    assert missing(broken) == [("quantityList[0]", "identifier")]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 10**6)), min_size=1, max_size=12), st.randoms())
def test_the_sum_by_lot_is_the_same_for_every_order_of_the_classes(
    told_packs: list[tuple[str, int]], chance: Any
) -> None:
    def sums(these: list[tuple[str, int]]) -> dict[str, int]:
        event = objects("OBSERVE", RELEASED, quantityList=[packs(number, lot(name)) for name, number in these])
        return {found.id: found.data.model_dump()["quantity"] for found in mapped(event)}

    shuffled = chance.sample(told_packs, len(told_packs))
    assert sums(told_packs) == sums(shuffled)
    assert sum(sums(told_packs).values()) == sum(number for _, number in told_packs)


# Serials


def test_serials_are_packs_of_the_lot_that_was_told_of_them() -> None:
    lots = {(GTIN, "7"): "A1", (GTIN, "8"): "A2", (GTIN, "9"): "A1"}
    event = objects("DELETE", "dispensing", quantityList=[packs(2)], epcList=[serial("7"), serial("8"), serial("9")])
    found = told(event, DISTRIBUTOR, lots=lots)
    assert [(data["lot"], data["quantity"]) for _, data in found] == [("A1", 4), ("A2", 1)]


def test_a_serial_of_which_nobody_told_the_lot_is_incomplete() -> None:
    assert missing(objects("OBSERVE", RELEASED, **SERIALS)) == [("epcList[0]", "lot"), ("epcList[1]", "lot")]
    dispensed = objects("DELETE", "dispensing", **SERIALS)
    assert missing(dispensed, DISTRIBUTOR, lots={(GTIN, "7"): "A1"}) == [("epcList[1]", "lot")]


def test_an_event_teaches_the_lots_of_serials_and_later_ones_of_the_document_know_them() -> None:
    first = made(**SERIALS, ilmd={"cbvmda:lotNumber": "S1", "cbvmda:itemExpirationDate": "2028-11-30"})
    then = objects("OBSERVE", RELEASED, eventID="urn:x:2", **SERIALS)
    before = objects("OBSERVE", RELEASED, eventID="urn:x:3", **SERIALS)
    found = capture_all(document(before, first, then))
    assert [type(one.outcome) for one in found] == [Incomplete, Mapped, Mapped]
    assert [(one.gtin, one.serial, one.lot) for one in found[1].teaches] == [(GTIN, "7", "S1"), (GTIN, "8", "S1")]
    assert isinstance(found[2].outcome, Mapped)
    assert [one.id for one in found[2].outcome.events] == [f"urn:x:2/{GTIN}/S1"]


def test_what_is_not_applicable_teaches_too_but_neither_observation_nor_a_declared_error_nor_what_is_refused() -> None:
    abroad = made(**SERIALS, bizLocation={"id": location(ABROAD)}, ilmd={"cbvmda:lotNumber": "S1"})
    assert [one.lot for one in one(abroad).teaches] == ["S1", "S1"]
    assert [
        one.lot
        for one in one(
            transformed(outputQuantityList=None, outputEPCList=[serial("7")], ilmd={"cbvmda:lotNumber": "S2"}), IMPORTER
        ).teaches
    ] == ["S2"]
    linked = "https://example.com/01/09521000010017/10/S3/21/7"
    assert [one.lot for one in one(objects("ADD", quantityList=None, epcList=[linked])).teaches] == ["S3"]
    assert one(objects("OBSERVE", quantityList=None, epcList=[linked])).teaches == ()
    assert one(withdrawn(abroad)).teaches == ()
    assert one({**abroad, "eventTime": "never"}).teaches == ()


# Transformations


def test_inputs_are_summed_and_what_has_a_unit_or_no_lot_is_left_out() -> None:
    inputs = [
        packs(5, lot("I1")),
        packs(4, lot("I2")),
        packs(6, lot("I1")),
        packs(9, lot("I3"), uom="KGM"),
        packs(1, ANY_LOT),
    ]
    event = transformed(inputQuantityList=inputs, inputEPCList=[serial("7"), SSCC])
    [(_, data)] = told(event)
    assert data["inputs"] == [{"gtin": GTIN, "lot": "I1", "quantity": 11}, {"gtin": GTIN, "lot": "I2", "quantity": 4}]
    [(_, data)] = told(event, lots={(GTIN, "7"): "I2"})
    assert data["inputs"] == [{"gtin": GTIN, "lot": "I2", "quantity": 5}, {"gtin": GTIN, "lot": "I1", "quantity": 11}]


def test_an_input_of_unknown_quantity_is_incomplete() -> None:
    assert missing(transformed(inputQuantityList=[packs(None)])) == [("inputQuantityList[0].quantity", "quantity")]


def test_with_several_outputs_the_inputs_belong_to_the_first() -> None:
    found = told(transformed(outputQuantityList=[packs(1, lot("Z")), packs(2)]))
    assert [(data["lot"], len(data.get("inputs", ()))) for _, data in found] == [("Z", 1), ("A1", 0)]


def test_the_lot_in_ilmd_is_that_of_the_outputs_not_of_the_inputs() -> None:
    event = transformed(
        inputEPCList=[serial("7")],
        outputQuantityList=[packs(3, ANY_LOT)],
        ilmd={"cbvmda:lotNumber": "S1", "cbvmda:itemExpirationDate": "2028-11-30"},
    )
    [(_, data)] = told(event)
    assert data["lot"] == "S1"
    assert data["inputs"] == [{"gtin": OTHER_GTIN, "lot": "IN1", "quantity": 510}]


# Places


def test_master_data_of_the_document_goes_before_the_directory_and_holds_for_it_alone() -> None:
    event = made(bizLocation={"id": location(NOWHERE)})
    [found] = capture_all(document(event, countries={location(NOWHERE, "5"): "VN"}))
    assert isinstance(found.outcome, Mapped)
    assert missing(event) == [("bizLocation", "country")]
    [abroad] = capture_all(document(made(), countries={location(OWN): "LA"}))
    assert isinstance(abroad.outcome, NotApplicable)


def test_a_place_without_gln_is_known_by_master_data() -> None:
    event = made(bizLocation={"id": "https://example.com/plant"})
    [found] = capture_all(document(event, countries={"https://example.com/plant": "vn"}))
    assert isinstance(found.outcome, Mapped)


def test_a_place_inside_another_is_in_its_country_and_contradictions_tell_nothing() -> None:
    inside = document(made(bizLocation={"id": location(NOWHERE)}), countries={location(302): "VN"})
    vocabulary = inside["epcisHeader"]["epcisMasterData"]["vocabularyList"][0]
    vocabulary["vocabularyElementList"][0]["children"] = [location(NOWHERE)]
    [found] = capture_all(inside)
    assert isinstance(found.outcome, Mapped)
    both = {location(NOWHERE): "VN", location(NOWHERE, "2"): "FR"}
    [torn] = capture_all(document(made(bizLocation={"id": location(NOWHERE)}), countries=both))
    assert isinstance(torn.outcome, Incomplete)


def test_the_vocabularies_of_a_query_document_are_master_data_too() -> None:
    plain = document(made(bizLocation={"id": location(NOWHERE)}), countries={location(NOWHERE): "VN"})
    vocabularies = plain["epcisHeader"]["epcisMasterData"]["vocabularyList"]
    results = {"eventList": plain["epcisBody"]["eventList"], "vocabularyList": vocabularies}
    queried = {
        "@context": plain["@context"],
        "type": "EPCISQueryDocument",
        "epcisBody": {"queryResults": {"queryName": "q", "resultsBody": results}},
    }
    [found] = capture_all(queried)
    assert isinstance(found.outcome, Mapped)


# Errors declared


def test_a_declared_error_withdraws_each_event_that_its_original_is() -> None:
    event = objects("OBSERVE", RELEASED, quantityList=[packs(5), packs(7, lot("B"))])
    found = mapped(withdrawn(event, "2026-11-21T20:00:00Z", reason="incorrect_data", correctiveEventIDs=["urn:x:9"]))
    assert [(one.id, one.type, one.source, one.time.isoformat()) for one in found] == [
        (
            f"{EVENT_ID}/error/2026-11-21T20:00:00Z/{GTIN}/{name}",
            EventCorrected.TYPE,
            SOURCE,
            "2026-11-21T20:00:00+00:00",
        )
        for name in ("A1", "B")
    ]
    assert found[1].data.model_dump(mode="json", by_alias=True) == {
        "corrects": {"source": SOURCE, "id": f"{EVENT_ID}/{GTIN}/B", "type": "supply.batch.released.v1"},
        "key": GTIN,
        "corrected_on": "2026-11-22",
        "reason": "incorrect_data",
        "replacement": None,
    }


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ({}, "not given"),
        ({"reason": "urn:epcglobal:cbv:er:did_not_occur"}, "did_not_occur"),
        ({"reason": "did_not_occur", "sw:reason": "typing error"}, "typing error"),
    ],
)
def test_the_reason_is_that_of_the_declaration(declaration: dict[str, str], reason: str) -> None:
    [found] = mapped(withdrawn(objects("OBSERVE", RELEASED), **declaration))
    assert found.data.model_dump()["reason"] == reason


def test_a_declared_error_without_eventID_names_the_hash_of_its_original() -> None:  # noqa: N802
    event = objects("OBSERVE", RELEASED, eventID=None)
    [first] = mapped(event)
    [error] = mapped(withdrawn(event))
    assert error.data.model_dump()["corrects"]["id"] == first.id


def test_a_declared_error_of_what_says_nothing_says_nothing_and_of_what_is_incomplete_is_incomplete() -> None:
    assert is_nothing(withdrawn(objects("OBSERVE", "storing")))
    assert missing(withdrawn(objects("OBSERVE", RELEASED, quantityList=[packs(None)])))[0][1] == "quantity"
    assert refused(withdrawn(received()), MAKER)[0] == "SecurityException"


def test_what_the_original_became_is_withdrawn_even_if_it_would_be_something_else_by_now() -> None:
    event = made(bizLocation={"id": location(NOWHERE)})
    known = (Original(SOURCE, f"{EVENT_ID}/{GTIN}/A1", "supply.batch.produced.v1", GTIN),)
    [found] = mapped(withdrawn(event), originals={EVENT_ID: known})
    assert found.id == f"{EVENT_ID}/error/2026-11-21T08:00:00+07:00/{GTIN}/A1"
    within = document(made(), withdrawn(made(bizLocation={"id": location(NOWHERE)})))
    assert [type(one.outcome) for one in capture_all(within)] == [Mapped, Mapped]


# Judged like any event


def test_a_time_ahead_of_ours_is_refused() -> None:
    ahead = "2026-11-23T12:06:00Z"
    assert refused(objects("OBSERVE", RELEASED, eventTime=ahead)) == ("ValidationException", [("time", "future_time")])
    assert refused(withdrawn(objects("OBSERVE", RELEASED), ahead))[1] == [("time", "future_time")]
    assert told(objects("OBSERVE", RELEASED, eventTime="2026-11-23T12:04:00Z"))


def test_an_id_too_long_for_the_catalogue_is_refused() -> None:
    event = objects("OBSERVE", RELEASED, eventID="urn:x:" + "y" * 600)
    assert refused(event) == ("ValidationException", [("id", "length")])


def test_an_event_may_name_every_lot_of_a_long_list() -> None:
    event = objects("OBSERVE", RELEASED, quantityList=[packs(1, lot(f"L{number}")) for number in range(2_000)])
    assert len(mapped(event)) == 2_000


def test_a_foreign_owner_at_the_source_tells_less_than_the_place() -> None:
    parties = [*source(OWN), {"type": "owning_party", "source": party(ABROAD)}]
    assert is_nothing(received(sourceList=parties), IMPORTER)
    assert told(received(sourceList=[*source(NOWHERE), {"type": "owning_party", "source": party(ABROAD)}]), IMPORTER)
