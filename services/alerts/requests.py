"""Reads what callers of the API send: bodies, ids and cursors; and says what is wrong with them."""

from __future__ import annotations

import uuid
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query, Request
from pydantic import BaseModel, ValidationError

from services.alerts.queries import Page
from shared import json_input
from shared.errors import Fault, Invalid, Problem
from shared.faults import faults
from shared.web import page

Name = Annotated[str, Query(max_length=2_000, pattern=r"^[^\x00-\x1f]*$")]


class MomentCursor(msgspec.Struct, array_like=True, frozen=True):
    """The key of a row in a list by time. Whoever makes up a cursor still names nothing the database cannot compare."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    id: uuid.UUID

    def __post_init__(self) -> None:
        if not MINYEAR < self.at.year < MAXYEAR:
            raise ValueError("at the ends of the calendar some moments have no date in UTC")


class RankCursor(msgspec.Struct, array_like=True, frozen=True):
    """The key of a row of the inbox: how severe, then when."""

    rank: Annotated[int, msgspec.Meta(ge=0, le=9)]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    id: uuid.UUID

    def __post_init__(self) -> None:
        MomentCursor(self.at, self.id)


class NumberCursor(msgspec.Struct, array_like=True, frozen=True):
    """The key of a row in a list by number."""

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    id: uuid.UUID


Model = TypeVar("Model", bound=BaseModel)


async def body_of(request: Request, model: type[Model]) -> Model:
    """The JSON body as `model`. Raises Problem 400 for what is not JSON, Invalid with every fault of its fields."""
    raw = await request.body()
    try:
        value = json_input.loads(raw) if raw else {}
    except Invalid as error:
        raise Problem(400, "Bad Request", "the body cannot be read as JSON", error.faults) from None
    return shaped(value, model)


def shaped(value: Any, model: type[Model]) -> Model:
    """`value` as `model`. Raises Invalid with every fault of its fields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid(faults(error)) from None


def moment(field: str, at: datetime) -> datetime:
    """`at`, which must have an offset and be a moment in UTC too. Raises Invalid."""
    if at.tzinfo is None:
        raise Invalid([Fault(field, "time", "a time needs an offset")])
    if not MINYEAR < at.year < MAXYEAR:
        raise Invalid([Fault(field, "range", "at the ends of the calendar some moments have no date in UTC")])
    return at


def identity(text: str, what: str) -> uuid.UUID:
    """The id in a path; what is none names nothing."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise not_found(what, text) from None


def not_found(what: str, name: object) -> Problem:
    detail = f"there is no {what} {str(name)[:100]}"
    return Problem(404, "Not Found", detail, [Fault("id", "not_found", detail)])


def listing(found: Page) -> dict[str, Any]:
    return page(found.items, found.following)
