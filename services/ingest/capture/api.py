"""POST and GET /epcis/capture, GET /epcis/events/{eventID}: what EPCIS 2.0 says of them, and no more of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from services.ingest import intake
from services.ingest.capture import answers, negotiation, problems
from services.ingest.capture.jobs import Jobs
from services.ingest.capture.query_document import query_document
from services.ingest.capture.store import Captures
from services.ingest.capture.worker import Worker
from services.ingest.epcis import documents
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.errors import PROBLEM_MEDIA_TYPE, Fault, Invalid, Problem, Transient
from shared.faults import of_parameters
from shared.json_input import loads
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.web import decode_cursor, json_response

_Sender = Annotated[Principal, Depends(require(PRODUCER))]
_Reader = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
PER_PAGE: Final = 30
MAX_NUMBER: Final = 2**63 - 1
EVENT_ID_SHOWN_CHARACTERS: Final = 100
TOO_MANY_WAITING: Final = "too_many_waiting"

_OBJECT_OR_LIST: Final = {"schema": {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}}
_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "EPCIS 2.0: an EPCISDocument, an EPCISQueryDocument, one event, or a list of events.",
        "content": {negotiation.JSON: _OBJECT_OR_LIST, negotiation.JSON_LD: _OBJECT_OR_LIST},
    },
    "parameters": [
        {
            "in": "header",
            "name": "GS1-Capture-Error-Behaviour",
            "description": "Whether one refused event refuses them all.",
            "schema": {"type": "string", "enum": [negotiation.ROLLBACK, negotiation.PROCEED]},
        },
        {"in": "header", "name": "GS1-EPCIS-Version", "schema": {"type": "string", "enum": [negotiation.VERSION]}},
    ],
}
_READ_ONLY: Final = {"Allow": "OPTIONS, GET"}
_PROBLEM: Final[dict[str, Any]] = {"content": {PROBLEM_MEDIA_TYPE: {"schema": {"type": "object"}}}}
_MEANINGS: Final = {
    400: "The request is not valid.",
    401: "No valid key.",
    403: "The key may not call this.",
    404: "Not there, or another's.",
    406: "Another version or form than EPCIS 2.0 in JSON is wanted.",
    413: "Larger than the limits in the headers.",
    415: "Not JSON.",
    429: "Too much of yours waits already.",
    503: "Something we need is away.",
}


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    told = (400, 401, 403, 406, 503, *statuses)
    return {status: {"description": _MEANINGS[status], **_PROBLEM} for status in sorted(told)}


class _EpcisRoute(APIRoute):
    """Tells what goes wrong, and what this interface speaks, as GS1 says."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                negotiation.check_versions(request.headers)
                kind = negotiation.answer_type(request.headers)
                answer = await inner(request)
            except (Problem, Invalid, Transient, RequestValidationError) as error:
                limits = _limits(request.app.state.settings) if request.method == "POST" else {}
                raise problems.of(_problem(error), {**negotiation.SPOKEN, **limits}) from error
            answer.headers.update(negotiation.SPOKEN)
            if answer.media_type is not None:
                answer.headers["Content-Type"] = kind
            return answer

        return handler


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Transient):
        return Problem(503, "Unavailable", error.detail, retry_after_seconds=error.retry_after_seconds)
    faults = error.faults if isinstance(error, Invalid) else of_parameters(error.errors())  # type: ignore[attr-defined]
    return Problem(400, "Bad Request", faults[0].detail, faults)


def _limits(settings: IngestSettings) -> dict[str, str]:
    return negotiation.limits(settings.capture_limit_events, settings.body_limit_bytes)


