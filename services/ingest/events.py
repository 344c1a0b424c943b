"""POST /events: one event or a batch, acknowledged by Kafka before the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from services.ingest import intake, metrics
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.clock import Clock
from shared.errors import Problem
from shared.events.cloudevent import BATCH, BINARY, STRUCTURED, to_kafka
from shared.keys import PRODUCER, Principal
from shared.rate import Rate
from shared.web import json_response

_OBJECT: Final = {"schema": {"type": "object"}}
_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "CloudEvents 1.0: structured, batch, or binary (attributes in ce-* headers). See /catalogue.",
        "content": {STRUCTURED: _OBJECT, BATCH: {"schema": {"type": "array", "maxItems": 1000}}, BINARY: _OBJECT},
    }
}


_accepted_on = cache(metrics.EVENTS_ACCEPTED.labels)


class _Direct(APIRoute):
    """A route whose endpoint takes a request and its sender: described by FastAPI, and called without its search for
    what an endpoint may ask for, which takes as long as to judge an event."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint, [sender] = self.endpoint, self.dependant.dependencies
        admitted = sender.call
        assert admitted is not None

        async def handle(request: Request) -> Response:
            response: Response = await endpoint(request, await admitted(request))
            return response

        return handle


def router(settings: IngestSettings, publisher: Publisher, clock: Clock) -> APIRouter:
    routes = APIRouter(route_class=_Direct)
    limits = intake.Limits(settings.batch_limit_events, timedelta(seconds=settings.future_tolerance_seconds))
    rate = Rate("events", settings.rate_events_per_second, settings.rate_events_burst)

    @routes.post("/events", status_code=202, openapi_extra=_REQUEST)
    async def post_events(request: Request, sender: Annotated[Principal, Depends(require(PRODUCER))]) -> Response:
        body = await request.body()
        try:
            told = intake.told(request.headers, body, limits)
            rate.spend(sender.key_id, len(told))
            events = intake.judged(told, sender, clock.now(), limits)
        except Problem as problem:
            _count(problem)
            raise
        places = await publisher.publish([to_kafka(event) for event in events])
        for topic, number in Counter(place.topic for place in places).items():
            _accepted_on(topic).inc(number)
        accepted = [
            {"id": event.id, "type": event.type, "topic": topic, "partition": partition, "offset": offset}
            for event, (topic, partition, offset) in zip(events, places, strict=True)
        ]
        return json_response({"accepted": accepted}, 202)

    return routes


def _count(problem: Problem) -> None:
    for code, number in Counter(fault.code for fault in problem.faults).items():
        metrics.FAULTS.labels(code).inc(number)
