"""GET /audit of every service, as JSON or a page: what people have changed. For admins alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel

from shared.access import require
from shared.asked import Cursor, Moment, Words, moment
from shared.audit import AuditLog, Wanted
from shared.keys import ADMIN, Principal
from shared.pages import ANSWERS, Pages, wants_page
from shared.web import Limit, decode_cursor, json_response, page

PATH: Final = "/audit"
FILTERS: Final = ("who", "action", "subject", "since", "until")
_Admin = Annotated[Principal, Depends(require(ADMIN))]
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ChangeAnswer(BaseModel):
    """Who (`by` is a key id) changed what, from what to what, and why."""

    id: int
    at: datetime
    by: str
    name: str
    role: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str


class ChangeList(BaseModel):
    """A page of changes, newest first."""

    items: list[ChangeAnswer]
    next: str | None


def _wanted(
    who: Words = None, action: Words = None, subject: Words = None, since: Moment = None, until: Moment = None
) -> Wanted:
    return Wanted(who, action, subject, moment("since", since), moment("until", until))


_Wanted = Annotated[Wanted, Depends(_wanted)]


def add_to(app: FastAPI) -> None:
    """The lifespan of `app` puts an AuditLog into `app.state.audit`."""
    app.include_router(_router())


def _router() -> APIRouter:
    routes = APIRouter()

    @routes.get(PATH, response_model=ChangeList, responses=ANSWERS)
    async def list_changes(
        request: Request, _: _Admin, wanted: _Wanted, limit: Limit, cursor: Cursor = None
    ) -> Response:
        """What people have changed, newest first."""
        log: AuditLog = request.app.state.audit
        rows = await log.page(wanted, decode_cursor(cursor, _Id), limit + 1)
        shown = rows[:limit]
        told = page(shown, shown[-1]["id"] if len(rows) > limit else None)
        if not wants_page(request):
            return json_response(told)
        asked = {name: value for name in FILTERS if (value := request.query_params.get(name))}
        pages: Pages = request.app.state.pages
        return pages.show(
            request,
            "audit.html",
            items=shown,
            asked={**dict.fromkeys(FILTERS, ""), **asked},
            more=_link({**asked, "limit": str(limit)}, told["next"]),
            begun=bool(cursor),
        )

    return routes


def _link(asked: dict[str, str], cursor: str | None) -> str | None:
    return None if cursor is None else f"{PATH}?{urlencode({**asked, 'cursor': cursor})}"
