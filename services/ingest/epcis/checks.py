"""What a rule of the standard is made of: texts, URIs, lists, objects; each tells every fault with its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from services.ingest.epcis.formats import is_moment, is_uri
from services.ingest.epcis.vocabulary import Vocabulary, is_term
from shared.errors import Fault, path

Path = tuple[str | int, ...]
Check = Callable[[Any, Path], Iterator[Fault]]

URI: Final = "uri"
TIME: Final = "time"


def fault(at: Path, code: str, detail: str) -> Fault:
    return Fault(path(at) or None, code, detail)


def anything(value: Any, at: Path) -> Iterator[Fault]:
    yield from ()


def text(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield fault(at, "type", "must be a string")


def number(value: Any, at: Path) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield fault(at, "type", "must be a number")


def boolean(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, bool):
        yield fault(at, "type", "must be true or false")


def uri(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield fault(at, "type", "must be a string that holds a URI")
    elif not is_uri(value):
        yield fault(at, URI, f"{value[:80]!r} is no URI of RFC 3986 with a scheme")


def time(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield fault(at, "type", "must be a string that holds a date-time")
    elif not is_moment(value):
        yield fault(at, TIME, "a time is RFC 3339 with an offset, e.g. 2026-11-23T16:20:00+07:00")


def matching(pattern: str, detail: str) -> Check:
    """A string that is wholly of `pattern`."""
    compiled = re.compile(pattern)

    def check(value: Any, at: Path) -> Iterator[Fault]:
        if not isinstance(value, str):
            yield fault(at, "type", f"must be a string: {detail}")
        elif not compiled.fullmatch(value):
            yield fault(at, "pattern", detail)

    return check


def one_of(*words: str) -> Check:
    """Exactly one of some words."""

    def check(value: Any, at: Path) -> Iterator[Fault]:
        if value not in words or not isinstance(value, str):
            yield fault(at, "choice", f"must be {' or '.join(words)}")

    return check


def term(vocabulary: Vocabulary) -> Check:
    """A word of a standard vocabulary in any of its forms, or a URI of somebody else's."""

    def check(value: Any, at: Path) -> Iterator[Fault]:
        if not isinstance(value, str):
            yield fault(at, "type", f"must be a string: {vocabulary.name}")
        elif not is_term(vocabulary, value):
            yield fault(at, "choice", f"{value[:80]!r} is no {vocabulary.name} of the standard and no URI of another's")

    return check


def array(item: Check, least: int = 0, unique: bool = False) -> Check:
    """A list of `item`, at least so many, perhaps without the same twice."""

    def check(value: Any, at: Path) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield fault(at, "type", "must be a list")
            return
        if len(value) < least:
            yield fault(at, "length", f"must hold at least {least}")
        if unique and len({_same(one) for one in value}) != len(value):
            yield fault(at, "duplicate", "the same item stands twice")
        for index, one in enumerate(value):
            yield from item(one, (*at, index))

    return check


def _same(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not, nor does the order of names matter."""
    if isinstance(value, dict):
        return "object", frozenset((name, _same(one)) for name, one in value.items())
    if isinstance(value, list):
        return "list", tuple(_same(one) for one in value)
    return isinstance(value, bool), value


def closed(name: str, at: Path) -> Iterator[Fault]:
    yield fault((*at, name), "unknown_field", "there is no such field")


def extension(name: str, at: Path) -> Iterator[Fault]:
    """Somebody's own name, which stands beside those of the standard if it is a URI or a CURIE."""
    if not is_uri(name):
        yield fault((*at, name), "unknown_field", "no field of the standard, and no extension with a prefix")


def whatever(name: str, at: Path) -> Iterator[Fault]:
    yield from ()


def record(
    fields: Mapping[str, Check], required: tuple[str, ...] = (), others: Callable[[str, Path], Iterator[Fault]] = closed
) -> Check:
    """An object: the checks of its fields by name, which must be there, and what other names may stand in it."""

    def check(value: Any, at: Path) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield fault(at, "type", "must be an object")
            return
        for name in required:
            if name not in value:
                yield fault((*at, name), "missing", "the field is required")
        for name, one in value.items():
            if name in fields:
                yield from fields[name](one, (*at, name))
            else:
                yield from others(name, at)

    return check


def all_of(*checks: Check) -> Check:
    def check(value: Any, at: Path) -> Iterator[Fault]:
        for one in checks:
            yield from one(value, at)

    return check


def context(value: Any, at: Path) -> Iterator[Fault]:
    if isinstance(value, list):
        yield from array(_context_item, unique=True)(value, at)
    else:
        yield from _context_item(value, at)


def _context_item(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield from uri(value, at)
