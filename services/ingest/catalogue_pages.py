"""Shows the catalogue to a producer's engineer, as JSON or pages: each type with schema, sample and lines to try.

An event can be judged here without being sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.ingest import intake
from services.ingest.asyncapi import document
from services.ingest.catalogue_examples import KafkaWayIn, curl_line, example, kcat_line, may_say
from services.ingest.catalogue_fields import rows
from services.ingest.events import limits_of, request_body
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.clock import Clock
from shared.errors import Fault, Problem
from shared.events import catalogue
from shared.events.catalogue import CATALOGUE, EventType
from shared.events.cloudevent import STRUCTURED, CloudEvent
from shared.forms import FORM, form_of, require_form
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.pages import ANSWERS, Pages, pretty, wants_page
from shared.web import json_response, page

_Anyone = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
_Sender = Annotated[Principal, Depends(require_form(PRODUCER))]
EVENT_FIELD: Final = "event"
CORRECTIONS: Final = "corrections"


class TypeSummary(BaseModel):
    """One type of event."""

    type: str
    title: str
    description: str
    topic: str | None
    roles: list[str]
    own_glns: list[str]


class TypeList(BaseModel):
    """Every type of event."""

    items: list[TypeSummary]
    next: None


class TypeDetails(TypeSummary):
    """One type with JSON Schema, a sample as the caller could send it, and lines for a shell that send it."""

    schema_: dict[str, Any]
    sample: dict[str, Any]
    curl: str
    kcat: str

    model_config = {"alias_generator": lambda name: name.rstrip("_")}


class JudgedEvent(BaseModel):
    """An event that would be accepted, and where it would go."""

    id: str
    type: str
    topic: str
    key: str


class Judged(BaseModel):
    """Nothing was sent."""

    valid: list[JudgedEvent]


def _summary(event_type: EventType) -> dict[str, Any]:
    return {
        "type": event_type.name,
        "title": event_type.title,
        "description": event_type.description,
        "topic": event_type.topic,
        "roles": sorted(event_type.roles),
        "own_glns": list(event_type.own_glns),
    }


def _judged(event: CloudEvent) -> dict[str, Any]:
    topic, key = catalogue.route(event.type, event.data)
    return {"id": event.id, "type": event.type, "topic": topic, "key": key}


def _grouped(items: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """By topic; corrections, which go where their original went, last."""
    for topic in (*catalogue.trusted_topics(), None):
        yield topic or CORRECTIONS, [item for item in items if item["topic"] == topic]


def _known(type: str) -> EventType:
    found = CATALOGUE.get(type)
    if found is None:
        detail = f"there is no type {type[:100]}; see /catalogue"
        raise Problem(404, "Not Found", detail, [Fault("type", "unknown_type", detail)])
    return found


def router(settings: IngestSettings, clock: Clock, pages: Pages) -> APIRouter:
    routes = APIRouter()
    way_in = KafkaWayIn.of(settings)
    limits = limits_of(settings)
    described = document(way_in)

    def details(event_type: EventType, caller: Principal) -> dict[str, Any]:
        sample = example(event_type.name, caller, clock.now())
        return {
            **_summary(event_type),
            "schema": catalogue.schema(event_type.name),
            "sample": sample,
            "curl": curl_line(sample, settings.public_url),
            "kcat": kcat_line(sample, caller, way_in),
        }

    def type_page(
        request: Request, event_type: EventType, caller: Principal, status: int = 200, /, **outcome: Any
    ) -> Response:
        """`outcome`: what was `written` into the form, and what came of it: `judged` or `problem`."""
        whole = details(event_type, caller)
        shown = {"judged": None, "problem": None, "written": pretty(whole["sample"]), **outcome}
        fields = rows(whole["schema"], event_type.own_glns)
        allowed = may_say(caller, event_type.name)
        return pages.show(request, "type.html", status, caller=caller, allowed=allowed, fields=fields, **whole, **shown)

    @routes.get("/catalogue", response_model=TypeList, responses=ANSWERS)
    async def list_types(request: Request, caller: _Anyone) -> Response:
        """Every type of event."""
        items = [_summary(event_type) for event_type in CATALOGUE.values()]
        if not wants_page(request):
            return json_response(page(items, None))
        mine = {event_type.name for event_type in CATALOGUE.values() if may_say(caller, event_type.name)}
        return pages.show(request, "catalogue.html", caller=caller, groups=list(_grouped(items)), mine=mine)

    @routes.get("/catalogue/{type}", response_model=TypeDetails, responses=ANSWERS)
    async def show_type(request: Request, type: str, caller: _Anyone) -> Response:
        """One type of event."""
        event_type = _known(type)
        if wants_page(request):
            return type_page(request, event_type, caller)
        return json_response(details(event_type, caller))

    judging = request_body(limits.events, also={FORM: {"schema": _FORM}})

    @routes.post(
        "/catalogue/{type}/validate",
        response_model=Judged,
        responses={**ANSWERS, 415: {}},
        openapi_extra=judging,
    )
    async def validate(request: Request, type: str, sender: _Sender) -> Response:
        """Judges what could be sent to POST /events, with the same answers, and sends nothing."""
        event_type = _known(type)
        body, written, headers = await request.body(), None, dict(request.headers)
        if headers.get("content-type", "").startswith(FORM):
            written = (await form_of(request)).get(EVENT_FIELD, "")
            body, headers = written.encode("utf-8", "surrogatepass"), {"content-type": STRUCTURED}
        try:
            valid = [_judged(event) for event in intake.read(headers, body, sender, clock.now(), limits)]
        except Problem as problem:
            if written is None or not wants_page(request):
                raise
            return type_page(request, event_type, sender, problem.status, problem=problem.body(), written=written)
        if written is None or not wants_page(request):
            return json_response({"valid": valid})
        return type_page(request, event_type, sender, judged=valid, written=written)

    @routes.get("/asyncapi.json")
    async def asyncapi(_: _Anyone) -> Response:
        """The events on Kafka, as AsyncAPI 3.0."""
        return json_response(described)

    return routes


_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": [EVENT_FIELD],
    "properties": {
        EVENT_FIELD: {"type": "string", "description": "A structured CloudEvent"},
        "csrf": {"type": "string"},
    },
}
