"""Describes a service's routes as OpenAPI 3.1: who may call each, and every status that it can answer with.

A route declares what is its own (`status_code`, `responses={409: {}}`, `json_body(Model)`). What follows from its shape
is added here: a key means 401, 403, 429 and 503, a name in the path 404, parameters 422, a body 400, 413 and 422.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel

from shared.access import Require, require
from shared.errors import PROBLEM_MEDIA_TYPE
from shared.json_schema import COMPONENTS, hoisted
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER
from shared.web import json_response

SCHEME: Final = "key"
_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"]}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details, with every fault that was found",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {"type": "array", "items": {"$ref": f"{COMPONENTS}Fault"}},
    },
}
_FAULT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One thing wrong: `field` is a dotted path, `code` a stable word, `index` the place in a batch",
    "required": ["index", "id", "field", "code", "detail"],
    "properties": {
        "index": {"type": ["integer", "null"]},
        "id": _TEXT_OR_NULL,
        "field": _TEXT_OR_NULL,
        "code": _TEXT,
        "detail": _TEXT,
    },
}
_MEANING: Final = {
    "400": "What was sent cannot be read",
    "401": "No key, or one that is not valid",
    "403": "The key may not do this",
    "404": "There is no such thing",
    "409": "It contradicts what is there",
    "413": "The body is too large",
    "415": "Not a media type that is taken",
    "422": "What was sent has errors",
    "429": "Too much at once: wait for Retry-After",
    "503": "Something that is needed is away: wait for Retry-After and try again",
}
# What FastAPI says of a response of which the route has said nothing.
_UNSAID: Final = ("Additional Response", "Validation Error", *(HTTPStatus(int(status)).phrase for status in _MEANING))
_OF_A_KEY: Final = ("401", "403", "429", "503")
_OF_A_BODY: Final = ("400", "413", "422")
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "401": {"WWW-Authenticate": {"schema": _TEXT}},
    "429": {"Retry-After": {"schema": {"type": "integer"}}},
    "503": {"Retry-After": {"schema": {"type": "integer"}}},
}


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """For `openapi_extra`: a JSON body that the route reads itself."""
    schema = model.model_json_schema(mode="validation")
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas: dict[str, Any] = found.setdefault("components", {}).setdefault("schemas", {})
    for path, method, route in _operations(app):
        _complete(found["paths"][path][method], path, route)
    found["paths"] = hoisted(found["paths"], schemas)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Problem": _PROBLEM, "Fault": _FAULT}
    found["components"]["schemas"] = dict(sorted(schemas.items()))
    key = {"type": "http", "scheme": "bearer", "description": "An API key `sw_…`; each operation lists its roles"}
    found["components"]["responses"] = {status: _refusal(status) for status in _MEANING}
    found["components"]["securitySchemes"] = {SCHEME: key}
    return found


def add_route(app: FastAPI) -> None:
    """GET /openapi.json, for whoever has a key. To be called when every other route is there."""
    routes = APIRouter()
    anyone = Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))

    @routes.get("/openapi.json", dependencies=[anyone])
    async def openapi(request: Request) -> Response:
        """This document."""
        if not hasattr(request.app.state, "openapi"):
            request.app.state.openapi = document(request.app)
        return json_response(request.app.state.openapi)

    app.include_router(routes)


def _operations(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.include_in_schema:
            for method in sorted(route.methods or ()):
                yield route.path_format or "", method.lower(), route


def _complete(operation: dict[str, Any], path: str, route: RouteContext) -> None:
    roles = roles_of(route.dependant)
    responses: dict[str, Any] = operation["responses"]
    expected: set[str] = {status for status in responses if status >= "400"} - {"422"}
    if roles is not None:
        operation["security"] = [{SCHEME: sorted(roles)}]
        expected |= {*_OF_A_KEY}
    if "{" in path:
        expected.add("404")
    if operation.get("parameters"):
        expected.add("422")
    if "requestBody" in operation:
        expected |= {*_OF_A_BODY}
    told = {status: _problem(status, responses.get(status, {})) for status in sorted(expected)}
    operation["responses"] = {**{status: told_ for status, told_ in responses.items() if status < "400"}, **told}
    # The name of the function is enough: the path would only be said twice.
    operation["operationId"] = route.name
    if "description" in operation:
        operation.pop("summary", None)


def roles_of(dependant: Dependant) -> frozenset[str] | None:
    """The roles that a route asks for, whatever it depends on by way of others; None if it asks for no key."""
    if isinstance(dependant.call, Require):
        return frozenset(dependant.call.roles)
    found = [roles for inner in dependant.dependencies if (roles := roles_of(inner)) is not None]
    return frozenset.intersection(*found) if found else None


def _problem(status: str, declared: dict[str, Any]) -> dict[str, Any]:
    """What a route says of a refusal itself stands; the rest is alike everywhere."""
    told = declared.get("description", "Additional Response")
    if declared.get("content") and status != "422":
        return declared
    if told in _UNSAID:
        return {"$ref": f"#/components/responses/{status}"}
    return {**_refusal(status), "description": told}


def _refusal(status: str) -> dict[str, Any]:
    return {
        "description": _MEANING[status],
        **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"{COMPONENTS}Problem"}}},
    }