def router(settings: IngestSettings, jobs: Jobs, captures: Captures, worker: Worker) -> APIRouter:
    routes = APIRouter(prefix="/epcis", route_class=_EpcisRoute)

    @routes.options("/capture", status_code=204, responses=_documented())
    async def discover_capture(_: _Reader) -> Response:
        """Versions, limits and error behaviours, in headers."""
        spoken = {**_limits(settings), **negotiation.error_behaviour(negotiation.ROLLBACK)}
        return Response(status_code=204, headers={"Allow": "OPTIONS, GET, POST", **spoken})

    @routes.post(
        "/capture",
        status_code=202,
        response_model=answers.Job,
        openapi_extra=_REQUEST,
        responses=_documented(413, 415, 429),
    )
    async def post_capture(request: Request, sender: _Sender) -> Response:
        """Takes a document: 202 once its job is stored; its `Location` tells what becomes of it."""
        negotiation.check_body(request.headers)
        behaviour = negotiation.behaviour(request.headers)
        body = await request.body()
        await asyncio.to_thread(_check, body, settings.capture_limit_events)
        row = await jobs.add(sender.name, behaviour, body)
        if row is None:
            raise _too_many_waiting(settings)
        worker.wake()
        headers = {"Location": answers.location(row), **negotiation.error_behaviour(behaviour)}
        return json_response(answers.job(row), 202, headers | _limits(settings))

    @routes.get("/capture", response_model=list[answers.Job], responses=_documented())
    async def list_captures(
        reader: _Reader,
        per_page: Annotated[int, Query(alias="perPage", ge=1)] = PER_PAGE,
        token: Annotated[str | None, Query(alias="nextPageToken")] = None,
    ) -> Response:
        """Captures, newest first; the `Link` header leads to the next page."""
        per_page = min(per_page, settings.page_limit)
        before = decode_cursor(token, int)
        before = None if before is None else max(0, min(before, MAX_NUMBER))
        rows = await jobs.page(_only(reader), before, per_page + 1)
        shown = rows[:per_page]
        headers = {"Link": answers.next_link(shown[-1], per_page)} if len(rows) > per_page else {}
        return json_response([answers.job(row) for row in shown], headers=headers)

    @routes.options("/capture/{capture_id}", status_code=204, responses=_documented())
    async def discover_job(_: _Reader, capture_id: str) -> Response:
        """Versions, in headers."""
        return Response(status_code=204, headers=_READ_ONLY)

    @routes.options("/events/{event_id:path}", status_code=204, responses=_documented())
    async def discover_event(_: _Reader, event_id: str) -> Response:
        """Versions, in headers."""
        return Response(status_code=204, headers=_READ_ONLY)

    @routes.get("/capture/{capture_id}", response_model=answers.Job, responses=_documented(404))
    async def show_capture(capture_id: str, reader: _Reader) -> Response:
        """A capture, and what became of its events."""
        id = _uuid(capture_id)
        row = None if id is None else await jobs.one(id, _only(reader))
        if row is None:
            raise _not_found("there is no such capture of yours")
        return json_response(answers.job(row), headers=negotiation.error_behaviour(row.behaviour))

    @routes.get("/events/{event_id:path}", responses=_documented(404))
    async def show_event(request: Request, event_id: str, reader: _Reader) -> Response:
        """What was captured under an eventID, as an EPCISQueryDocument."""
        negotiation.check_format(request.headers)
        shown = await captures.shown(event_id, _only(reader))
        if not shown:
            raise _not_found(f"no event of yours was captured as {event_id[:EVENT_ID_SHOWN_CHARACTERS]!r}")
        document = await asyncio.to_thread(query_document, shown, datetime.now(UTC))
        return Response(document, media_type=negotiation.JSON)

    return routes


def _check(body: bytes, limit: int) -> None:
    """Raises Problem 400 for what holds no events at all, 413 for too many; the events are judged by the job."""
    try:
        document = documents.read(loads(body))
    except Invalid as error:
        raise Problem(400, "Bad Request", f"no EPCIS in JSON: {error.faults[0].detail}", error.faults) from None
    if document.faults and not document.events:
        raise Problem(400, "Bad Request", "no EPCIS document, event or list of events", document.faults)
    if len(document.events) > limit:
        detail = f"{len(document.events)} events; a capture holds up to {limit}"
        raise Problem(413, "Content Too Large", detail, [Fault(None, intake.TOO_MANY, detail)])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _only(reader: Principal) -> str | None:
    """The one producer whose captures `reader` may know of; None: all."""
    return reader.name if reader.role == PRODUCER else None


def _not_found(detail: str) -> Problem:
    return Problem(404, "Not Found", detail, [Fault(None, "not_found", detail)])


def _too_many_waiting(settings: IngestSettings) -> Problem:
    detail = f"more than {settings.capture_waiting_limit_bytes} bytes of yours wait to be captured"
    faults = [Fault(None, TOO_MANY_WAITING, detail)]
    return Problem(429, "Too Many Requests", detail, faults, retry_after_seconds=settings.retry_after_seconds)
