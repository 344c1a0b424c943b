"""Shows a capture job as GS1 says, and where the next page of them is."""

from __future__ import annotations

from typing import Any, Final

import orjson

from services.ingest.capture.jobs import RUNNING
from services.ingest.capture.verdict import ERRORS, OUTCOMES
from services.ingest.tables import Capture
from shared.clock import rfc3339
from shared.web import encode_cursor

PATH: Final = "/epcis/capture"


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
