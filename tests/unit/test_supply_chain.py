"""The hash chain of a partition is the same however its records came, and another when anything of them differs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.supply.record import pack_headers, unpack_headers
from tests.supply_given import Message, event, message
from tests.unit.supply_ledger import claim, decoded

RECORDS = [message(event("batch.released", str(number), quantity=number + 1), number) for number in range(6)]


def chain(messages: list[Message], cuts: list[int] | None = None) -> bytes:
    held = claim()
    edges = [0, *sorted(cuts or []), len(messages)]
    for start, end in zip(edges, edges[1:], strict=False):  # noqa: RUF007 - an empty batch is one of the cases
        decoded(messages[start:end], held)
    return held.chain


@given(st.lists(st.integers(0, 6), max_size=5))
def test_where_batches_are_cut_does_not_matter(cuts: list[int]) -> None:
    assert chain(RECORDS, cuts) == chain(RECORDS)


def test_records_that_come_again_do_not_enter_twice() -> None:
    held = claim()
    decoded(RECORDS[:4], held)
    decoded(RECORDS[2:], held)
    assert held.chain == chain(RECORDS)


@given(st.permutations(RECORDS[0].headers))
def test_the_order_of_headers_does_not_matter(headers: list[tuple[str, bytes]]) -> None:
    assert chain([RECORDS[0]._replace(headers=headers)]) == chain(RECORDS[:1])


@pytest.mark.parametrize(
    "changed",
    [
        {"timestamp": 1},
        {"key": None},
        {"key": b""},
        {"value": None},
        {"value": b""},
        {"headers": []},
        {"headers": [("ce_id", None)]},
        {"headers": [("ce_id", b"")]},
    ],
)
def test_anything_else_in_a_record_makes_another_chain(changed: dict[str, Any]) -> None:
    others = [chain([RECORDS[0]]), chain([message(event("batch.released", "0", quantity=1), 0, partition=0)])]
    assert others[0] == others[1]
    assert chain([RECORDS[0]._replace(**changed)]) != others[0]


def test_null_and_empty_differ() -> None:
    for field in ("key", "value"):
        assert chain([RECORDS[0]._replace(**{field: None})]) != chain([RECORDS[0]._replace(**{field: b""})])  # type: ignore[arg-type]
    assert pack_headers([("a", None)]) != pack_headers([("a", b"")])


def test_what_stands_in_key_and_value_cannot_be_moved_between_them() -> None:
    one = RECORDS[0]._replace(key=b"ab", value=b"c")
    assert chain([one]) != chain([one._replace(key=b"a", value=b"bc")])


def test_a_record_in_another_place_makes_another_chain() -> None:
    assert chain(RECORDS[:2]) != chain([RECORDS[1]._replace(offset=0), RECORDS[0]._replace(offset=1)])


@pytest.mark.parametrize("key", [b"\0", b"a\0b", b"\xff\xfe"])
@pytest.mark.parametrize(("kind", "readable"), [("batch.recalled", False), ("batch.released", True)])
def test_a_fact_whose_key_is_no_text_cannot_be_read_and_a_movement_needs_none(
    key: bytes, kind: str, readable: bool
) -> None:
    (found,) = decoded([message(event(kind, "1"), 0)._replace(key=key)], claim())
    assert (found.event is not None, found.why is None, found.key) == (readable, readable, key)


def test_many_headers_can_be_kept() -> None:
    headers: list[tuple[str, bytes | None]] = [(f"{number:05d}", b"") for number in range(5_000)]
    assert unpack_headers(pack_headers(headers)) == headers


@given(st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=4))
def test_headers_that_stand_twice_or_hold_nothing_can_be_kept(headers: list[tuple[str, bytes | None]]) -> None:
    told = [(name, value or b"") for name, value in headers]
    assert sorted(unpack_headers(pack_headers(headers))) == sorted(told)


@pytest.mark.parametrize(
    "changed",
    [
        {"value": None},
        {"value": b"\xff"},
        {"value": b'{"gtin": "abcdefghijklmn", "lot": "L", "quantity": 1, "released_on": "2026-01-01"}'},
        {"headers": []},
        {"headers": [*RECORDS[0].headers, ("ce_id", b"other")]},
        {"headers": [*RECORDS[0].headers[:-1], ("ce_time", None)]},
        {"headers": [*RECORDS[0].headers[:-1], ("ce_time", b"2026-01-01T00:00:00")]},
    ],
)
def test_a_record_that_no_reader_understands_is_passed_with_its_reason(changed: dict[str, Any]) -> None:
    held = claim()
    odd, good = decoded([RECORDS[0]._replace(**changed), RECORDS[1]], held)
    assert (odd.event, odd.content) == (None, None)
    assert odd.why
    assert good.event is not None
    assert held.next_offset == 2
