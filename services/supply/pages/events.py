"""Shows what became of an event, and event by event what stands behind a value."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response

from services.supply.asked import Asked, Cursor, Effective, Known, Limit, OfInput, OfScope, reader, reader_or_producer
from services.supply.explain_api import explain_indicator
from services.supply.indicators import indicator
from services.supply.ledger_api import get_event
from services.supply.pages.goals import kind_of
from services.supply.pages.products import links_of, lot_link
from services.supply.pages.words import TONES
from services.supply.supplied import Window
from shared.keys import Principal
from shared.pages import Pages, link_here, page_router

router = page_router()


@router.get("/events/{source}/{id:path}")
async def event_page(
    request: Request,
    source: str,
    id: str,
    asked: Annotated[Asked, Depends()],
    caller: Annotated[Principal, Depends(reader_or_producer)],
    known: Known = None,
) -> Response:
    """What became of an event. A producer sees its own alone."""
    pages: Pages = request.app.state.pages
    event = orjson.loads((await get_event(source, id, asked, caller, known)).body)
    for transfer in event["transfers"]:
        transfer["link"] = lot_link(transfer["gtin"], transfer["lot"]) if transfer["lot"] else None
    event["corrected_by"] = links_of(event["corrected_by"])
    return pages.show(request, "event.html", event=event, tones=TONES)


@router.get("/indicators/{name}/explain", dependencies=[Depends(reader)])
async def explain_page(
    name: str,
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    scope: OfScope = "all",
    effective: Effective = None,
    known: Known = None,
    window: Window = "days_365",
    about: OfInput = None,
    cursor: Cursor = None,
) -> Response:
    """One value with its inputs, the products that weigh most, and event by event what it rests on."""
    pages: Pages = request.app.state.pages
    answer = await explain_indicator(name, request, asked, limit, scope, effective, known, window, about, cursor)
    found: dict[str, Any] = orjson.loads(answer.body)
    measured = indicator(name)
    following = found["next"]
    return pages.show(
        request,
        "explain.html",
        found=found,
        kind=kind_of(name, measured.unit if measured else "", found["unit"]),
        about=about,
        next=None if following is None else link_here(request, cursor=following),
        first=link_here(request, cursor=None) if cursor else None,
    )
