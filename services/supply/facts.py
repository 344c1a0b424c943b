"""Says what a registry fact is: from which day it holds, its rank, and which of several holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from functools import cache
from typing import Any, Final

import msgspec

from shared.events import reader

_DAYS: Final = (
    *("effective_on", "granted_on", "filed_on", "signed_on", "reached_on", "recalled_on", "closed_on"),
    *("counted_on", "period_end", "started_on", "resolved_on"),
)
# What may be told anew with other details, and is still about the same.
_NAMED: Final = ("authorisation", "interruption", "certificate")
_KEY_FIELDS: Final = (
    "agreement milestone figure scope gtin lot substance form year unit holder covers period_start"
).split()


class Fact(msgspec.Struct, frozen=True):
    """One fact as it counts after corrections. `source` and `id` are the original's, `time` and authority too."""

    data: msgspec.Struct
    time: datetime
    source: str
    id: str
    by_regulator: bool = False

    @property
    def rank(self) -> tuple[datetime, str, str]:
        return (self.time, self.source, self.id)


def fact_of(type_: str, text: str, time: datetime, source: str, id_: str, by_regulator: bool = False) -> Fact:
    """The fact in a stored row."""
    return Fact(reader.read_data(type_, text.encode()), time, source, id_, by_regulator)


def effective_day(data: Any) -> date:
    """The day from which a fact holds."""
    for name in _day_fields(data.__class__):
        if (day := getattr(data, name)) is not None:
            return day  # type: ignore[no-any-return]
    return date(data.year, 1, 1)


@cache
def _day_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in _DAYS if name in kind.__struct_fields__)


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Ordered by day, then rank."""
    return sorted(facts, key=lambda fact: (effective_day(fact.data), fact.rank))


def until(facts: Iterable[Fact], day: date) -> list[Fact]:
    """Those that hold by `day`."""
    return [fact for fact in facts if effective_day(fact.data) <= day]


def newest_of_day(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that hold, in order: of one type, key and day the one of the greatest (time, source, id)."""
    held: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        identity = (type(fact.data), *_key(fact.data), effective_day(fact.data))
        if identity not in held or held[identity].rank < fact.rank:
            held[identity] = fact
    return in_order(held.values())


def _key(data: Any) -> tuple[object, ...]:
    """What a fact is about, among those of its type."""
    return tuple(getattr(data, name) for name in _key_fields(data.__class__))


@cache
def _key_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    named = tuple(name for name in _NAMED if name in kind.__struct_fields__)
    return named[:1] or tuple(name for name in _KEY_FIELDS if name in kind.__struct_fields__)
