"""Every door reads JSON alike, and nothing hostile gets as far as the parser or the database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.json_input import MAX_DEPTH, loads


def code(body: bytes) -> str:
    with pytest.raises(Invalid) as error:
        loads(body)
    (fault,) = error.value.faults
    return fault.code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"nothing", "json"),
        (b"\xff", "encoding"),
        (b"\xef\xbb\xbf{}", "json"),
        ('"a"'.encode("utf-16"), "encoding"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'[{"a":{"b":1,"b":2}}]', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b"NaN", "json"),
        (b"-Infinity", "json"),
        (b"1e400", "number"),
        (b"1" * 5000, "number"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "depth"),
        (b"[" * 1_000_000, "depth"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "depth"),
        (b'"\\ud800"', "control_character"),
        (b'"\\u0000"', "control_character"),
        (b'"\\n"', "control_character"),
        (b'"\n"', "json"),
        (b'"\x7f"', "control_character"),
        ('"\u0085"'.encode(), "control_character"),
        (b'{"\\t":1}', "control_character"),
        (b'{"a":["x","\\b"]}', "control_character"),
    ],
)
def test_what_no_door_lets_in(body: bytes, expected: str) -> None:
    assert code(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"[{" * 50 + b'"',
        b'["a\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]',
        b'"\\\\n and \\/ and \\ud83d\\ude00"',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b" [ 1 ,\n\t2 ] ",
        '"Đông Á, 薬"'.encode(),
    ],
)
def test_what_only_looks_bad_is_read(body: bytes) -> None:
    assert loads(body) == json.loads(body)


TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
    max_leaves=30,
)


@given(PLAIN, st.booleans())
def test_plain_values_come_through_as_they_are(value: Any, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        loads(body)
    except Invalid as error:
        told = error.faults
    else:
        return
    assert told
