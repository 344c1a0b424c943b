"""A document as a whole: bad events beside good ones, what is looked up for it, and an event taken out of it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from services.ingest.epcis import capture, documents
from services.ingest.epcis.occasion import Known
from services.ingest.epcis.outcome import Mapped, Refused
from tests.unit import epcis_reference as reference
from tests.unit.epcis_given import (
    ABROAD,
    GTIN,
    MAKER,
    NOWHERE,
    OWN,
    PRESENT,
    capture_all,
    document,
    gln,
    location,
    lot,
    made,
    objects,
    packs,
    received,
    sender,
    serial,
    shipped,
    transformed,
    withdrawn,
)

SEED, SPOILT = 20_261, 1_000
GOOD = objects("OBSERVE", "sw:releasing")
BAD = objects("OBSERVE", "teleporting", eventID="urn:x:bad")


def test_a_bad_event_leaves_its_neighbours_alone() -> None:
    found = capture_all(document(GOOD, BAD, 7, {**GOOD, "eventID": "urn:x:4"}))
    assert [type(one.outcome) for one in found] == [Mapped, Refused, Refused, Mapped]
    assert [(one.index, one.id) for one in found[1:]] == [(1, "urn:x:bad"), (2, None), (3, "urn:x:4")]
    outcome = found[1].outcome
    assert isinstance(outcome, Refused) and outcome.exception == "epcisException:ValidationException"
    assert [(fault.field, fault.code) for fault in outcome.faults] == [("epcisBody.eventList[1].bizStep", "choice")]


def test_a_fault_around_the_events_refuses_them_all() -> None:
    found = capture_all(document(GOOD, schemaVersion="two"))
    assert [type(one.outcome) for one in found] == [Refused]


def test_a_bare_event_and_a_list_are_captured_like_a_document() -> None:
    context = ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"]
    for value in ({**GOOD, "@context": context}, [GOOD]):
        [found] = capture_all(value)
        assert isinstance(found.outcome, Mapped) and found.event["bizStep"] == "sw:releasing"


def test_what_a_document_needs_to_know_is_told_beforehand() -> None:
    linked = "https://example.com/01/09521000010017/10/S3/21/9"
    events = (
        made(quantityList=None, epcList=[serial("7"), linked]),
        transformed(inputEPCList=[serial("8")]),
        shipped(),
        withdrawn(objects("OBSERVE", "sw:releasing", eventID="urn:x:5")),
        {**objects("OBSERVE"), "type": "ex:Own", "readPoint": {"id": location(NOWHERE)}},
        BAD,
    )
    needs = capture.needs(documents.read(document(*events)))
    assert needs.glns == {gln(OWN), gln(ABROAD)}
    assert needs.serials == {(GTIN, "7"), (GTIN, "8")}
    assert needs.originals == {"urn:x:5"}
    assert capture.needs(documents.read(document(GOOD, schemaVersion="two"))).glns == frozenset()


def test_an_event_taken_out_of_its_document_becomes_the_same_by_itself() -> None:
    unnamed = {name: value for name, value in made(bizLocation={"id": location(NOWHERE)}).items() if name != "eventID"}
    whole = document(GOOD, {**unnamed, "sw:authorisation": "VD-1"}, countries={location(NOWHERE): "VN"})
    alone = documents.read(whole).just(1)
    assert documents.read(alone).all_faults() == []
    [by_itself] = capture_all(alone)
    among = capture_all(whole)[1]
    assert (by_itself.id, by_itself.outcome) == (among.id, among.outcome)
    [listed] = capture_all(documents.read([GOOD]).just(0))
    assert isinstance(listed.outcome, Mapped)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [None],
        {"type": "EPCISDocument"},
        {"type": "EPCISQueryDocument", "epcisBody": []},
        document(GOOD, epcisHeader={"epcisMasterData": {"vocabularyList": [5]}}),
        document({**GOOD, "type": "ex:Own", "eventID": "urn:x:1", "epcList": 5, "readPoint": 7, "sourceList": None}),
        document({"type": "ex:Own", "eventTime": "0001-01-01T00:00:00+14:00", "eventTimeZoneOffset": "+14:00"}),
        document(objects("ADD", "commissioning", eventTime="0001-01-01T00:00:00+14:00", eventTimeZoneOffset="-14:00")),
        document(objects("OBSERVE", "sw:releasing", eventTime="9999-12-31T23:59:59.9999-14:00", eventID=None)),
        document(objects("OBSERVE", "sw:releasing", quantityList=[packs(1e300)])),
        document(objects("OBSERVE", disposition="recalled", **{"sw:recallLevel": [1], "sw:reason": 5})),
        document(made(ilmd={"cbvmda:lotNumber": 5, "cbvmda:itemExpirationDate": ["x"]})),
        document(made(quantityList=[packs(of=lot("%00"))])),
    ],
)
def test_nothing_that_is_sent_is_a_bug_of_ours(value: Any) -> None:
    read = documents.read(value)
    found = capture.captured(read, sender("manufacturer", "regulator"), Known(), PRESENT)
    assert len(found) == len(read.events)
    capture.needs(read)


def test_however_a_document_is_spoilt_it_has_an_outcome() -> None:
    chance = random.Random(SEED)
    everyone = sender("manufacturer", "importer", "distributor", "regulator")
    events = [GOOD, made(), transformed(inputEPCList=[serial()]), received(), shipped(), withdrawn(received())]
    events += [objects("OBSERVE", **{"persistentDisposition": {"set": ["recalled"]}, "sw:recallLevel": 1})]
    whole = document(*events, countries={location(OWN): "VN", location(ABROAD): "FR"})
    for _ in range(SPOILT):
        read = documents.read(reference.spoilt(whole, chance))
        needs = capture.needs(read)
        found = capture.captured(read, everyone, Known({gln: "VN" for gln in needs.glns}), PRESENT)
        assert len(found) == len(read.events)
        for one in found:
            if not isinstance(one.outcome, Refused):
                json.dumps(read.just(one.index))


@pytest.mark.skipif(not reference.is_there(), reason=reference.MISSING)
def test_every_published_example_is_captured() -> None:
    for name, example in reference.examples().items():
        for found in capture_all_of(example):
            assert not isinstance(found.outcome, Refused), (name, found.outcome)


def capture_all_of(value: Any) -> list[capture.Captured]:
    return capture.captured(documents.read(value), MAKER, Known(), PRESENT)
