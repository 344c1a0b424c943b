"""Answers GET /deliveries and GET /deliveries/{id}: every attempt at telling someone."""

from __future__ import annotations

import uuid
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from services.alerts.alerts_api import Reader, Running
from services.alerts.requests import NumberCursor, identity, listing, not_found
from shared.web import Limit, decode_cursor, json_response

router = APIRouter()


@router.get("/deliveries")
async def list_deliveries(
    running: Running,
    _: Reader,
    limit: Limit,
    state: Literal["pending", "delivered", "failed"] | None = None,
    endpoint: uuid.UUID | None = None,
    alert: uuid.UUID | None = None,
    cursor: str | None = None,
) -> Response:
    last = decode_cursor(cursor, NumberCursor)
    after = None if last is None else (last.number, last.id)
    filters = {"state": state, "endpoint": endpoint, "alert": alert}
    return json_response(listing(await running.queries.deliveries(filters, limit, after)))


@router.get("/deliveries/{delivery}")
async def one_delivery(delivery: str, running: Running, _: Reader) -> Response:
    found = await running.queries.delivery(identity(delivery, "delivery"))
    if found is None:
        raise not_found("delivery", delivery)
    return json_response(found)
