"""Answers /silences: which alerts are not told for a while, and why."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.muting import BadPattern, Matcher, Op, Silence
from services.alerts.parts import Parts
from services.alerts.requests import MomentCursor, body_of, identity, listing, moment, not_found
from services.alerts.store.alerts import NotFound
from services.alerts.store.silences import SILENCES_MAX, TooManySilences
from shared.audit import Author
from shared.errors import Fault, Invalid, Problem
from shared.events.fields import AS_TUPLE
from shared.openapi import json_body
from shared.web import Limit, decode_cursor, json_response

router = APIRouter()
MATCHERS_MAX: Final = 20


class MatcherBody(BaseModel):
    """A condition on rule, severity, subject or a label; patterns must match the whole value."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    op: Op = Op.EQUAL
    value: str = Field(max_length=1000)


class NewSilence(BaseModel):
    """The body of POST /silences; all matchers must hold. Without a start it begins now."""

    model_config = ConfigDict(extra="forbid")

    matchers: Annotated[tuple[MatcherBody, ...], AS_TUPLE, Field(min_length=1, max_length=MATCHERS_MAX)]
    starts_at: datetime | None = None
    ends_at: datetime
    reason: str = Field(min_length=1, max_length=1000)


@router.get("/silences")
async def list_silences(
    running: Running,
    _: Reader,
    limit: Limit,
    state: Literal["pending", "active", "expired"] | None = None,
    cursor: str | None = None,
) -> Response:
    last = decode_cursor(cursor, MomentCursor)
    after = None if last is None else (last.at, last.id)
    return json_response(listing(await running.queries.silences(state, running.clock.now(), limit, after)))


@router.post("/silences", status_code=201, openapi_extra=json_body(NewSilence), responses={409: {}})
async def create_silence(request: Request, running: Running, caller: Operator) -> Response:
    """201 with the silence. What is firing already is no longer reminded of; its end is told."""
    silence = await create(await body_of(request, NewSilence), running, caller)
    return json_response(silence.as_json(running.clock.now()), 201, {"Location": f"/silences/{silence.id}"})


@router.get("/silences/{silence}")
async def one_silence(silence: str, running: Running, _: Reader) -> Response:
    found = await running.queries.silence(identity(silence, "silence"))
    if found is None:
        raise not_found("silence", silence)
    return json_response(found.as_json(running.clock.now()))


@router.delete("/silences/{silence}", status_code=204)
async def end_silence(silence: str, running: Running, caller: Operator) -> Response:
    """204: it ends now, and what it held back is told if it still fires. It stays in the list as expired."""
    await end(silence, running, caller)
    return Response(status_code=204)


async def create(body: NewSilence, running: Parts, author: Author) -> Silence:
    """The new silence. Raises Invalid, Problem 409."""
    now = running.clock.now()
    silence = Silence(
        id=uuid.uuid4(),
        matchers=_matchers(body),
        starts_at=now if body.starts_at is None else moment("starts_at", body.starts_at),
        ends_at=moment("ends_at", body.ends_at),
        reason=body.reason,
        created_by=author.name,
        created_at=running.clock.real_now(),
    )
    _check_times(silence, now)
    try:
        await running.silences.add(silence, replace(author, reason=body.reason))
    except TooManySilences:
        detail = f"{SILENCES_MAX} silences have not ended yet"
        raise Problem(409, "Conflict", detail, [Fault(None, "too_many", detail)]) from None
    return silence


async def end(silence: str, running: Parts, author: Author) -> None:
    """Raises Problem 404."""
    try:
        await running.silences.end(identity(silence, "silence"), author)
    except NotFound:
        raise not_found("silence", silence) from None


def _matchers(body: NewSilence) -> tuple[Matcher, ...]:
    """Raises Invalid for a pattern that is none, and for a silence that would mute everything."""
    found = tuple(Matcher(one.name, one.op, one.value) for one in body.matchers)
    empty = []
    for index, matcher in enumerate(found):
        try:
            empty.append(matcher.holds({}))
        except BadPattern as error:
            raise Invalid([Fault(f"matchers[{index}].value", "pattern", str(error))]) from None
    if all(empty):
        raise Invalid([Fault("matchers", "choice", "at least one must not match what is empty")])
    return found


def _check_times(silence: Silence, now: datetime) -> None:
    if silence.ends_at <= max(now, silence.starts_at):
        raise Invalid([Fault("ends_at", "range", "it must end after its start and after now")])
