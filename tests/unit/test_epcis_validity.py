"""What is EPCIS 2.0: our verdict is that of GS1's published schema, and says where the fault is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from services.ingest.epcis import documents
from tests.unit import epcis_reference as reference
from tests.unit.epcis_given import document, objects, packs, serial, transformed

SEED = 20_260
MUTATIONS = 2_500


def faults(value: Any) -> list[tuple[str | None, str]]:
    return [(fault.field, fault.code) for fault in documents.read(value).all_faults()]


@pytest.mark.skipif(not reference.is_there(), reason=reference.MISSING)
def test_the_verdict_is_that_of_the_published_schema_on_its_examples_and_on_spoilt_ones(
    say: Callable[[str], None],
) -> None:
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    assert {"uri", "date-time"} <= set(checker.checkers)
    published = jsonschema.Draft7Validator(reference.schema(), format_checker=checker)
    examples = reference.examples()
    assert len(examples) > 40
    for name, example in examples.items():
        assert published.is_valid(example) and faults(example) == [], name
    chance = random.Random(SEED)
    verdicts: Counter[bool] = Counter()
    for _ in range(MUTATIONS):
        value = reference.spoilt(chance.choice(list(examples.values())), chance)
        verdict = published.is_valid(value)
        verdicts[verdict] += 1
        assert (faults(value) == []) is verdict, value
    told = f"{verdicts[True]} valid, {verdicts[False]} not"
    say(f"EPCIS: GS1's verdict and ours are the same on {MUTATIONS} spoilt documents (seed {SEED}): {told}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no object", [(None, "type")]),
        ({}, [("type", "missing")]),
        ({"type": 5}, [("type", "type")]),
        (objects("OBSERVE"), [("@context", "missing")]),
        ({**objects("OBSERVE"), "@context": "no uri"}, [("@context", "uri")]),
        ([objects("OBSERVE"), objects("TAKE")], [("[1].action", "choice")]),
        ([{**objects("OBSERVE"), "type": "EPCISDocument"}], [("[0].type", "uri")]),
        (document(schemaVersion="two"), [("schemaVersion", "pattern")]),
        (document(creationDate="2026-02-30T00:00:00Z"), [("creationDate", "time")]),
        (document(comment="hello"), [("comment", "unknown_field")]),
        (document(epcisBody={"eventList": {}}), [("epcisBody.eventList", "type")]),
        (document(7), [("epcisBody.eventList[0]", "type")]),
        (document(objects("OBSERVE"), objects("TAKE")), [("epcisBody.eventList[1].action", "choice")]),
        (document(transformed(outputQuantityList=[])), [("epcisBody.eventList[0]", "one_of")]),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_path(value: Any, expected: list[tuple[str | None, str]]) -> None:
    assert faults(value) == expected


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"eventTime": "2026-11-20 09:30"}, ".eventTime", "time"),
        ({"eventTimeZoneOffset": "+14:30"}, ".eventTimeZoneOffset", "pattern"),
        ({"bizStep": "teleporting"}, ".bizStep", "choice"),
        ({"bizStep": "https://ns.gs1.org/cbv/BizStep-shipping"}, ".bizStep", "choice"),
        ({"bizLocation": {"id": "no uri"}}, ".bizLocation.id", "uri"),
        ({"quantityList": [{"epcClass": "a b"}]}, ".quantityList[0].epcClass", "uri"),
        ({"quantityList": [packs("12")]}, ".quantityList[0].quantity", "type"),
        ({"quantityList": [packs(uom="pack")]}, ".quantityList[0].uom", "pattern"),
        ({"quantityList": []}, "", "one_of"),
        ({"epcList": [serial(), serial()]}, ".epcList", "duplicate"),
        ({"sourceList": [{"type": "location"}]}, ".sourceList[0].source", "missing"),
        ({"ilmd": {}}, ".ilmd", "unknown_field"),
        ({"persistentDisposition": {}}, ".persistentDisposition", "one_of"),
        ({"persistentDisposition": {"set": []}}, ".persistentDisposition.set", "length"),
        ({"errorDeclaration": {}}, ".errorDeclaration.declarationTime", "missing"),
        ({"colour": "red"}, ".colour", "unknown_field"),
    ],
)
def test_a_fault_of_an_event_is_told_with_its_path(fields: dict[str, Any], path: str, code: str) -> None:
    assert faults(document(objects("OBSERVE", **fields))) == [(f"epcisBody.eventList[0]{path}", code)]


QUERIED = {
    "@context": [],
    "type": "EPCISQueryDocument",
    "epcisBody": {"queryResults": {"queryName": "q", "resultsBody": {"eventList": [objects("OBSERVE")]}}},
}


@pytest.mark.parametrize(
    "value",
    [
        document(objects("OBSERVE")),
        document(),
        QUERIED,
        {**objects("OBSERVE"), "@context": [{"sw": "https://supply-watch.example/"}]},
        [objects("OBSERVE"), transformed()],
        [],
        document(objects("OBSERVE", "sw:releasing", **{"sw:reason": "any", "ex:more": [{"x": None}]})),
        document({"type": "ex:Own", "eventTime": "2026-11-20T09:30:00Z", "eventTimeZoneOffset": "+07:00", "any": []}),
    ],
)
def test_documents_query_documents_bare_events_and_lists_are_taken(value: Any) -> None:
    assert faults(value) == []


@pytest.mark.parametrize(
    ("field", "word", "valid"),
    [
        ("bizStep", "urn:epcglobal:cbv:bizstep:shipping", True),
        ("bizStep", "urn:epcglobal:cbv:disp:in_transit", False),
        ("bizStep", "urn:epcglobal:cbv:bizstep:teleporting", False),
        ("bizStep", "cbv:BizStep-shipping", True),
        ("bizStep", "https://ref.gs1.org/cbv/BizStep-shipping", True),
        ("disposition", "urn:epcglobal:cbv:disp:in_transit", True),
    ],
)
def test_the_words_of_the_vocabulary_are_taken_as_epcis_1_wrote_them_too(field: str, word: str, valid: bool) -> None:
    assert (faults(document(objects("OBSERVE", **{field: word}))) == []) is valid


def test_the_types_of_transactions_and_parties_are_taken_as_epcis_1_wrote_them_too() -> None:
    event = objects(
        "OBSERVE",
        bizTransactionList=[{"type": "urn:epcglobal:cbv:btt:cert", "bizTransaction": "urn:x:y"}],
        sourceList=[{"type": "urn:epcglobal:cbv:sdt:location", "source": "urn:x:y"}],
        errorDeclaration={"declarationTime": "2026-11-20T09:30:00Z", "reason": "urn:epcglobal:cbv:er:did_not_occur"},
    )
    assert faults(document(event)) == []
