"""Shows deliveries: who was told of what, every attempt; and sends one again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.alerts import deliveries_api
from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.pages.admitted import MAY_BE_EMPTY, ROWS, Cursor, Done, asked, link, may_act
from services.alerts.parts import Parts
from services.alerts.requests import NumberCursor, identity, not_found
from shared.pages import REFRESH_SECONDS, Pages, page_router
from shared.web import decode_cursor, encode_cursor

STATES: Final = ("pending", "delivered", "failed")
FILTERS: Final = ("state", "endpoint", "alert")
_State = Annotated[Literal["pending", "delivered", "failed"] | None, MAY_BE_EMPTY]
_Id = Annotated[uuid.UUID | None, MAY_BE_EMPTY]


async def rows(items: Sequence[dict[str, Any]], running: Parts) -> list[dict[str, Any]]:
    """Deliveries with the `url` of their endpoint and the `summary` of their alert, None for a test."""
    urls = await running.queries.urls({uuid.UUID(item["endpoint"]) for item in items})
    summaries = await running.queries.summaries({uuid.UUID(item["alert"]) for item in items})
    return [
        {**item, "url": urls.get(uuid.UUID(item["endpoint"])), "summary": summaries.get(uuid.UUID(item["alert"]))}
        for item in items
    ]


def router(pages: Pages) -> APIRouter:
    routes = page_router()

    @routes.get("/deliveries")
    async def list_deliveries(
        request: Request,
        running: Running,
        reader: Reader,
        state: _State = None,
        endpoint: _Id = None,
        alert: _Id = None,
        cursor: Cursor = None,
    ) -> Response:
        last = decode_cursor(cursor, NumberCursor)
        after = None if last is None else (last.number, last.id)
        filters = {"state": state, "endpoint": endpoint, "alert": alert}
        found = await running.queries.deliveries(filters, ROWS, after)
        there = await running.queries.endpoints(ROWS, None)
        narrowed = asked(request, *FILTERS)
        following = None if found.following is None else encode_cursor(found.following)
        return pages.show(
            request,
            "deliveries.html",
            items=await rows(found.items, running),
            states=STATES,
            endpoints=[(one["id"], one["description"] or one["url"]) for one in there.items],
            asked={**dict.fromkeys(FILTERS, ""), **narrowed},
            narrowed=bool(narrowed),
            next=following and link("/deliveries", {**narrowed, "cursor": following}),
            first=link("/deliveries", narrowed) if cursor else None,
            may_act=may_act(reader),
            refresh=REFRESH_SECONDS,
        )

    @routes.get("/deliveries/{delivery}")
    async def one_delivery(
        request: Request, delivery: str, running: Running, reader: Reader, done: Done = None
    ) -> Response:
        found = await running.queries.delivery(identity(delivery, "delivery"))
        if found is None:
            raise not_found("delivery", delivery)
        [row] = await rows([found], running)
        there = await running.queries.endpoint(uuid.UUID(found["endpoint"])) is not None
        return pages.show(
            request,
            "delivery.html",
            delivery=row,
            endpoint_there=there,
            may_act=may_act(reader),
            done=done,
            refresh=REFRESH_SECONDS,
        )

    @routes.post("/deliveries/{delivery}/resend")
    async def resend(delivery: str, running: Running, caller: Operator) -> Response:
        await deliveries_api.send_again(delivery, running, caller)
        return RedirectResponse(f"/deliveries/{delivery}?done=resent", 303)

    return routes
