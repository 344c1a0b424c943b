"""What every service answers alike, and what it counts."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Query, Request
from prometheus_client import REGISTRY

from services.ingest.settings import IngestSettings
from shared.access import AccessCache, require
from shared.keys import VIEWER, AccessRecord, new_key
from shared.rate import Rate
from shared.web import LIMIT_DEFAULT, Limit, create_app


class Word(StrEnum):
    FIRST = "first"


def application(**more: Any) -> FastAPI:
    """An application of the service ingest with the routes /rows, which answers its limit, and /mine, for viewers."""
    settings = IngestSettings.load(
        database_url="unused",
        kafka_password="unused",
        kafka_admin_password="unused",
        session_secret="unused",
        **more,
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = create_app(settings, "test", life, dict)

    app.state.access = AccessCache()
    app.state.access.ready.set()

    @app.get("/mine", dependencies=[Depends(require(VIEWER))])
    async def mine() -> str:
        return "mine"

    @app.get("/rows")
    async def rows(limit: Limit) -> int:
        return limit

    return app


EMPTY_BODY: dict[str, Any] = {"type": "http.request", "body": b"", "more_body": False}


async def answer(
    app: FastAPI, method: str, path: str, query: str = "", *, key: str = "", message: dict[str, Any] = EMPTY_BODY
) -> tuple[int, Any]:
    """Status and JSON of the answer to a request whose only message is `message`."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {key}".encode())] if key else [],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None


async def test_a_caller_who_goes_away_in_the_middle_is_no_fault_of_ours() -> None:
    app = application()

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    status, problem = await answer(app, "POST", "/body", message={"type": "http.disconnect"})
    assert (status, problem["detail"]) == (499, "the caller went away")


async def test_made_up_methods_are_counted_as_one() -> None:
    app = application()
    for method in ("GET", "BREW", "PROPFIND", "X" * 500):
        await answer(app, method, "/nowhere")
    counted = {
        sample.labels["method"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "supply_watch_http_requests"
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["route"] == "unmatched"
    }
    assert counted == {"GET": 1.0, "other": 3.0}


async def test_requests_are_counted_by_the_template_of_their_route_and_never_by_their_path() -> None:
    app = application()

    @app.get("/things/{thing}")
    async def thing(thing: str) -> str:
        return thing

    for name in ("one", "two", "09520000010010"):
        await answer(app, "GET", f"/things/{name}")
    families = {"supply_watch_http_requests", "supply_watch_http_request_seconds"}
    samples = [one for metric in REGISTRY.collect() if metric.name in families for one in metric.samples]
    counted = {one.name: one.value for one in samples if one.labels["route"] == "/things/{thing}"}
    assert counted["supply_watch_http_requests_total"] == counted["supply_watch_http_request_seconds_count"] == 3
    assert not [one for one in samples if "two" in one.labels["route"]]


async def test_a_list_has_as_many_rows_as_is_asked_for_up_to_the_setting() -> None:
    app = application(page_limit=200)
    assert await answer(app, "GET", "/rows") == (200, LIMIT_DEFAULT)
    assert await answer(app, "GET", "/rows", "limit=200") == (200, 200)
    assert await answer(application(page_limit=20), "GET", "/rows") == (200, 20)
    status, problem = await answer(app, "GET", "/rows", "limit=201")
    assert (status, [(fault["field"], fault["code"]) for fault in problem["errors"]]) == (422, [("limit", "range")])


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("limit=0", "limit", "range"),
        ("limit=x", "limit", "type"),
        ("limit=" + "9" * 5000, "limit", "range"),
        ("word=king", "word", "choice"),
        ("id=1", "id", "pattern"),
        ("day=2026-13-01", "day", "date"),
        ("at=now", "at", "time"),
        ("name=" + "x" * 11, "name", "length"),
        ("name=%0a", "name", "pattern"),
    ],
)
async def test_a_wrong_parameter_is_told_by_a_code_of_ours(query: str, field: str, code: str) -> None:
    app = application()

    @app.get("/asked")
    async def asked(
        limit: Limit,
        word: Word = Word.FIRST,
        id: uuid.UUID | None = None,
        day: date | None = None,
        at: datetime | None = None,
        name: Annotated[str, Query(max_length=10, pattern="^[a-z]*$")] = "",
    ) -> None: ...

    status, problem = await answer(app, "GET", "/asked", query)
    found = {(fault["field"].partition(".")[0], fault["code"]) for fault in problem["errors"]}
    assert (status, found) == (422, {(field, code)})


def viewer(app: FastAPI) -> str:
    """The key of a new viewer."""
    fresh = new_key()
    app.state.access.put(AccessRecord(fresh.key_id, fresh.sha256, VIEWER, "someone"))
    return fresh.key


async def test_a_key_that_calls_too_often_waits_and_others_do_not() -> None:
    now, app = 1_000.0, application()
    app.state.requests = Rate("requests", 2, 3, now_seconds=lambda: now)
    eager, other = viewer(app), viewer(app)
    assert [(await answer(app, "GET", "/mine", key=eager))[0] for _ in range(4)] == [200, 200, 200, 429]
    status, problem = await answer(app, "GET", "/mine", key=eager)
    assert (status, problem["title"], [fault["code"] for fault in problem["errors"]]) == (
        429,
        "Too Many Requests",
        ["rate"],
    )
    assert (await answer(app, "GET", "/mine", key=other))[0] == 200
    now += 1
    assert (await answer(app, "GET", "/mine", key=eager))[0] == 200


async def test_who_has_no_key_is_not_counted() -> None:
    app = application()
    for key in ("", "nonsense", f"{viewer(app)[:-1]}!"):
        assert (await answer(app, "GET", "/mine", key=key))[0] == 401
    assert len(app.state.requests) == 0


def test_a_burst_smaller_than_a_batch_stops_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        application(rate_events_burst=999)
    assert "RATE_EVENTS_BURST" in capsys.readouterr().err
