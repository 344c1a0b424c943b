"""Answers /endpoints: who is told of alerts, and how."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from services.alerts.alert import Alert, Change, Finding, Severity, State, Transition
from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.destination import Policy, check, destination
from services.alerts.endpoint import Endpoint, Filter, Format
from services.alerts.names import Names
from services.alerts.parts import Parts
from services.alerts.requests import MomentCursor, body_of, identity, listing, moment, not_found
from services.alerts.rows import filter_columns
from services.alerts.signature import new_secret
from services.alerts.store.alerts import NotFound
from shared.audit import Author
from shared.clock import rfc3339
from shared.errors import Fault, Invalid
from shared.events.fields import AS_TUPLE
from shared.openapi import json_body
from shared.web import Limit, decode_cursor, json_response

router = APIRouter()
FILTER_MAX: Final = 100
RATE_MAX: Final = 10_000
LEVEL_MAX: Final = 9
HEADERS_MAX: Final = 20
HOURS_MAX: Final = 24 * 90
# Ours, those of the connection, and those that would change how the body is read.
_OURS: Final = frozenset(
    "accept-encoding connection content-encoding content-length content-type expect host keep-alive te trailer "
    "transfer-encoding upgrade user-agent".split()
)
_OUR_PREFIXES: Final = ("webhook-", "proxy-")
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=2000)]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=HEADERS_MAX)]
Wanted = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], AS_TUPLE, Field(max_length=FILTER_MAX)
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FilterBody(_Body):
    """Each part is optional; all that are given must hold."""

    severity: Annotated[tuple[Severity, ...], AS_TUPLE, Field(max_length=FILTER_MAX)] = ()
    rule: Wanted = ()
    scope: Wanted = ()

    def chosen(self) -> Filter:
        return Filter(tuple(item.value for item in self.severity), self.rule, self.scope)


class NewEndpoint(_Body):
    """The body of POST /endpoints."""

    url: str
    format: Format = Format.STANDARD
    filter: FilterBody | None = None
    rate: float | None = Field(None, gt=0, le=RATE_MAX)
    level: int = Field(0, ge=0, le=LEVEL_MAX)
    headers: Headers = {}
    description: str = Field("", max_length=1000)


class EndpointChanges(_Body):
    """The body of PATCH /endpoints/{id}: what is left out stays."""

    url: str | None = None
    format: Format | None = None
    filter: FilterBody | None = None
    rate: float | None = Field(None, gt=0, le=RATE_MAX)
    level: int | None = Field(None, ge=0, le=LEVEL_MAX)
    headers: Headers | None = None
    description: str | None = Field(None, max_length=1000)
    enabled: bool | None = None


@router.get("/endpoints")
async def list_endpoints(running: Running, _: Reader, limit: Limit, cursor: str | None = None) -> Response:
    last = decode_cursor(cursor, MomentCursor)
    after = None if last is None else (last.at, last.id)
    return json_response(listing(await running.queries.endpoints(limit, after)))


@router.post("/endpoints", status_code=201, openapi_extra=json_body(NewEndpoint))
async def create_endpoint(request: Request, running: Running, caller: Operator) -> Response:
    """201 with the endpoint and, this once, its `secret`."""
    endpoint = await create(await body_of(request, NewEndpoint), running, caller)
    location = {"Location": f"/endpoints/{endpoint.id}"}
    return json_response({**endpoint.as_json(), "secret": endpoint.secret}, 201, location)


@router.get("/endpoints/{endpoint}")
async def one_endpoint(endpoint: str, running: Running, _: Reader) -> Response:
    return json_response((await found(endpoint, running)).as_json())


@router.patch("/endpoints/{endpoint}", openapi_extra=json_body(EndpointChanges))
async def change_endpoint(endpoint: str, request: Request, running: Running, caller: Operator) -> Response:
    body = await body_of(request, EndpointChanges)
    return json_response((await change(endpoint, body, running, caller)).as_json())


@router.delete("/endpoints/{endpoint}", status_code=204)
async def remove_endpoint(endpoint: str, running: Running, caller: Operator) -> Response:
    """204; what was still to be delivered to it has failed."""
    await remove(endpoint, running, caller)
    return Response(status_code=204)


@router.post("/endpoints/{endpoint}/enable")
async def enable_endpoint(endpoint: str, running: Running, caller: Operator) -> Response:
    """200 with the endpoint; what waited for it is sent now."""
    return json_response((await enable(endpoint, running, caller)).as_json())


@router.post("/endpoints/{endpoint}/rotate-secret")
async def rotate_secret(endpoint: str, running: Running, caller: Operator) -> Response:
    """200 with the new `secret`; the former one signs beside it until `former_secret_until`."""
    changed = await rotate(endpoint, running, caller)
    until = changed.former_secret_until
    return json_response(
        {**changed.as_json(), "secret": changed.secret, "former_secret_until": until and until.isoformat()}
    )


@router.post("/endpoints/{endpoint}/test", status_code=202)
async def test_endpoint(endpoint: str, running: Running, caller: Operator) -> Response:
    """202 with the id of a delivery whose outcome GET /deliveries/{id} tells."""
    delivery = await send_test(endpoint, running, caller)
    return json_response({"delivery": str(delivery)}, 202, {"Location": f"/deliveries/{delivery}"})


@router.post("/endpoints/{endpoint}/recover", status_code=202)
async def recover(endpoint: str, since: datetime, running: Running, caller: Operator) -> Response:
    """202 with how many messages since then are sent that failed, or were told while it was disabled.

    At most so many at once: `next` is the time to ask for again, null when that was all.
    """
    done = await running.recovery.recover(await found(endpoint, running), moment("since", since), caller)
    following = None if done.following is None else rfc3339(done.following)
    return json_response({"recovered": done.count, "next": following}, 202)


@router.get("/endpoints/{endpoint}/stats")
async def endpoint_stats(
    endpoint: str, running: Running, _: Reader, hours: Annotated[int, Query(ge=1, le=HOURS_MAX)] = 24
) -> Response:
    """What came of its deliveries and attempts of the last hours."""
    chosen = await found(endpoint, running)
    return json_response({"endpoint": str(chosen.id), "hours": hours, **await stats(chosen, hours, running)})


async def create(body: NewEndpoint, running: Parts, author: Author) -> Endpoint:
    """The new endpoint. Raises Invalid."""
    check_headers(body.headers)
    await check_url(body.url, running.names, running.policy)
    endpoint = Endpoint(
        id=uuid.uuid4(),
        url=body.url,
        format=body.format,
        filter=(body.filter or FilterBody()).chosen(),
        rate=body.rate,
        level=body.level,
        headers=body.headers,
        description=body.description,
        secret=new_secret(),
        former_secret=None,
        former_secret_until=None,
        enabled=True,
        disabled_reason=None,
        failing_since=None,
        created_at=running.clock.real_now(),
    )
    await running.endpoints.add(endpoint, author)
    return endpoint


async def change(endpoint: str, body: EndpointChanges, running: Parts, author: Author) -> Endpoint:
    """The endpoint after it. Raises Invalid, Problem 404."""
    check_headers(body.headers or {})
    if body.url is not None:
        await check_url(body.url, running.names, running.policy)
    columns = _columns(body)
    if not columns:
        return await found(endpoint, running)
    try:
        return await running.endpoints.change(identity(endpoint, "endpoint"), columns, author)
    except NotFound:
        raise not_found("endpoint", endpoint) from None


async def found(endpoint: str, running: Parts) -> Endpoint:
    """Raises Problem 404."""
    there = await running.queries.endpoint(identity(endpoint, "endpoint"))
    if there is None:
        raise not_found("endpoint", endpoint)
    return there


async def remove(endpoint: str, running: Parts, author: Author) -> None:
    """Raises Problem 404."""
    try:
        await running.endpoints.remove(identity(endpoint, "endpoint"), author)
    except NotFound:
        raise not_found("endpoint", endpoint) from None


async def enable(endpoint: str, running: Parts, author: Author) -> Endpoint:
    """The endpoint, to which what waited is sent now. Raises Problem 404."""
    columns = {"enabled": True, "disabled_reason": None, "failing_since": None}
    try:
        return await running.endpoints.change(identity(endpoint, "endpoint"), columns, author)
    except NotFound:
        raise not_found("endpoint", endpoint) from None


async def rotate(endpoint: str, running: Parts, author: Author) -> Endpoint:
    """The endpoint with a new secret. Raises Problem 404."""
    overlap = timedelta(hours=running.settings.secret_overlap_hours)
    try:
        return await running.endpoints.rotate(identity(endpoint, "endpoint"), new_secret(), overlap, author)
    except NotFound:
        raise not_found("endpoint", endpoint) from None


async def send_test(endpoint: str, running: Parts, author: Author) -> uuid.UUID:
    """The id of the delivery. Raises Problem 404."""
    there, sample = await found(endpoint, running), _sample(running.clock.now(), author.name)
    return await running.endpoints.send_test(there, sample, author)


async def stats(endpoint: Endpoint, hours: int, running: Parts) -> dict[str, Any]:
    """What came of its deliveries and attempts of the last hours."""
    return await running.queries.stats(endpoint.id, running.clock.real_now() - timedelta(hours=hours))


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises Invalid for headers that are ours to set, or named twice."""
    names = [name.lower() for name in headers]
    refused = [name for name in names if name in _OURS or name.startswith(_OUR_PREFIXES) or names.count(name) > 1]
    if refused:
        raise Invalid([Fault("headers", "choice", f"not to be set, or twice: {', '.join(sorted(set(refused)))}")])


