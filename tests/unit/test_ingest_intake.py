"""What an HTTP request says: three forms of the same events, or every fault of every event under one status."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import intake
from services.ingest.intake import Limits
from shared.errors import FAULTS_TOLD, Problem
from shared.events.cloudevent import BATCH, STRUCTURED, CloudEvent
from tests.unit.ingest_given import OTHER, OWN, said, sender

NOW = datetime(2030, 12, 31, tzinfo=UTC)
LIMITS = Limits(events=1000, ahead=timedelta(minutes=5))
MAKER = sender("manufacturer")


def read(body: Any, content_type: str = STRUCTURED, **more: str) -> list[CloudEvent]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in more.items()}}
    return intake.read(headers, raw, MAKER, NOW, LIMITS)


def refused(body: Any, content_type: str = STRUCTURED, **more: str) -> tuple[int, list[tuple[Any, ...]]]:
    with pytest.raises(Problem) as error:
        read(body, content_type, **more)
    assert error.value.detail
    return error.value.status, [(fault.index, fault.field, fault.code) for fault in error.value.faults]


def binary(event: dict[str, Any], **changes: str) -> tuple[bytes, str, dict[str, str]]:
    attributes = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return (
        json.dumps(event["data"]).encode(),
        "application/json",
        {f"ce_{name}": value for name, value in {**attributes, **changes}.items()},
    )


RELEASED = said("batch.released")


def test_the_three_forms_say_the_same() -> None:
    body, content_type, headers = binary(RELEASED)
    structured = read(RELEASED, "application/cloudevents+json; charset=utf-8")
    assert structured == read([RELEASED], BATCH) == read(body, content_type, **headers)
    assert structured[0].time == datetime(2026, 3, 12, 2, 30, tzinfo=UTC)


def test_base64_data_that_holds_json_is_read_like_data() -> None:
    encoded = base64.b64encode(json.dumps(RELEASED["data"]).encode()).decode()
    event = {name: value for name, value in RELEASED.items() if name != "data"}
    assert read({**event, "data_base64": encoded}) == read(RELEASED)


def test_extension_attributes_and_a_subject_are_accepted_and_not_kept() -> None:
    assert read({**RELEASED, "subject": "x", "traceparent": "00-a-b-01", "dataschema": "urn:x"}) == read(RELEASED)


def test_header_values_are_percent_decoded() -> None:
    body, content_type, headers = binary(RELEASED, id="l%C3%B4%201")
    assert read(body, content_type, **headers)[0].id == "lô 1"


def test_an_empty_batch_says_nothing() -> None:
    assert read([], BATCH) == []


def test_time_may_run_five_minutes_ahead_and_no_more() -> None:
    limit = (NOW + timedelta(minutes=5)).isoformat()
    beyond = (NOW + timedelta(minutes=5, seconds=1)).isoformat()
    assert read({**RELEASED, "time": limit})
    assert refused({**RELEASED, "time": beyond}) == (422, [(0, "time", "future_time")])


FOREIGN = said("batch.released", source=f"urn:gln:{OTHER}")
WRONG = said("batch.released", quantity=0)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "faults"),
    [
        (b"{", STRUCTURED, 400, [(None, None, "json")]),
        (b"\xff", STRUCTURED, 400, [(None, None, "encoding")]),
        (b"", STRUCTURED, 400, [(None, None, "json")]),
        (b"[1,2", BATCH, 400, [(None, None, "json")]),
        (b'{"a":1,"a":2}', STRUCTURED, 400, [(None, None, "duplicate_key")]),
        (b'{"a":NaN}', STRUCTURED, 400, [(None, None, "json")]),
        (b"[" * 21 + b"]" * 21, BATCH, 400, [(None, None, "depth")]),
        (b"7", STRUCTURED, 400, [(0, None, "no_cloudevent")]),
        (b"{}", BATCH, 400, [(None, None, "no_cloudevent")]),
        ({**RELEASED, "specversion": "0.3"}, STRUCTURED, 400, [(0, "specversion", "no_cloudevent")]),
        ({**RELEASED, "id": ""}, STRUCTURED, 400, [(0, "id", "no_cloudevent")]),
        (RELEASED["data"], "application/json", 400, [(0, name, "no_cloudevent") for name in
                                                     ("specversion", "id", "source", "type")]),
        (FOREIGN, STRUCTURED, 403, [(0, "source", "foreign_source")]),
        ([RELEASED, FOREIGN], BATCH, 403, [(1, "source", "foreign_source")]),
        ([FOREIGN, WRONG], BATCH, 422, [(0, "source", "foreign_source"), (1, "data.quantity", "range")]),
        ([7, WRONG], BATCH, 400, [(0, None, "no_cloudevent"), (1, "data.quantity", "range")]),
        ([RELEASED] * 1001, BATCH, 413, [(None, None, "too_many")]),
        (RELEASED, "text/plain", 415, [(None, "content-type", "media_type")]),
        (RELEASED, "", 415, [(None, "content-type", "media_type")]),
    ],
)  # fmt: skip
def test_a_refusal_has_one_status_and_names_every_fault(
    body: Any, content_type: str, status: int, faults: list[tuple[Any, ...]]
) -> None:
    assert refused(body, content_type) == (status, faults)


def test_a_compressed_body_is_not_taken() -> None:
    assert refused(b"\x1f\x8b", content_encoding="gzip") == (415, [(None, "content-encoding", "content_encoding")])


def test_a_thousand_events_are_taken() -> None:
    assert len(read([{**RELEASED, "id": str(number)} for number in range(1000)], BATCH)) == 1000


def test_a_broken_base64_does_not_hide_its_neighbours() -> None:
    broken = {**{name: value for name, value in RELEASED.items() if name != "data"}, "data_base64": "%"}
    assert refused([broken, WRONG], BATCH) == (
        422,
        [(0, "data_base64", "base64"), (1, "data.quantity", "range")],
    )


def test_a_sender_with_several_glns_may_use_each_as_its_source() -> None:
    assert read(said("batch.released", source=f"urn:gln:{OWN}"))


LATE = {"time": "2150-01-01T00:00:00Z"}
FAR = f"urn:gln:{OTHER}"


@pytest.mark.parametrize(
    ("event", "status", "faults"),
    [
        (
            said("batch.released", source=FAR, gtin="09520000010011") | LATE,
            422,
            ["data.gtin check_digit", "source foreign_source", "time future_time"],
        ),
        (
            said("batch.produced", manufacturer=OTHER, site="1", gtin="1"),
            422,
            ["data.gtin pattern", "data.manufacturer foreign_gln", "data.site pattern"],
        ),
        (
            said("import.received", importer=OTHER, quantity=0),
            422,
            ["data.quantity range", "type role"],
        ),
        (said("import.received", source=FAR, importer=OTHER), 403, ["source foreign_source", "type role"]),
        (
            said("batch.released", source=FAR) | LATE | {"type": "supply.batch.eaten.v1"},
            422,
            ["source foreign_source", "time future_time", "type unknown_type"],
        ),
        (
            said("stock.counted", holder=OTHER, covers="holder", quantity=-1),
            422,
            ["data.holder foreign_gln", "data.quantity range"],
        ),
        (said("stock.counted", holder=OTHER, covers="some", lot=""), 422, ["data.covers choice", "data.lot pattern"]),
        (said("batch.released", source="urn:gln:1") | {"time": "now"}, 422, ["source pattern", "time time"]),
        ({**said("batch.released", source=FAR), "data": 7}, 422, ["data type", "source foreign_source"]),
    ],
)
def test_what_is_wrong_with_an_event_in_several_ways_is_told_at_once(
    event: dict[str, Any], status: int, faults: list[str]
) -> None:
    answered, found = refused(event)
    assert (answered, sorted(f"{field} {code}" for _, field, code in found)) == (status, faults)


def test_a_regulator_may_name_any_gln_also_in_an_event_that_is_not_valid() -> None:
    event = said("transfer.signed", recipient=OTHER, title="")
    with pytest.raises(Problem) as error:
        intake.read({"content-type": STRUCTURED}, json.dumps(event).encode(), sender("regulator"), NOW, LIMITS)
    assert [(fault.field, fault.code) for fault in error.value.faults] == [("data.title", "length")]


def told(body: Any, content_type: str = STRUCTURED) -> Problem:
    with pytest.raises(Problem) as error:
        read(body, content_type)
    return error.value


def test_a_request_full_of_faults_is_told_the_first_of_them_and_how_many_more() -> None:
    unknown = {f"{number:x}": 0 for number in range(58_000)}
    event = {**RELEASED, "id": "x" * 500_000, "data": {**RELEASED["data"], **unknown}}
    problem = told(event)
    assert problem.status == 422
    assert len(problem.faults) == FAULTS_TOLD + 1
    assert (problem.faults[0].field, problem.faults[0].code) == ("id", "length")
    last = problem.faults[-1]
    assert (last.field, last.code, last.detail) == (None, "more_faults", f"and {58_001 - FAULTS_TOLD} more faults")
    assert len(json.dumps(problem.body())) < 100_000


def test_a_list_that_is_far_too_long_is_one_fault() -> None:
    event = said("batch.produced")
    event["data"]["inputs"] = [0] * 500_000
    assert refused(event) == (422, [(0, "data.inputs", "length")])


def test_faults_that_are_not_told_still_count_for_the_status() -> None:
    assert told([FOREIGN] * (FAULTS_TOLD + 1) + [WRONG], BATCH).status == 422
    assert told([FOREIGN] * (FAULTS_TOLD + 1), BATCH).status == 403


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from([*RELEASED, "data_base64", "subject"]), JSON, max_size=4),
    inner=st.dictionaries(st.sampled_from([*RELEASED["data"], "x"]), JSON, max_size=3),
)
def test_whatever_is_sent_is_taken_or_refused_with_faults(changes: dict[str, Any], inner: dict[str, Any]) -> None:
    event = {**RELEASED, "data": {**RELEASED["data"], **inner}, **changes}
    try:
        read([event], BATCH)
    except Problem as problem:
        refusal = problem
    else:
        return
    assert refusal.status in (400, 403, 422)
    assert refusal.faults
