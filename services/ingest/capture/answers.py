"""Shows a capture job as GS1 says, and where the next page of them is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from services.ingest.capture.jobs import RUNNING
from services.ingest.capture.verdict import ERRORS, OUTCOMES
from services.ingest.tables import Capture
from shared.clock import rfc3339
from shared.web import encode_cursor

PATH: Final = "/epcis/capture"


class Job(BaseModel):
    """A capture: `errors` are problems of GS1's types, one for each refused event; `events` by what became of them."""

    capture_id: UUID = Field(alias="captureID")
    created_at: datetime = Field(alias="createdAt")
    finished_at: datetime | None = Field(alias="finishedAt")
    running: bool
    success: bool
    capture_error_behaviour: Literal["rollback", "proceed"] = Field(alias="captureErrorBehaviour")
    errors: list[dict[str, Any]]
    producer: str
    events: dict[str, int]


def job(row: Capture) -> dict[str, Any]:
    """`success` is true as long as there is no error; `events` counts them by what became of them, once it is done."""
    return {
        "captureID": str(row.id),
        "createdAt": rfc3339(row.created_at),
        "finishedAt": None if row.finished_at is None else rfc3339(row.finished_at),
        "running": row.state == RUNNING,
        "success": row.state != ERRORS,
        "captureErrorBehaviour": row.behaviour,
        "errors": orjson.loads(row.errors),
        "producer": row.producer,
        "events": {name: getattr(row, name) for name in OUTCOMES.values()},
    }


def location(row: Capture) -> str:
    return f"{PATH}/{row.id}"


def next_link(row: Capture, per_page: int) -> str:
    """A Link header to the page behind `row`."""
    return f'<{PATH}?perPage={per_page}&nextPageToken={encode_cursor(row.number)}>; rel="next"'