async def check_url(url: str, names: Names, policy: Policy) -> None:
    """Raises Invalid for a URL that no webhook may go to as far as can be seen now; each connection checks again."""
    goal = destination(url)
    addresses = [goal.address] if goal.address is not None else await names.addresses_or_none(goal.host)
    if addresses is not None:
        check(addresses, policy, plain=goal.plain)
    elif goal.plain and not policy.allow_http and not policy.allowed:
        raise Invalid([Fault("url", "destination", "plain http is not allowed; use https")])


def _columns(body: EndpointChanges) -> dict[str, Any]:
    """The columns that a PATCH names; null takes a rate, filter or headers away and leaves the rest."""
    given = body.model_fields_set
    columns: dict[str, Any] = {}
    for name in ("url", "format", "level", "description", "enabled"):
        if name in given and (value := getattr(body, name)) is not None:
            columns[name] = value
    if "rate" in given:
        columns["rate"] = body.rate
    if "headers" in given:
        columns["headers"] = body.headers or {}
    if "filter" in given:
        columns |= filter_columns((body.filter or FilterBody()).chosen())
    if "enabled" in columns:
        columns["disabled_reason"] = None if body.enabled else "switched off by an operator"
    return columns


def _sample(now: datetime, by: str) -> Change:
    """What a test delivery tells of."""
    finding = Finding(
        severity=Severity.INFO,
        summary="This is a test: alerts reach this endpoint",
        description="Sent because an operator asked for it. Nothing is wrong.",
        resolution="",
        value=None,
        threshold=None,
        labels={"kind": "test", "scope": "test"},
    )
    alert = Alert(
        id=uuid.uuid4(),
        rule="test",
        subject="test",
        state=State.FIRING,
        opened_version=0,
        opening=1,
        started_at=now,
        fired_at=now,
        finding=finding,
    )
    return Change(alert, Transition.TEST, now, by, "a test was asked for")
