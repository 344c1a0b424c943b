"""The GS1 event hash: the values of an independent implementation, and the same for every spelling of an event."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.epcis.contexts import contexts
from services.ingest.epcis.event_hash import event_hash, prehash
from tests.unit import epcis_reference as reference
from tests.unit.epcis_given import (
    ABROAD,
    ANY_LOT,
    GS1,
    OWN,
    location,
    lot,
    made,
    objects,
    packs,
    serial,
    shipped,
    source,
    transformed,
)

BOUND = [GS1, {"ex": "https://ns.example.com/x/"}]


def hashed(event: dict[str, Any], context: Any = BOUND) -> str:
    return event_hash(event, contexts(context))


def sensed(**fields: Any) -> dict[str, Any]:
    report = {"type": "Temperature", "value": 4.50, "uom": "CEL", "ex:probe": "P1"}
    sensor = {
        "sensorMetadata": {"time": "2026-11-20T02:00:00Z"},
        "sensorReport": [report, {"type": "Mass", "value": 3}],
    }
    return objects("OBSERVE", "storing", sensorElementList=[sensor], **fields)


# Computed with GS1's prototype of the algorithm (epcis-event-hash-generator on PyPI), where both agree on the release.
@pytest.mark.parametrize(
    ("event", "sha256"),
    [
        (
            made(ilmd={"ex:batchSize": "23.0"}, **{"ex:line": "L 3"}),
            "7541f2c0383445f78ec546b45c171eca9a2121d98f71f2e15be6ce3d850e02cf",
        ),
        (
            objects(
                "ADD",
                "creating_class_instance",
                quantityList=None,
                epcList=[serial("9"), serial("10")],
                eventTime="2026-11-20T02:30:00.1415Z",
            ),
            "c3f67404132321cbbfc7a702b5585dcda2a4c95161b648f8bf585e319e3c9844",
        ),
        (
            objects(
                "OBSERVE",
                "stock_taking",
                disposition="sellable_accessible",
                bizTransactionList=[
                    {"type": "inv", "bizTransaction": "urn:x:b"},
                    {"type": "cert", "bizTransaction": "urn:x:a"},
                ],
                **{"ex:z": {"ex:b": [3, 1, "two"], "ex:a": "1.50"}},
            ),
            "4000a0b10d74bb37bba2ae7c2455fe979cc86b4bcd50fa5119ccacc53df6a768",
        ),
        (
            objects(
                "OBSERVE",
                "holding",
                persistentDisposition={"set": ["recalled", "damaged"]},
                bizLocation={"id": location(OWN, "5")},
            ),
            "72dd09ac7e849fb920cfbdd117e54e618e45a5ecc76735970665f74dc479a20a",
        ),
    ],
)
def test_the_hash_is_that_of_an_independent_implementation(event: dict[str, Any], sha256: str) -> None:
    assert hashed(event) == f"ni:///sha-256;{sha256}?ver=CBV2.0"


def test_the_pre_hash_string_has_the_order_of_the_standard() -> None:
    event = transformed(
        inputQuantityList=[packs(510.5, lot("IN1", "002001"), uom="KGM"), packs(3, ANY_LOT)],
        disposition="in_progress",
        readPoint={"id": location(OWN), "ex:dock": "7"},
        **{"ex:own": "x"},
    )
    assert prehash(event, contexts(BOUND)) == (
        "eventType=TransformationEvent"
        "eventTime=2026-11-20T02:30:00.000Z"
        "eventTimeZoneOffset=+07:00"
        "inputQuantityList"
        "quantityElementepcClass=https://id.gs1.org/01/09521000010017quantity=3"
        "quantityElementepcClass=https://id.gs1.org/01/09521000020016/10/IN1quantity=510.5uom=KGM"
        "outputQuantityListquantityElementepcClass=https://id.gs1.org/01/09521000010017/10/A1quantity=500"
        "disposition=https://ref.gs1.org/cbv/Disp-in_progress"
        "readPointid=https://id.gs1.org/414/9521000001015"
        "bizLocationid=https://id.gs1.org/414/9521000001015"
        "ilmd{urn:epcglobal:cbv:mda}itemExpirationDate=2028-11-30"
        "readPoint{https://ns.example.com/x/}dock=7"
        "{https://ns.example.com/x/}own=x"
    )


def test_sensor_elements_stand_without_the_name_of_their_list_and_their_extensions_behind() -> None:
    found = prehash(sensed(), contexts(BOUND))
    assert found.endswith(
        "sensorElement"
        "sensorMetadatatime=2026-11-20T02:00:00.000Z"
        "sensorReporttype=https://ref.gs1.org/voc/Massvalue=3"
        "sensorReporttype=https://ref.gs1.org/voc/Temperaturevalue=4.5uom=CEL"
        "sensorElementsensorReport{https://ns.example.com/x/}probe=P1"
    )


def test_a_declared_error_hashes_like_its_original_and_ids_and_record_times_are_no_content() -> None:
    event = shipped()
    more = {
        **event,
        "eventID": "urn:uuid:00000000-0000-4000-8000-00000000000f",
        "recordTime": "2026-11-20T09:31:00Z",
        "certificationInfo": "https://example.com/c",
        "errorDeclaration": {"declarationTime": "2026-11-21T00:00:00Z"},
        "@context": BOUND,
        "rdfs:comment": "no content either",
    }
    assert hashed(more) == hashed(event)


LOT_LINK = "https://shop.example/01/09521000010017/10/A1?17=281130"
OWN_LINK = "https://example.com/414/9521000001015"
SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"bizStep": "shipping"}, {"bizStep": "cbv:BizStep-shipping"}),
    ({"bizStep": "shipping"}, {"bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"}),
    ({"bizStep": "shipping"}, {"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}),
    ({"disposition": "in_transit"}, {"disposition": "urn:epcglobal:cbv:disp:in_transit"}),
    ({"sourceList": source(OWN)}, {"sourceList": [{"type": "cbv:SDT-location", "source": OWN_LINK}]}),
    ({"eventTime": "2026-11-20T09:30:00+07:00"}, {"eventTime": "2026-11-20T02:30:00.000Z"}),
    ({"eventTime": "2026-11-20T09:30:00+07:00"}, {"eventTime": "2026-11-20t02:29:59.9995z"}),
    ({"quantityList": [packs(500)]}, {"quantityList": [packs(500.0)]}),
    ({"quantityList": [packs(5), packs(7, lot("B"))]}, {"quantityList": [packs(7, lot("B")), packs(5)]}),
    ({"quantityList": [packs(5)]}, {"quantityList": [packs(5, LOT_LINK)]}),
    ({"ex:note": " x "}, {"ex:note": "x"}),
    ({"ex:list": ["b", "a"]}, {"ex:list": ["a", "b"]}),
    ({"ex:size": 2.50}, {"ex:size": "2.5"}),
    ({"ex:word": "ex:thing"}, {"ex:word": "https://ns.example.com/x/thing"}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_every_spelling_of_an_event_hashes_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hashed(shipped(**one)) == hashed(shipped(**other))


CHANGES: list[dict[str, Any]] = [
    {"bizStep": "receiving"},
    {"eventTime": "2026-11-20T09:30:00.001+07:00"},
    {"eventTimeZoneOffset": "+08:00"},
    {"quantityList": [packs(501)]},
    {"quantityList": [packs(500, lot("A2"))]},
    {"quantityList": [packs(500, uom="KGM")]},
    {"destinationList": None},
    {"disposition": "in_transit"},
    {"persistentDisposition": {"set": ["recalled"]}},
    {"ex:note": "x"},
    {"ex:code": "007"},
    {"ex:code": "7"},
]


def test_every_change_of_an_event_changes_its_hash() -> None:
    hashes = [hashed(shipped(**change)) for change in ({}, *CHANGES)]
    assert len(set(hashes)) == len(hashes)


def test_the_prefix_of_a_namespace_does_not_matter_but_the_namespace_does() -> None:
    event = made(**{"ex:line": {"ex:no": "3"}})
    renamed = made(**{"other:line": {"other:no": "3"}})
    assert hashed(event) == hashed(renamed, {"other": "https://ns.example.com/x/"})
    assert hashed(event) == hashed(event, {"ex": {"@id": "https://ns.example.com/x/"}})
    assert hashed(event) != hashed(event, {"ex": "https://ns.example.com/y/"})
    assert hashed(made()) == hashed(made(), {"cbvmda": "urn:epcglobal:cbv:mda:"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ex:a", "ex:b", "type", "id", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(extension=JSON, chance=st.randoms())
def test_the_order_of_names_and_of_lists_never_matters(extension: Any, chance: Any) -> None:
    event = {
        **sensed(sourceList=[{"type": "location", "source": location(n)} for n in (OWN, ABROAD)]),
        "ex:any": extension,
    }
    assert hashed(_shuffled(event, chance)) == hashed(event)


def _shuffled(value: Any, chance: Any) -> Any:
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: _shuffled(value[name], chance) for name in names}
    if isinstance(value, list):
        items = [_shuffled(item, chance) for item in value]
        chance.shuffle(items)
        return items
    return copy.deepcopy(value)


def test_an_event_of_somebodys_own_type_has_a_hash_whatever_it_holds() -> None:
    event = {"type": "ex:Own", "eventTime": "0001-01-01T00:00:00+14:00", "eventTimeZoneOffset": "+14:00", "epcList": 5}
    assert hashed({**event, "readPoint": "x", "quantityList": [None, [1]]}).startswith("ni:///sha-256;")


@pytest.mark.skipif(not reference.is_there(), reason=reference.MISSING)
def test_every_published_event_has_a_hash_that_its_eventID_is_no_part_of() -> None:  # noqa: N802
    for document in (example for name, example in reference.examples().items() if "#" not in name):
        for event in reference.events_of(document):
            without = {name: value for name, value in event.items() if name != "eventID"}
            assert hashed(event, document["@context"]) == hashed(without, document["@context"])
