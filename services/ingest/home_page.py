"""Shows where the pages of ingest begin: what is here for who is signed in, and what was refused last."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from services.ingest.rejection import item
from services.ingest.rejections import Filter, Rejections
from shared import topics
from shared.access import require
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.pages import REFRESH_SECONDS, Pages, page_router

_Anyone = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
REFUSED_SHOWN: Final = 5


def router(rejections: Rejections, pages: Pages) -> APIRouter:
    routes = page_router()

    @routes.get("/")
    async def home(request: Request, reader: _Anyone) -> Response:
        mine = reader.name if reader.role == PRODUCER else None
        refused = await rejections.page(Filter(producer=mine), None, REFUSED_SHOWN)
        return pages.show(
            request,
            "home.html",
            reader=reader,
            topic=None if mine is None else topics.inbound(mine),
            refused=[item(row) for row in refused],
            is_admin=reader.role == ADMIN,
            refresh=REFRESH_SECONDS,
        )

    return routes
