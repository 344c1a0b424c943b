"""Reads what lists are asked for: filters that a form may leave empty, moments, words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import BeforeValidator

from shared.errors import Fault, Invalid
from shared.events import fields

WORDS_MAX: Final = 200
# A form sends a field that is left empty.
MAY_BE_EMPTY: Final = BeforeValidator(lambda value: value or None)
Words = Annotated[str | None, Query(max_length=WORDS_MAX, pattern=r"^[^\x00-\x1f]*$"), MAY_BE_EMPTY]
Moment = Annotated[datetime | None, MAY_BE_EMPTY]
Cursor = Annotated[str | None, MAY_BE_EMPTY]


def moment(name: str, value: datetime | None) -> datetime | None:
    """`value` in UTC. Raises Invalid for a time without an offset, or one that nothing here has."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise Invalid([Fault(name, "time", "a time is RFC 3339 with an offset, e.g. 2026-11-23T16:20:00+07:00")])
    if not fields.FIRST_YEAR < value.year < fields.LAST_YEAR:
        raise Invalid([Fault(name, "range", f"the year is not within {fields.FIRST_YEAR} to {fields.LAST_YEAR}")])
    return value.astimezone(UTC)
