"""Answers /deliveries: every attempt at telling someone, and another one where a person wants it."""

from __future__ import annotations

import uuid
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.parts import Parts
from services.alerts.requests import NumberCursor, identity, listing, not_found
from services.alerts.store.alerts import NotFound
from services.alerts.store.recovery import Removed
from shared.audit import Author
from shared.errors import Fault, Problem
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


@router.post(
    "/deliveries/{delivery}/resend", status_code=202, responses={409: {"description": "Its endpoint was removed"}}
)
async def resend(delivery: str, running: Running, caller: Operator) -> Response:
    """202: it is sent now with the same webhook-id, and by the schedule again if that fails."""
    await send_again(delivery, running, caller)
    return json_response({"delivery": delivery}, 202, {"Location": f"/deliveries/{delivery}"})


async def send_again(delivery: str, running: Parts, author: Author) -> None:
    """Raises Problem 404, 409."""
    try:
        await running.recovery.resend(identity(delivery, "delivery"), author)
    except NotFound:
        raise not_found("delivery", delivery) from None
    except Removed:
        detail = "its endpoint was removed"
        raise Problem(409, "Conflict", detail, [Fault("endpoint", "removed", detail)]) from None
