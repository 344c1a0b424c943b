"""POST /events: one event or a batch, acknowledged by Kafka before the answer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.ingest import intake, metrics
from services.ingest.event_schemas import BATCH as BATCH_OF_EVENTS
from services.ingest.event_schemas import EVENT, data_names, request_schemas
from services.ingest.judgement import sent_on
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.clock import Clock
from shared.errors import Problem
from shared.events.cloudevent import BATCH, BINARY, STRUCTURED
from shared.keys import PRODUCER, Principal
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


def router(settings: IngestSettings, publisher: Publisher, clock: Clock) -> APIRouter:
    routes = APIRouter()
    limits = limits_of(settings)

    @routes.post(
        "/events",
        status_code=202,
        response_model=Accepted,
        responses={415: {}},
        openapi_extra=request_body(limits.events),
    )
    async def post_events(request: Request, sender: Annotated[Principal, Depends(require(PRODUCER))]) -> Response:
        """One event or a batch; 202 only after Kafka has acknowledged every one, else nothing was published."""
        body = await request.body()
        try:
            events = intake.read(request.headers, body, sender, clock.now(), limits)
        except Problem as problem:
            _count(problem)
            raise
        places = await publisher.publish([sent_on(event, sender.roles) for event in events])
        metrics.count_accepted(place.topic for place in places)
        accepted = [
            {"id": event.id, "type": event.type, **place._asdict()} for event, place in zip(events, places, strict=True)
        ]
        return json_response({"accepted": accepted}, 202)

    return routes


def _count(problem: Problem) -> None:
    for code, number in Counter(fault.code for fault in problem.faults).items():
        metrics.FAULTS.labels(code).inc(number)
