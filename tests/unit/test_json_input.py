"""Every door reads JSON alike, and nothing hostile gets as far as the parser or the database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.events.catalogue import CATALOGUE, sample
from shared.json_input import MAX_DEPTH, _strict, loads


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


def seconds(body: bytes) -> float:
    """How long it takes to read or refuse `body`: of three times the shortest."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        with suppress(Invalid):
            loads(body)
        taken.append(time.process_time() - started)
    return min(taken)


MEBIBYTE = 1024 * 1024
KEYS = b",".join(b'"%x":0' % number for number in range(MEBIBYTE // 10))


@pytest.mark.parametrize(
    "body",
    [
        b"[]" * 21 + b'"' + b'\\"' * (MEBIBYTE // 2 - 30),
        b"[]" * 21 + b'"' + b"\\" * (MEBIBYTE - 50),
        b'"' * MEBIBYTE,
        b"{" + KEYS + b',"1":0}',
        b"{" + KEYS + b',"%x":0}' % (MEBIBYTE // 10 - 1),
        b'{"' + b"k" * (MEBIBYTE // 2) + b'":{"\\/":0,' + KEYS[: MEBIBYTE // 2 - 50].rpartition(b",")[0] + b"}}",
    ],
    ids=["escaped quotes", "backslashes", "quotes", "first key twice", "last key twice", "long path"],
)
def test_no_body_takes_more_than_a_moment(body: bytes) -> None:
    assert MEBIBYTE * 0.9 < len(body) <= MEBIBYTE
    assert seconds(body) < 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"a":[0,{"b c":"\\u0000"}]}', "a[1].b c"),
        (b'{"a":{"\\u0000":1}}', "a"),
        (b'"\\u0000"', None),
    ],
)
def test_a_control_character_is_told_by_its_place(body: bytes, field: str | None) -> None:
    with pytest.raises(Invalid) as error:
        loads(body)
    assert [fault.field for fault in error.value.faults] == [field]


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


# The fast reader may never say anything else than the strict one: neither of bytes of no kind, nor of JSON that is
# nearly plain, with all that could deceive its counts.
def verdict(read: Callable[[bytes], Any], body: bytes) -> tuple[str, Any]:
    try:
        value = read(body)
    except Invalid as error:
        return "refused", error.faults
    return "read", repr(value)  # in which 1, 1.0 and True, and the order of keys, are told apart


DECEIVING = st.sampled_from(
    [":", '":', '" :', "a", "b", ' :"', "\\", "\n", "\x7f", "\x85", "\u00e9", "\u202e", "{", "[", "\ud800", "NaN", " "]
)
WORD = st.lists(DECEIVING, max_size=4).map("".join)
SPACE = st.sampled_from(["", "", "", " ", "\t", "\r\n"])
NUMBER = st.sampled_from(
    ["0", "-0", "7", "1.5", "1e3", "1E400", "-1e-400", "18446744073709551615", "18446744073709551616", "1" * 40,
     "1" * 41, "-9223372036854775809", "01", "NaN", "-Infinity", "true", "null"]
)  # fmt: skip


def quoted(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)


@st.composite
def written(draw: st.DrawFn, depth: int = 0) -> str:
    """JSON as somebody writes it: keys that stand twice, spaces anywhere, escapes or none."""
    kind = draw(st.sampled_from(["text", "number", "list", "object", "object"] if depth < 4 else ["text", "number"]))
    space = draw(SPACE)
    if kind == "text":
        return space + quoted(draw(WORD), draw(st.booleans()))
    if kind == "number":
        return draw(NUMBER) + space
    items = [draw(written(depth + 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "list":
        return space + "[" + ",".join(items) + "]"
    pairs = [f"{space}{quoted(draw(WORD), draw(st.booleans()))}{draw(SPACE)}:{item}" for item in items]
    return "{" + ",".join(pairs) + "}" + space


@settings(max_examples=1_000, deadline=None)
@given(written())
@example('{"a" :1,"a":2,"b":":"}')
@example('{"a":1,"a":2}')
@example("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
@example("[" * MAX_DEPTH + "]" * MAX_DEPTH)
@example("[" * MAX_DEPTH + '{"a":1}' + "]" * MAX_DEPTH)
@example('{"a":"\x85"}')
@example('{"a":"\\u0085"}')
@example('{"a":"\\uD83D\\uDC8A"}')
@example('{"a":"\\\\u0041"}')
@example('{"a":1,"\\u0061":2}')
@example('{"\\u0022:":1,"a":2}')
@example('{"a":"\\u00zz"}')
@example("18446744073709551616")
def test_what_is_read_fast_is_read_alike(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    assert verdict(loads, body) == verdict(_strict, body)


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(sorted(CATALOGUE)), st.data())
def test_an_event_with_a_byte_changed_is_read_alike(type_: str, data: st.DataObject) -> None:
    body = json.dumps(sample(type_), separators=(",", ":"), ensure_ascii=False).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    pieces = (b"", b'"', b":", b"\\", b" ", b"{", b"}", b",", b"0", b"\x7f", b"\xc2\x85", b"\xff")
    piece = data.draw(st.sampled_from(pieces))
    changed = body[:at] + piece + body[at + data.draw(st.integers(0, 2)) :]
    assert verdict(loads, changed) == verdict(_strict, changed)
