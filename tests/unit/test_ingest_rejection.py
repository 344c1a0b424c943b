"""What is kept of a refused record is enough to judge it again, byte for byte."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.ingest import rejection
from services.ingest.inbound import Inbound, Refused, cut
from services.ingest.rejection import Refusal
from services.ingest.tables import Rejection
from shared import topics

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
NAMES = st.binary(max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
RECORDS = st.builds(
    Inbound,
    topic=st.just("inbound.firm"),
    partition=st.integers(0, 9),
    offset=st.integers(0, 2**62),
    at=st.none() | st.integers(0, 4_000_000_000_000),
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=40),
    headers=st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=8)), max_size=4),
    fault=st.none(),
)
WHY = Refused("json", "not JSON", "e1")


def stored(refusal: Refusal, **more: Any) -> Rejection:
    return Rejection(id=7, kind="rejected", received_at=NOW, **rejection.row(refusal), **more)


@given(RECORDS)
def test_a_record_comes_back_from_its_row_as_it_was(record: Inbound) -> None:
    assert rejection.record_of(stored(Refusal("firm", record, WHY))) == record


def test_a_record_that_was_cut_stays_one() -> None:
    record = cut(Inbound("inbound.firm", 0, 1, None, None, b"x" * 2_000_000, []))
    row = stored(Refusal("firm", record, Refused("size", "value: 2000000 bytes")))
    assert row.truncated
    again = rejection.record_of(row)
    assert again.fault is not None and again.fault.code == "size"


@given(RECORDS)
def test_on_its_topic_stands_what_was_sent_and_why_it_was_refused(record: Inbound) -> None:
    told = rejection.told(Refusal("firm", record, WHY), NOW)
    assert (told.topic, told.key, told.value) == (topics.REJECTED, b"firm", record.value)
    headers = dict(told.headers)
    assert len(headers) == len(told.headers)
    assert (headers["code"], headers["detail"], headers["event_id"]) == (b"json", b"not JSON", b"e1")
    assert (headers["topic"], headers["offset"]) == (b"inbound.firm", str(record.offset).encode())
    assert headers.get("raw_key") == record.key
    found = [
        (base64.b64decode(name).decode("utf-8", "surrogateescape"), None if value is None else base64.b64decode(value))
        for name, value in json.loads(headers["raw_headers"])
    ]
    assert found == record.headers


def test_text_is_shown_only_where_it_can_be_printed() -> None:
    record = Inbound("inbound.firm", 0, 1, None, b"\x00", '{"a":\n"é"}'.encode(), [("x", b"\xff"), ("y", None)])
    raw = rejection.raw(stored(Refusal("firm", record, WHY)))
    assert raw["value"]["text"] == '{"a":\n"é"}'
    assert raw["key"] == {"base64": "AA==", "text": None}
    assert [(h["name"]["text"], h["value"] and h["value"]["text"]) for h in raw["headers"]] == [
        ("x", None),
        ("y", None),
    ]
