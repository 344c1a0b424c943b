"""Answers GET /alerts, GET /alerts/{id}, POST /alerts/{id}/acknowledge and GET /rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from services.alerts.alert import Alert, Severity, State
from services.alerts.lifecycle import NotAcknowledgeable
from services.alerts.parts import Parts, parts
from services.alerts.requests import MomentCursor, Name, body_of, identity, listing, not_found
from services.alerts.store.alerts import NotFound
from shared.access import require
from shared.audit import Author
from shared.errors import Fault, Problem
from shared.forms import require_author
from shared.keys import ADMIN, OPERATOR, VIEWER, Principal
from shared.openapi import json_body
from shared.web import Limit, decode_cursor, json_response

router = APIRouter()
Reader = Annotated[Principal, Depends(require(VIEWER, OPERATOR, ADMIN))]
Operator = Annotated[Author, Depends(require_author(OPERATOR, ADMIN))]
Running = Annotated[Parts, Depends(parts)]


class Acknowledgement(BaseModel):
    """The body of POST /alerts/{id}/acknowledge; it may be left out. `why` is another way to say `?reason=`."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", max_length=1000)


@router.get("/alerts")
async def list_alerts(
    running: Running,
    _: Reader,
    limit: Limit,
    state: State | None = None,
    severity: Severity | None = None,
    rule: Name | None = None,
    subject: Name | None = None,
    cursor: str | None = None,
) -> Response:
    last = decode_cursor(cursor, MomentCursor)
    after = None if last is None else (last.at, last.id)
    filters = {"state": state, "severity": severity, "rule": rule, "subject": subject}
    return json_response(listing(await running.queries.alerts(filters, limit, after, running.clock.now())))


@router.get("/alerts/{alert}")
async def one_alert(alert: str, running: Running, _: Reader) -> Response:
    found = await running.queries.alert(identity(alert, "alert"), running.clock.now())
    if found is None:
        raise not_found("alert", alert)
    return json_response(found)


@router.post(
    "/alerts/{alert}/acknowledge",
    responses={409: {"description": "It is not firing"}},
    openapi_extra=json_body(Acknowledgement, required=False),
)
async def acknowledge(alert: str, request: Request, running: Running, caller: Operator) -> Response:
    """200 with the alert, also if it already was acknowledged; 409 unless it is firing."""
    body = await body_of(request, Acknowledgement)
    after = await acknowledged(alert, running, replace(caller, reason=body.why or caller.reason))
    return json_response(after.as_json())


@router.get("/rules")
async def list_rules(running: Running, _: Reader) -> Response:
    """The rules in force; `fault`: why one could last not read a signal, `refused`: what is wrong in changed files."""
    faults, rules = running.alerts.rule_errors, running.alerts.rules
    items: list[dict[str, Any]] = [{**rule.as_json(), "fault": faults.get(rule.name)} for rule in rules.rules]
    inhibitions = [inhibition.as_json() for inhibition in rules.inhibitions]
    refused = [fault.as_json() for fault in running.rule_watch.faults]
    answer = {"digest": rules.digest, "items": items, "inhibitions": inhibitions, "refused": refused, "next": None}
    return json_response(answer)


async def acknowledged(alert: str, running: Parts, author: Author) -> Alert:
    """The alert after it. Raises Problem 404, 409 unless it is firing."""
    try:
        return await running.alerts.acknowledge(identity(alert, "alert"), author)
    except NotFound:
        raise not_found("alert", alert) from None
    except NotAcknowledgeable as error:
        raise Problem(409, "Conflict", str(error), [Fault("state", "not_firing", str(error))]) from None
