"""Makes each service's FastAPI application: problem+json, bounded bodies, health, metrics, paging, serving."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cache
from types import FrameType
from typing import Annotated, Any, Final, TypeVar

import msgspec
import orjson
import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import PROBLEM_MEDIA_TYPE, Fault, Invalid, Problem, Transient
from shared.faults import of_parameters
from shared.headers import Careful
from shared.http_protocol import BoundedHttp
from shared.rate import Rate
from shared.settings import ServiceSettings
from shared.telemetry import HTTP_REQUESTS, HTTP_SECONDS, exposed

LIMIT_DEFAULT: Final = 100
CURSOR_MAX_LENGTH: Final = 1024
NUL_ESCAPE: Final = b"\\u0000"
KEEP_ALIVE_SECONDS: Final = 30
MAX_CONNECTIONS: Final = 2_000
GONE_CHECK_SECONDS: Final = 0.5
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "other"
EXIT_HUNG: Final = 75  # what did not end within the shutdown timeout

T = TypeVar("T")
Readiness = Callable[[], dict[str, bool]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(settings: ServiceSettings, title: str, lifespan: Lifespan, readiness: Readiness) -> FastAPI:
    """An application with everything the services share; `readiness` names each part and whether it is there."""
    app = FastAPI(title=title, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings, app.state.now_seconds = settings, time.time
    app.state.requests = Rate("requests", settings.rate_requests_per_second, settings.rate_requests_burst)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(Invalid, _invalid)
    app.add_exception_handler(Transient, _transient)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _bug)
    _add_open_routes(app, readiness)
    app.add_middleware(_BodyLimit, limit_bytes=settings.body_limit_bytes)
    app.add_middleware(Careful, https=settings.public_url.startswith("https:"))
    app.add_middleware(_Measured, service=settings.SERVICE)
    return app


def _add_open_routes(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/health/live")
    async def live() -> Response:
        """The process runs."""
        return json_response({"status": "live"})

    waiting: dict[int | str, dict[str, Any]] = {
        503: {"description": "Some part is not there yet", "content": {"application/json": {}}}
    }

    @app.get("/health/ready", responses=waiting)
    async def ready() -> Response:
        """Every part that is needed is there; `parts` names each."""
        parts = readiness()
        good = all(parts.values())
        return json_response({"status": "ready" if good else "waiting", "parts": parts}, 200 if good else 503)

    open_metrics: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/openmetrics-text": {"schema": {"type": "string"}}}}
    }

    @app.get("/metrics", response_class=PlainTextResponse, responses=open_metrics)
    async def metrics(request: Request) -> Response:
        """For Prometheus, as OpenMetrics where it is asked for."""
        body, media_type = exposed(request.headers.get("accept", ""))
        return Response(body, media_type=media_type)


async def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serves until SIGTERM or SIGINT, then lets what runs finish within the shutdown timeout."""
    await _Server(serving(app, settings), settings.shutdown_timeout_seconds).serve()


def serving(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    """How uvicorn serves: with bounds, and believing whoever forwards a request only where the settings name it."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, int(settings.shutdown_timeout_seconds / 2)),
    )


class _Server(uvicorn.Server):
    """Ends with an exit code of the process's own: uvicorn would raise the signal again when all is done.

    What hangs, such as a client library waiting for an answer that never comes, is cut off at the timeout.
    """

    def __init__(self, config: uvicorn.Config, shutdown_timeout_seconds: float) -> None:
        super().__init__(config)
        self._shutdown_timeout_seconds = shutdown_timeout_seconds
        self._deadline: threading.Timer | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._deadline is None:
            self._deadline = threading.Timer(self._shutdown_timeout_seconds, os._exit, [EXIT_HUNG])
            self._deadline.daemon = True
            self._deadline.start()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`body` as JSON. Decimals must already be strings."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def problem_response(problem: Problem) -> Response:
    return Response(orjson.dumps(problem.body()), problem.status, problem.headers, PROBLEM_MEDIA_TYPE)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, Invalid)
    return problem_response(Problem(422, "Invalid", "the input has errors", error.faults))


async def _transient(_: Request, error: Exception) -> Response:
    assert isinstance(error, Transient)
    return problem_response(Problem(503, "Unavailable", error.detail, retry_after_seconds=error.retry_after_seconds))


async def _parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(Problem(422, "Invalid", "the request has errors", of_parameters(error.errors())))


async def _gone(_: Request, error: Exception) -> Response:
    """A caller who goes away in the middle of its request reads no answer, and is no fault of ours."""
    return problem_response(_client_gone())


def _client_gone() -> Problem:
    return Problem(499, "Client Closed Request", "the caller went away")


async def _bug(_: Request, error: Exception) -> Response:
    """What nobody foresaw: the caller learns no more than that; the error goes on to the log."""
    return problem_response(Problem(500, "Internal error", "this request failed by a fault of ours"))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return problem_response(Problem(error.status_code, str(error.detail), str(error.detail), headers=headers))


def page(items: list[Any], following: Any | None, **more: Any) -> dict[str, Any]:
    """A list answer: {…more, "items", "next"}; `following` is the key of the next page's first row, None at the end."""
    return {**more, "items": items, "next": None if following is None else encode_cursor(following)}


def encode_cursor(key: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str | None, shape: type[T]) -> T | None:
    """The key inside `cursor`. Raises Invalid when no answer of ours can have held it."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor[:CURSOR_MAX_LENGTH] + "=" * (-len(cursor) % 4))
        if NUL_ESCAPE in raw:
            raise ValueError("no text of the database holds a NUL")
        return msgspec.json.decode(raw, type=shape)
    except (ValueError, msgspec.MsgspecError):
        raise Invalid([Fault("cursor", "cursor", "not a cursor of this list")]) from None


async def _limit(request: Request, limit: Annotated[int | None, Query(ge=1)] = None) -> int:
    most: int = request.app.state.settings.page_limit
    if limit is not None and limit > most:
        raise Invalid([Fault("limit", "range", f"at most {most} rows an answer")])
    return min(LIMIT_DEFAULT, most) if limit is None else limit


# `?limit=`: how many rows an answer may hold, up to the setting page_limit. Raises Invalid.
Limit = Annotated[int, Depends(_limit)]


class _BodyLimit:
    """Ends the reading of a body that grows over the limit: 413."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limit_bytes:
                detail = f"the body is larger than {self.limit_bytes} bytes"
                raise Problem(413, "Content Too Large", detail, [Fault(None, "size", detail)])
            return message

        await self.app(scope, bounded, send)


@cache  # of methods, routes and statuses there are only so many
def _series(service: str, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return HTTP_REQUESTS.labels(service, method, route, str(status)), HTTP_SECONDS.labels(service, route)


class _Measured:
    """Counts and times every answer by its method and its route's template, of which there are only so many."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
            requests, seconds = _series(self.service, method, route, status)
            requests.inc()
            seconds.observe(time.perf_counter() - started)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to. A caller who goes away ends it (uvicorn does not). Raises Problem 499 then, for the log."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=GONE_CHECK_SECONDS))[0]:
            if await request.is_disconnected():
                raise _client_gone()
        return task.result()
    finally:
        await stop_tasks(task)


async def stop_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancels `tasks` and waits for them to end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
