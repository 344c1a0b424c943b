"""POST /events: one event or a batch, acknowledged by Kafka before the answer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Match, Route
from starlette.types import Scope

from services.ingest import intake, metrics
from services.ingest.event_schemas import BATCH as BATCH_OF_EVENTS
from services.ingest.event_schemas import EVENT, data_names, request_schemas
from services.ingest.judgement import sent_on
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.clock import Clock
from shared.errors import Problem
from shared.events.cloudevent import BATCH, BINARY, STRUCTURED, Record
from shared.keys import PRODUCER, Principal
from shared.rate import Rate
from shared.web import json_response


class AcceptedEvent(BaseModel):
    """An event and where Kafka holds it."""

    id: str
    type: str
    topic: str
    partition: int
    offset: int


class Accepted(BaseModel):
    """Every event of the request, in its order."""

    accepted: list[AcceptedEvent]


def limits_of(settings: IngestSettings) -> intake.Limits:
    return intake.Limits(settings.batch_limit_events, timedelta(seconds=settings.future_tolerance_seconds))


def request_body(limit_events: int, also: dict[str, Any] | None = None) -> dict[str, Any]:
    """For OpenAPI: the three forms of events, and what `also` is taken."""
    one, data = {"$ref": f"#/$defs/{EVENT}"}, {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in data_names()]}
    forms = {STRUCTURED: one, BATCH: {"$ref": f"#/$defs/{BATCH_OF_EVENTS}"}, BINARY: data}
    content = {form: {"schema": schema} for form, schema in forms.items()}
    content[STRUCTURED]["schema"] = {**one, "$defs": request_schemas(limit_events)}
    told = "CloudEvents 1.0: structured, batch, or binary (the data; attributes in ce-* headers). See /catalogue."
    return {"requestBody": {"required": True, "description": told, "content": {**content, **(also or {})}}}


class Direct(Route):
    """The way to an endpoint that takes a request and its sender, for a route that FastAPI describes.

    FastAPI's own way, with its search for what an endpoint may ask for, takes longer than to judge an event.
    """

    def __init__(self, described: APIRoute) -> None:
        endpoint, [sender] = described.endpoint, described.dependant.dependencies
        admitted = sender.call
        assert admitted is not None

        async def handle(request: Request) -> Response:
            response: Response = await endpoint(request, await admitted(request))
            return response

        super().__init__(described.path, handle, methods=sorted(described.methods or ()))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def router(settings: IngestSettings, publisher: Publisher, clock: Clock) -> APIRouter:
    routes = APIRouter()
    limits = limits_of(settings)
    rate = Rate("events", settings.rate_events_per_second, settings.rate_events_burst)

    @routes.post(
        "/events",
        status_code=202,
        response_model=Accepted,
        responses={415: {}},
        openapi_extra=request_body(limits.events),
    )
    async def post_events(request: Request, sender: Annotated[Principal, Depends(require(PRODUCER))]) -> Response:
        """One event or a batch; 202 only after Kafka has acknowledged every one, else nothing was published."""
        named, records = read(request, await request.body(), sender)
        places = await publisher.publish(records)
        metrics.count_accepted(place.topic for place in places)
        accepted = [
            {"id": id, "type": type_, "topic": topic, "partition": partition, "offset": offset}
            for (id, type_), (topic, partition, offset) in zip(named, places, strict=True)
        ]
        return json_response({"accepted": accepted}, 202)

    def read(request: Request, body: bytes, sender: Principal) -> tuple[list[tuple[str, str]], list[Record]]:
        """Id and type of each event, and its record: all that is kept of them while Kafka is waited for."""
        try:
            told = intake.told(request.headers, body, limits)
            rate.spend(sender.key_id, len(told))
            events = intake.judged(told, sender, clock.now(), limits)
        except Problem as problem:
            _count(problem)
            raise
        return [(event.id, event.type) for event in events], [sent_on(event, sender.roles) for event in events]

    return routes


def _count(problem: Problem) -> None:
    for code, number in Counter(fault.code for fault in problem.faults).items():
        metrics.FAULTS.labels(code).inc(number)
