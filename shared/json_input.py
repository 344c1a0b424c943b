"""Reads JSON alike at every door: UTF-8, bounded depth, no duplicate keys, no NaN, no lone surrogates, no controls.

Nearly every body is plain: a fast parser reads it, and a few counts prove that nothing is hidden in it. Whatever leaves
the least doubt goes to the strict reader, which decides alone what is refused, and why.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import orjson

from shared.errors import Fault, Invalid, path

MAX_DEPTH = 20
# An int of more digits cannot be a quantity, and Python's own conversion of very long ones is slow.
MAX_NUMBER_DIGITS = 40

# A string that is not closed is a token too, and nothing is tried twice (*+): else the search would begin again at each
# of its escaped quotes.
_STRUCTURE = re.compile(r""""[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]""", re.DOTALL)
_SUSPECT = re.compile(r"\\[bfnrtu]|[\x7f-\x9f]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_SPACES: Final = (b" ", b"\t", b"\n", b"\r")
_UPPER_CONTROL: Final = re.compile(b"\xc2[\x80-\x9f]")
# Of control characters and surrogates, and of a few that are neither.
_HIDING_ESCAPE: Final = re.compile(rb"\\u(?:00[01789]|[dD][89a-fA-F])")


class _Doubtful(Exception):
    """The fast parser's word is not enough."""


def loads(body: bytes) -> Any:
    """The value that `body` holds. Raises Invalid with one fault: `encoding`, `json`, `depth`, `duplicate_key`, …"""
    try:
        return _plain(body)
    except (_Doubtful, orjson.JSONDecodeError):
        return _strict(body)


def _plain(body: bytes) -> Any:
    """The value of a body that hides nothing. Raises _Doubtful or JSONDecodeError of any other.

    Where no quote is escaped, every quote begins or ends a text. So each key ends in a quote that a colon follows, and
    there are at least as many of these as keys that were written. Are there no more of them than keys that were read,
    no key stands twice.
    """
    if b"\x7f" in body or (not body.isascii() and _UPPER_CONTROL.search(body)):
        raise _Doubtful
    if b"\\" in body and (body.count(b"\\") != body.count(b"\\u") or _HIDING_ESCAPE.search(body)):
        raise _Doubtful
    for space in _SPACES:
        if space in body and space + b":" in body:
            raise _Doubtful
    value = orjson.loads(body)
    if body.count(b'":') != _keys_in([value], MAX_DEPTH + 1):
        raise _Doubtful
    return value


def _keys_in(value: dict[str, Any] | list[Any], depth: int) -> int:
    """How many keys stand in `value`. Raises _Doubtful if it is deeper than `depth`, or holds a float.

    A number of the fast parser is a float also where it was written as one that is whole and large.
    """
    if depth == 0:
        raise _Doubtful
    items: Iterable[Any] = value
    count = 0
    if isinstance(value, dict):
        items, count = value.values(), len(value)
    for item in items:
        kind = type(item)
        if kind is str:  # as nearly all are
            continue
        if kind is dict or kind is list:
            count += _keys_in(item, depth - 1)
        elif kind is float:
            raise _Doubtful
    return count


def _strict(body: bytes) -> Any:
    """What `loads` says of any body."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse("encoding", f"not UTF-8 at byte {error.start}")
    _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=lambda name: _refuse("json", f"{name} is not JSON"),
            parse_int=_whole,
            parse_float=_number,
        )
    except json.JSONDecodeError as error:
        _refuse("json", f"not JSON: {error.msg} at character {error.pos}")
    if _may_hide_controls(text) and (place := _control_in(value)) is not None:
        _refuse("control_character", "holds a control character or a lone surrogate", path(place) or None)
    return value


def _may_hide_controls(text: str) -> bool:
    """The parser refuses bare ones below space: only escapes, and those from DEL on, can bring one in."""
    plain = text.isascii() and "\\" not in text and "\x7f" not in text
    return not plain and _SUSPECT.search(text) is not None


def _refuse(code: str, detail: str, field: str | None = None) -> NoReturn:
    raise Invalid([Fault(field=field, code=code, detail=detail)])


def _check_depth(text: str) -> None:
    """Counted before parsing, so that the parser never meets a deep document."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    # Whole strings are passed over as one; an unclosed one is the parser's to refuse.
    for token in _STRUCTURE.findall(text):
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse("depth", f"nested deeper than {MAX_DEPTH}")
        elif token in "]}":
            depth -= 1


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        _refuse("duplicate_key", f"the key {twice[:80]!r} stands twice in one object")
    return found


def _whole(text: str) -> int:
    if len(text) > MAX_NUMBER_DIGITS:
        _refuse("number", f"a number of more than {MAX_NUMBER_DIGITS} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _refuse("number", "a number beyond the range of a double")
    return value


def _control_in(value: Any) -> tuple[str | int, ...] | None:
    """Where the first text, or the object with the first name, stands that holds one; None if none does."""
    if isinstance(value, str):
        return () if _CONTROL.search(value) else None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if isinstance(name, str) and _CONTROL.search(name):
            return ()
        if (inner := _control_in(item)) is not None:
            return (name, *inner)
    return None
