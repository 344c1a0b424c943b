"""What a record of a producer's own topic says: an event, a document, or one code for why it is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import inbound
from services.ingest.inbound import Accepted, Document, Header, Inbound, Refused
from shared.events import cloudevent, reader
from shared.events.cloudevent import BATCH, STRUCTURED
from shared.keys import Principal
from tests.unit.ingest_given import OTHER, SOURCE, said, sender

NOW = datetime(2030, 12, 31, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
MAKER = sender("manufacturer")
RELEASED = said("batch.released")
EVENT = cloudevent.check(cloudevent.from_structured(RELEASED))
ACCEPTED = Accepted(EVENT, MAKER.roles)
JSON_TYPE: Header = ("content-type", b"application/json")
STRUCTURED_TYPE: Header = ("content-type", STRUCTURED.encode())


def record(value: Any, headers: Sequence[Header] = (STRUCTURED_TYPE,), key: bytes | None = None) -> Inbound:
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Inbound("inbound.firm", 1, 7, 1_700_000_000_000, key, raw, list(headers))


def read(
    value: Any, headers: Sequence[Header] = (STRUCTURED_TYPE,), by: Principal | None = MAKER
) -> Accepted | Refused | Document:
    return inbound.read(inbound.cut(record(value, headers)), by, NOW, AHEAD)


def attributes(event: dict[str, Any] = RELEASED, **changes: bytes | None) -> list[Header]:
    told = {name: text.encode() for name, text in event.items() if name not in ("data", "datacontenttype")}
    return [(f"ce_{name}", value) for name, value in {**told, **changes}.items()]


def code(answer: Accepted | Refused | Document) -> str:
    assert isinstance(answer, Refused)
    assert answer.detail
    assert answer.detail.isprintable()
    assert len(answer.detail) <= inbound.DETAIL_CHARACTERS + 100
    return answer.code


def test_structured_and_binary_say_the_same() -> None:
    assert read(RELEASED) == ACCEPTED
    assert read(RELEASED["data"], [*attributes(), JSON_TYPE]) == ACCEPTED
    assert read(RELEASED["data"], attributes()) == ACCEPTED


@pytest.mark.parametrize("headers", [[], [JSON_TYPE], [("Content-Type", b"application/json; charset=utf-8")]])
def test_an_event_as_one_json_object_needs_no_header(headers: list[Header]) -> None:
    assert read(RELEASED, headers) == ACCEPTED


def test_the_content_type_decides_even_beside_attributes() -> None:
    assert read(RELEASED, [*attributes(id=b"other"), STRUCTURED_TYPE]) == ACCEPTED


def test_base64_data_that_holds_json_is_read_like_data() -> None:
    encoded = base64.b64encode(json.dumps(RELEASED["data"]).encode()).decode()
    event = {name: value for name, value in RELEASED.items() if name != "data"}
    assert read({**event, "data_base64": encoded}) == ACCEPTED


def test_what_a_regulator_says_over_kafka_is_sent_on_as_a_regulators() -> None:
    sent = {role: read(RELEASED, by=sender(role)) for role in ("manufacturer", "regulator")}
    headers = {role: answer.record().headers for role, answer in sent.items() if isinstance(answer, Accepted)}
    assert headers["regulator"] == [*headers["manufacturer"], (reader.AUTHORITY, reader.REGULATOR)]


def test_headers_of_others_and_extensions_are_accepted_and_not_kept() -> None:
    tracing = [("traceparent", b"00-a-b-01"), ("traceparent", b"00-a-b-02"), ("ce_partitionkey", b"x"), ("n", None)]
    assert read(RELEASED["data"], [*attributes(), *tracing]) == ACCEPTED


@pytest.mark.parametrize(
    "document",
    [{"@context": ["https://ref.gs1.org/x"], "type": "EPCISDocument"}, [{"type": "ObjectEvent"}]],
)
def test_an_epcis_document_is_told_from_an_event(document: Any) -> None:
    assert read(document, [JSON_TYPE]) == Document(document)
    assert read(document, [("content-type", b"application/ld+json")]) == Document(document)


HUGE_NUMBER = b'{"a":' + b"1" * 5_000 + b"}"


@pytest.mark.parametrize(
    ("value", "headers", "refused"),
    [
        (None, [STRUCTURED_TYPE], "no_value"),
        (b"", [STRUCTURED_TYPE], "json"),
        (b"\xff\xfe", [STRUCTURED_TYPE], "encoding"),
        (b"{", [STRUCTURED_TYPE], "json"),
        (b"{", [], "json"),
        (b"{", attributes(), "json"),
        (b'{"a":1,"a":2}', [STRUCTURED_TYPE], "duplicate_key"),
        (b'{"a":NaN}', [STRUCTURED_TYPE], "json"),
        (b'{"a":1e400}', [STRUCTURED_TYPE], "number"),
        (HUGE_NUMBER, [STRUCTURED_TYPE], "number"),
        (b'{"a":"\\ud800"}', [STRUCTURED_TYPE], "control_character"),
        (b"[" * 100_000, [STRUCTURED_TYPE], "depth"),
        (b" " * (1024 * 1024 + 1), [STRUCTURED_TYPE], "size"),
        (RELEASED, [STRUCTURED_TYPE, ("big", b"x" * 70_000)], "size"),
        (b"7", [], "no_cloudevent"),
        (b"{}", [], "no_cloudevent"),
        (b"{}", [JSON_TYPE], "no_cloudevent"),
        ([RELEASED], [("content-type", BATCH.encode())], "media_type"),
        (RELEASED, [("content-type", b"application/cloudevents+avro")], "media_type"),
        (RELEASED["data"], [*attributes(), ("content-type", b"text/plain")], "media_type"),
        (RELEASED["data"], attributes(id=b"\xff"), "encoding"),
        (RELEASED["data"], attributes(id=None), "no_cloudevent"),
        (RELEASED["data"], attributes(id=b"a\nb"), "control_character"),
        (RELEASED["data"], [*attributes(), ("ce_id", b"other")], "duplicate_header"),
        (RELEASED, [STRUCTURED_TYPE, ("x", b"\xff")], "encoding"),
        (RELEASED, [STRUCTURED_TYPE, (b"x\xff".decode("utf-8", "surrogateescape"), b"1")], "encoding"),
        ({**RELEASED, "type": "supply.unknown.v1"}, [STRUCTURED_TYPE], "unknown_type"),
        ({**RELEASED, "specversion": "0.3"}, [STRUCTURED_TYPE], "no_cloudevent"),
        ({**RELEASED, "source": f"urn:gln:{OTHER}"}, [STRUCTURED_TYPE], "foreign_source"),
        (said("price.declared"), [STRUCTURED_TYPE], "role"),
        (said("batch.produced", manufacturer=OTHER, site=None), [STRUCTURED_TYPE], "foreign_gln"),
        (said("batch.released", quantity=0), [STRUCTURED_TYPE], "range"),
        ({**RELEASED, "time": "2031-01-01T00:00:00Z"}, [STRUCTURED_TYPE], "future_time"),
    ],
)  # fmt: skip
def test_what_is_hostile_has_one_code(value: Any, headers: list[Header], refused: str) -> None:
    assert code(read(value, headers)) == refused


def test_a_topic_without_a_producer_is_refused() -> None:
    assert code(read(RELEASED, by=None)) == "unknown_producer"


def test_a_refusal_names_the_event_and_every_fault() -> None:
    answer = read({**RELEASED, "source": SOURCE, "data": {**RELEASED["data"], "quantity": 0, "lot": ""}})
    assert isinstance(answer, Refused)
    assert answer.event_id == RELEASED["id"]
    assert "data.quantity: " in answer.detail and "data.lot: " in answer.detail
    assert isinstance(named := read(b"{", attributes()), Refused) and named.event_id == RELEASED["id"]


def test_what_is_kept_of_a_bomb_is_bounded() -> None:
    bomb = inbound.cut(record(b" " * 5_000_000, [("big", b"x" * 60_000), ("more", b"x" * 60_000)], b"k" * 100_000))
    assert (len(bomb.value or b""), len(bomb.key or b"")) == (inbound.MAX_VALUE_BYTES, inbound.MAX_KEY_BYTES)
    assert [name for name, _ in bomb.headers] == ["big"]
    assert bomb.fault is not None and "5000000" in bomb.fault.detail


@settings(max_examples=500, deadline=None)
@given(
    value=st.none() | st.binary(max_size=60) | st.builds(lambda text: json.dumps({**RELEASED, **text}).encode(),
                                                        st.dictionaries(st.sampled_from([*RELEASED]), st.text())),
    headers=st.lists(st.tuples(st.sampled_from(["content-type", "ce_id", "ce_type", "CE_ID", "x"]) | st.text(),
                               st.none() | st.binary(max_size=20) | st.sampled_from([b"application/json", b"1.0"]))),
)  # fmt: skip
def test_whatever_the_bytes_are_there_is_an_answer(value: bytes | None, headers: list[Header]) -> None:
    answer = read(value, headers)
    if isinstance(answer, Refused):
        assert code(answer)
