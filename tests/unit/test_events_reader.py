"""The reader of the trusted topics: reads all that the models accept, to the same values, and survives all else."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import catalogue, cloudevent, reader
from shared.events.reader import EventCorrected, Unreadable, content_hash, event_key, read, replacement_data
from tests.unit.events_given import events
from tests.unit.events_same import values


def headers(type_: str = "supply.batch.released.v1", **changes: bytes | None) -> list[tuple[str, bytes]]:
    found: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_source": b"urn:gln:9520000001018",
        "ce_type": type_.encode(),
        "ce_time": b"2026-03-12T02:30:00Z",
        "ce_subject": b"09520000010010",
    }
    found.update(changes)
    return [(name, value) for name, value in found.items() if value is not None]


def released(**changes: Any) -> bytes:
    data = {"gtin": "09520000010010", "lot": "A1", "quantity": 5, "released_on": "2026-03-12", **changes}
    return json.dumps(data).encode()


@settings(max_examples=400, deadline=None)
@given(events())
def test_what_the_models_accept_the_reader_reads_to_the_same_values(sent: dict[str, Any]) -> None:
    event = cloudevent.check(cloudevent.from_structured(sent))
    record = cloudevent.to_kafka(event, by_regulator=False)
    found = read(record.headers, record.value)
    assert (found.source, found.id, found.type, found.time) == (event.source, event.id, event.type, event.time)
    assert found.subject == record.key.decode()
    assert values(found.data) == values(event.data)


@settings(max_examples=200, deadline=None)
@given(events())
def test_content_is_the_same_whether_or_not_defaults_are_written_out(sent: dict[str, Any]) -> None:
    event = cloudevent.check(cloudevent.from_structured(sent))
    record = cloudevent.to_kafka(event, by_regulator=False)
    spelled_out = event.data.model_dump_json(by_alias=True).encode()
    assert content_hash(read(record.headers, record.value)) == content_hash(read(record.headers, spelled_out))


@settings(max_examples=200, deadline=None)
@given(events())
def test_what_ingest_wrote_it_accepts_again_as_the_same_content(sent: dict[str, Any]) -> None:
    record = cloudevent.to_kafka(cloudevent.check(cloudevent.from_structured(sent)), by_regulator=False)
    again = cloudevent.check(cloudevent.from_structured({**sent, "data": json.loads(record.value or b"")}))
    assert cloudevent.to_kafka(again, by_regulator=False) == record


@pytest.mark.parametrize(
    ("other_headers", "other_value"),
    [
        (headers(ce_time=b"2026-03-12T02:30:01Z"), released()),
        (headers(), released(quantity=6)),
        (headers(), released(certificate="C1")),
    ],
)
def test_other_content_has_another_hash(other_headers: list[tuple[str, bytes]], other_value: bytes) -> None:
    assert content_hash(read(headers(), released())) != content_hash(read(other_headers, other_value))


def test_the_same_moment_in_another_offset_is_the_same_content() -> None:
    here = read(headers(ce_time=b"2026-03-12T09:30:00+07:00"), released())
    assert here.time == datetime(2026, 3, 12, 2, 30, tzinfo=UTC)
    assert here.time.tzinfo is UTC
    assert content_hash(here) == content_hash(read(headers(), released()))


def test_a_field_of_a_newer_catalogue_is_ignored() -> None:
    assert read(headers(), released(colour="blue")) == read(headers(), released())


@pytest.mark.parametrize(("header", "by_regulator"), [(None, False), (b"regulator", True), (b"Regulator", False)])
def test_the_authority_that_ingest_wrote_is_read_and_is_no_content(header: bytes | None, by_regulator: bool) -> None:
    found = read(headers(ce_authority=header), released())
    assert found.by_regulator is by_regulator
    assert content_hash(found) == content_hash(read(headers(), released()))


def test_a_correction_of_a_correction_reads_down_to_the_innermost_event() -> None:
    outer = catalogue.sample("supply.event.corrected.v1")
    inner = outer["data"]
    outer["data"] = {**inner, "replacement": {"type": "supply.event.corrected.v1", "data": inner}}
    record = cloudevent.to_kafka(cloudevent.check(cloudevent.from_structured(outer)), by_regulator=False)
    found = read(record.headers, record.value).data
    assert isinstance(found, EventCorrected)
    correction = replacement_data(found)
    assert isinstance(correction, EventCorrected)
    assert isinstance(replacement_data(correction), reader.BatchReleased)


def test_event_keys_do_not_mix_source_and_id() -> None:
    assert event_key("urn:gln:1", "23") != event_key("urn:gln:12", "3")
    assert len(event_key("a", "b")) == 16


HOSTILE: dict[str, tuple[Any, Any]] = {
    "null value": (headers(), None),
    "no headers": ([], released()),
    "no id": (headers(ce_id=None), released()),
    "no source": (headers(ce_source=None), released()),
    "no time": (headers(ce_time=None), released()),
    "null header": ([*headers(ce_type=None), ("ce_type", None)], released()),
    "null id header": ([*headers(ce_id=None), ("ce_id", None)], released()),
    "empty id": (headers(ce_id=b""), released()),
    "id with NUL": (headers(ce_id=b"a\0b"), released()),
    "id not UTF-8": (headers(ce_id=b"\xff"), released()),
    "time without offset": (headers(ce_time=b"2026-03-12T02:30:00"), released()),
    "time beyond time": (headers(ce_time=b"0001-01-01T00:00:00+23:00"), released()),
    "no time at all": (headers(ce_time=b"yesterday"), released()),
    "unknown type": (headers("supply.batch.eaten.v1"), released()),
    "not JSON": (headers(), b"{"),
    "empty": (headers(), b""),
    "not an object": (headers(), b"[]"),
    "not UTF-8": (headers(), released().replace(b"A1", b"\xff")),
    "lone surrogate": (headers(), released().replace(b"A1", b"\\ud800")),
    "NUL in a text": (headers(), released(certificate="a\0b")),
    "text for a quantity": (headers(), released(quantity="5")),
    "huge quantity": (headers(), released(quantity=10**30)),
    "negative quantity": (headers(), released(quantity=-5)),
    "short gtin": (headers(), released(gtin="1")),
    "no such day": (headers(), released(released_on="2026-02-30")),
    "missing field": (headers(), b'{"gtin":"09520000010010"}'),
    "deep nesting": (headers(), b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "NaN figure": (
        headers("supply.figure.reported.v1"),
        b'{"figure":"f","scope":"all","period_end":"2026-01-01","value":"NaN","unit":"u","source":"s"}',
    ),
    "replacement of an unknown type": (
        headers("supply.event.corrected.v1"),
        (
            b'{"corrects":{"source":"s","id":"i","type":"t"},"key":"k","corrected_on":"2026-01-01","reason":"r",'
            b'"replacement":{"type":"nothing","data":{}}}'
        ),
    ),
    "replacement of the wrong shape": (
        headers("supply.event.corrected.v1"),
        (
            b'{"corrects":{"source":"s","id":"i","type":"t"},"key":"k","corrected_on":"2026-01-01","reason":"r",'
            b'"replacement":{"type":"supply.batch.released.v1","data":7}}'
        ),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_event_is_unreadable_with_a_reason(name: str) -> None:
    with pytest.raises(Unreadable) as error:
        read(*HOSTILE[name])
    assert error.value.reason


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["ce_type", "ce_id", "ce_source", "ce_time", "ce_subject"]), st.binary())),
    st.none() | st.binary() | st.just(released()),
    st.booleans(),
)
def test_nothing_but_unreadable_ever_comes_out(
    some: list[tuple[str, bytes]], value: bytes | None, with_good_ones: bool
) -> None:
    with suppress(Unreadable):
        assert read([*(headers() if with_good_ones else []), *some], value).id


def test_a_text_that_only_looks_like_a_nul_is_read() -> None:
    assert read(headers(), released(certificate="C\\u0000")).data.certificate == "C\\u0000"  # type: ignore[attr-defined]
