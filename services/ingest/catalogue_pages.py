"""Shows the catalogue to a producer's engineer: every type with schema, sample and a line to try, as JSON or a page."""

from __future__ import annotations

import json
from html import escape
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from services.ingest.settings import IngestSettings
from shared.access import require
from shared.errors import Fault, Problem
from shared.events import catalogue
from shared.events.catalogue import CATALOGUE, EventType
from shared.events.cloudevent import STRUCTURED
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.web import json_response, page

_Anyone = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"}


def _summary(event_type: EventType) -> dict[str, Any]:
    return {
        "type": event_type.name,
        "title": event_type.title,
        "description": event_type.description,
        "topic": event_type.topic,
        "roles": sorted(event_type.roles),
        "own_glns": list(event_type.own_glns),
    }


def _whole(event_type: EventType, url: str) -> dict[str, Any]:
    return {
        **_summary(event_type),
        "schema": catalogue.schema(event_type.name),
        "sample": catalogue.sample(event_type.name),
        "curl": _curl(event_type.name, url),
    }


def _curl(type_: str, url: str) -> str:
    sample = json.dumps(catalogue.sample(type_), ensure_ascii=False, separators=(",", ":")).replace("'", "'\\''")
    return (
        f"curl -sS {url}/events -H 'Authorization: Bearer '\"$KEY\" -H 'Content-Type: {STRUCTURED}'"
        f" --data-binary '{sample}'"
    )


def router(settings: IngestSettings) -> APIRouter:
    routes = APIRouter()

    @routes.get("/catalogue")
    async def list_types(request: Request, _: _Anyone) -> Response:
        items = [_summary(event_type) for event_type in CATALOGUE.values()]
        return _html("Catalogue", _index(items)) if _wants_page(request) else json_response(page(items, None))

    @routes.get("/catalogue/{type}")
    async def show_type(request: Request, type: str, _: _Anyone) -> Response:
        event_type = CATALOGUE.get(type)
        if event_type is None:
            detail = f"there is no type {type[:100]}; see /catalogue"
            raise Problem(404, "Not Found", detail, [Fault("type", "unknown_type", detail)])
        whole = _whole(event_type, settings.public_url)
        return _html(type, _details(whole)) if _wants_page(request) else json_response(whole)

    @routes.get("/openapi.json")
    async def openapi(request: Request, _: _Anyone) -> Response:
        return json_response(request.app.openapi())

    return routes


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _html(title: str, content: str) -> HTMLResponse:
    head = f"<meta charset=utf-8><title>{escape(title)} - Supply Watch</title>"
    return HTMLResponse(
        f"<!doctype html><html lang=en>{head}<h1>{escape(title)}</h1>{content}</html>", headers=_HEADERS
    )


def _index(items: list[dict[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><a href="/catalogue/{escape(item["type"])}">{escape(item["type"])}</a>'
        f"<td>{escape(item['description'])}<td>{escape(', '.join(item['roles']))}"
        for item in items
    )
    return f"<table><tr><th>Type<th>Says<th>May be sent by{rows}</table>"


def _details(whole: dict[str, Any]) -> str:
    parts = [f"<p>{escape(whole['description'])}<p>May be sent by: {escape(', '.join(whole['roles']))}"]
    if whole["own_glns"]:
        parts.append(f"<p>Must hold a GLN of the sender's own: {escape(', '.join(whole['own_glns']))}")
    parts.append(
        f"<h2>Sample</h2><pre>{_pretty(whole['sample'])}</pre><h2>Try it</h2><pre>{escape(whole['curl'])}</pre>"
    )
    parts.append(f'<h2>Schema</h2><pre>{_pretty(whole["schema"])}</pre><p><a href="/catalogue">All types</a>')
    return "".join(parts)


def _pretty(value: Any) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))
