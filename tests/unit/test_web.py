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
from fastapi import FastAPI, Query
from prometheus_client import REGISTRY

from services.ingest.settings import IngestSettings
from shared.web import LIMIT_DEFAULT, Limit, create_app


class Word(StrEnum):
    FIRST = "first"


def application(**more: Any) -> FastAPI:
    """An application of the service ingest with one route, /rows, that answers its limit."""
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

    @app.get("/rows")
    async def rows(limit: Limit) -> int:
        return limit

    return app


async def answer(app: FastAPI, method: str, path: str, query: str = "") -> tuple[int, Any]:
    """Status and JSON of the answer to a request without a body."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None


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
