"""Each fault of an event's data is told under its own stable word, with the place where it stands."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared import faults
from shared.errors import Invalid
from shared.events import catalogue, cloudevent

MISSING = object()


def changed(type_: str, path: str, value: Any) -> dict[str, Any]:
    event = copy.deepcopy(catalogue.sample(f"supply.{type_}.v1"))
    *parents, last = path.split("/")
    inner: Any = event
    for part in parents:
        inner = inner[int(part) if part.isdigit() else part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return event


def told(event: dict[str, Any], index: int | None = None) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as error:
        cloudevent.check(cloudevent.from_structured(event, index), index)
    assert all(fault.detail for fault in error.value.faults)
    return [(fault.field, fault.code) for fault in error.value.faults]


CASES: list[tuple[str, str, Any, str, str]] = [
    ("batch.released", "data/gtin", "09520000010011", "data.gtin", "check_digit"),
    ("batch.released", "data/gtin", "0952000001001X", "data.gtin", "pattern"),
    ("batch.released", "data/gtin", "952000001", "data.gtin", "pattern"),
    ("batch.released", "data/gtin", 9520000010010, "data.gtin", "type"),
    ("batch.released", "data/gtin", "०९५२०००००१००१०", "data.gtin", "pattern"),
    ("batch.released", "data/gtin", MISSING, "data.gtin", "missing"),
    ("batch.released", "data/colour", "blue", "data.colour", "unknown_field"),
    ("batch.released", "data/lot", "A" * 21, "data.lot", "pattern"),
    ("batch.released", "data/lot", "", "data.lot", "pattern"),
    ("batch.released", "data/lot", "lô-1", "data.lot", "pattern"),
    ("batch.released", "data/quantity", 0, "data.quantity", "range"),
    ("batch.released", "data/quantity", 10**12 + 1, "data.quantity", "range"),
    ("batch.released", "data/quantity", 10**30, "data.quantity", "range"),
    ("batch.released", "data/quantity", 1.5, "data.quantity", "type"),
    ("batch.released", "data/quantity", 1.0, "data.quantity", "type"),
    ("batch.released", "data/quantity", "12", "data.quantity", "type"),
    ("batch.released", "data/quantity", True, "data.quantity", "type"),
    ("batch.released", "data/quantity", None, "data.quantity", "type"),
    ("batch.released", "data/released_on", "2026-02-30", "data.released_on", "date"),
    ("batch.released", "data/released_on", "2026-03-12T00:00:00", "data.released_on", "date"),
    ("batch.released", "data/released_on", 20260312, "data.released_on", "date"),
    ("batch.released", "data/released_on", "0001-01-01", "data.released_on", "range"),
    ("batch.released", "data/certificate", "", "data.certificate", "length"),
    ("batch.released", "data/certificate", "x" * 101, "data.certificate", "length"),
    ("batch.released", "data/certificate", "a\nb", "data.certificate", "control_character"),
    ("batch.released", "data/certificate", " a", "data.certificate", "pattern"),
    ("batch.produced", "data/manufacturer", "9520000001017", "data.manufacturer", "check_digit"),
    ("batch.produced", "data/manufacturer", "952000000101", "data.manufacturer", "pattern"),
    ("batch.produced", "data/expires_on", "2026-03-01", "data", "order"),
    ("batch.produced", "data/inputs/0/lot", "#", "data.inputs[0].lot", "pattern"),
    ("batch.produced", "data/inputs/0/colour", "#", "data.inputs[0].colour", "unknown_field"),
    ("batch.produced", "data/inputs", {}, "data.inputs", "type"),
    ("batch.recalled", "data/level", 4, "data.level", "range"),
    ("import.received", "data/country_of_origin", "XX", "data.country_of_origin", "country"),
    ("import.received", "data/country_of_origin", "fr", "data.country_of_origin", "country"),
    ("import.received", "data/basis", "gift", "data.basis", "choice"),
    ("import.received", "data/hold", "true", "data.hold", "type"),
    ("import.received", "data/value", -1, "data.value", "range"),
    ("export.shipped", "data/from", "consumed", "data.from", "choice"),
    ("export.shipped", "data/from_", "available", "data.from_", "unknown_field"),
    ("stock.adjusted", "data/delta", 0, "data", "range"),
    ("consumption.reported", "data/period_end", "2026-03-31", "data", "order"),
    ("registration.granted", "data/product/atc", "a10", "data.product.atc", "pattern"),
    ("registration.granted", "data/product/class", "magic", "data.product.class", "choice"),
    ("registration.granted", "data/packs", [], "data.packs", "length"),
    ("registration.granted", "data/packs/0/ddd_per_pack", 30, "data.packs[0].ddd_per_pack", "type"),
    ("registration.granted", "data/packs/0/ddd_per_pack", "0", "data.packs[0].ddd_per_pack", "range"),
    ("registration.granted", "data/packs/0/ddd_per_pack", "1e3", "data.packs[0].ddd_per_pack", "decimal"),
    ("registration.granted", "data/packs/0/ddd_per_pack", "NaN", "data.packs[0].ddd_per_pack", "decimal"),
    ("registration.varied", "data/packs", None, "data", "nothing_changed"),
    ("demand.estimated", "data/gtin", "09520000010010", "data", "one_of"),
    ("demand.estimated", "data/form", MISSING, "data", "one_of"),
    ("price.declared", "data/currency", "USD", "data.currency", "choice"),
    ("gmp.certified", "data/lines", ["a", "a"], "data.lines", "duplicate"),
    ("transfer.signed", "data/milestones", [{"milestone": "m", "title": "t"}] * 2, "data", "duplicate"),
    ("event.corrected", "data/corrects/type", "supply.batch.eaten.v1", "data.corrects.type", "unknown_type"),
    ("event.corrected", "data/corrects/source", "https://example.org", "data.corrects.source", "pattern"),
    ("event.corrected", "data/key", "09520000020019", "data", "key_mismatch"),
    ("event.corrected", "data/key", "09520000010011", "data.key", "check_digit"),
    ("event.corrected", "data/replacement/type", "supply.x.v1", "data.replacement.type", "unknown_type"),
    ("event.corrected", "data/replacement/data/lot", "#", "data.replacement.data.lot", "pattern"),
    ("event.corrected", "data/replacement/data", 7, "data.replacement.data", "type"),
    ("event.corrected", "time", MISSING, "time", "missing"),
    ("event.corrected", "time", "2026-03-14", "time", "time"),
    ("event.corrected", "time", "2026-03-14T09:00:00", "time", "time"),
    ("event.corrected", "time", "2026-13-14T09:00:00Z", "time", "time"),
    ("event.corrected", "time", "0001-01-01T00:00:00+07:00", "time", "time"),
    ("event.corrected", "type", "supply.batch.eaten.v1", "type", "unknown_type"),
    ("event.corrected", "source", "urn:gln:9520000001017", "source", "check_digit"),
    ("event.corrected", "source", "urn:gln:1", "source", "pattern"),
    ("event.corrected", "source", "", "source", "no_cloudevent"),
    ("event.corrected", "id", MISSING, "id", "no_cloudevent"),
    ("event.corrected", "id", 7, "id", "no_cloudevent"),
    ("event.corrected", "id", "x" * 513, "id", "length"),
    ("event.corrected", "id", "\U0001f48a" * 129, "id", "length"),
    ("event.corrected", "data/corrects/id", "", "data.corrects.id", "length"),
    ("event.corrected", "data/corrects/id", "ệ" * 171, "data.corrects.id", "length"),
    ("event.corrected", "specversion", "0.3", "specversion", "no_cloudevent"),
    ("event.corrected", "datacontenttype", "text/xml", "datacontenttype", "choice"),
    ("event.corrected", "data_base64", "e30=", "data_base64", "one_of"),
    ("event.corrected", "data", MISSING, "data", "type"),
]


@pytest.mark.parametrize(("type_", "path", "value", "field", "code"), CASES)
def test_a_fault_is_told_by_place_and_code(type_: str, path: str, value: Any, field: str, code: str) -> None:
    assert told(changed(type_, path, value)) == [(field, code)]


def test_every_fault_of_an_event_is_told_at_once() -> None:
    event = changed("batch.released", "data/gtin", "09520000010011")
    event["data"] |= {"quantity": 0, "colour": "blue"}
    event["time"] = "now"
    assert sorted(told(event), key=str) == sorted(
        [("time", "time"), ("data.gtin", "check_digit"), ("data.quantity", "range"), ("data.colour", "unknown_field")],
        key=str,
    )


def test_every_code_of_our_own_is_tested_above() -> None:
    assert {case[4] for case in CASES} | {"topic_mismatch"} >= faults.OWN_CODES


def test_a_replacement_stays_on_its_topic() -> None:
    event = changed("event.corrected", "data/replacement", None)
    price = catalogue.sample("supply.price.declared.v1")
    event["data"]["replacement"] = {"type": price["type"], "data": price["data"]}
    assert told(event) == [("data", "topic_mismatch")]


@pytest.mark.parametrize(
    ("written", "gtin"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("9520000010010", "09520000010010"),
        ("09520000010010", "09520000010010"),
    ],
)
def test_a_gtin_is_padded_to_14_digits(written: str, gtin: str) -> None:
    event = cloudevent.check(cloudevent.from_structured(changed("batch.released", "data/gtin", written)))
    assert event.data.key() == gtin


@pytest.mark.parametrize(
    ("written", "kept"), [("1.50", "1.5"), ("-0", "0"), ("0012", "12"), ("100", "100"), ("0.000001", "0.000001")]
)
def test_a_decimal_is_kept_exactly_and_written_one_way(written: str, kept: str) -> None:
    event = cloudevent.check(cloudevent.from_structured(changed("figure.reported", "data/value", written)))
    assert f'"value":"{kept}"'.encode() in event.data.canonical()


def test_defaults_written_out_are_the_same_content_as_defaults_left_out() -> None:
    without = changed("export.shipped", "data/from", MISSING)
    written = changed("export.shipped", "data/from", "available")
    both = [cloudevent.check(cloudevent.from_structured(event)).data.canonical() for event in (without, written)]
    assert both[0] == both[1]


def test_faults_name_the_event_they_belong_to() -> None:
    event = changed("batch.released", "data/quantity", 0)
    with pytest.raises(Invalid) as error:
        cloudevent.check(cloudevent.from_structured(event, 7), 7)
    fault = error.value.faults[0]
    assert (fault.index, fault.id) == (7, "qa-2026-00982")
