"""Reads JSON alike at every door: UTF-8, bounded depth, no duplicate keys, no NaN, no lone surrogates, no controls."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from shared.errors import Fault, Invalid, path

MAX_DEPTH = 20
# An int of more digits cannot be a quantity, and Python's own conversion of very long ones is slow.
MAX_NUMBER_DIGITS = 40

# A string that is not closed is a token too, and nothing is tried twice (*+): else the search would begin again at each
# of its escaped quotes.
_STRUCTURE = re.compile(r""""[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]""", re.DOTALL)
_SUSPECT = re.compile(r"\\[bfnrtu]|[\x7f-\x9f]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def loads(body: bytes) -> Any:
    """The value that `body` holds. Raises Invalid with one fault: `encoding`, `json`, `depth`, `duplicate_key`, …"""
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
