"""GET /audit of every service, as JSON or a page: what people have changed. For admins alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import orjson
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel

from shared.access import require
from shared.asked import Cursor, Moment, Words, moment
from shared.audit import OWNER, AuditLog, State, Wanted
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.language import translatable
from shared.pages import Pages, link_here, page_router
from shared.web import Limit, decode_cursor, json_response, page

PATH: Final = "/audit"
FILTERS: Final = ("who", "action", "subject", "since", "until")
# What was done, by its code.
ACTIONS: Final = {
    "producer_added": translatable("Producer added"),
    "key_issued": translatable("Key given out"),
    "key_revoked": translatable("Key revoked"),
    "party_told": translatable("Country of a GLN told"),
    "party_forgotten": translatable("Country of a GLN forgotten"),
    "rejection_replayed": translatable("Rejection replayed"),
    "alert_acknowledged": translatable("Alert acknowledged"),
    "silence_created": translatable("Silence begun"),
    "silence_ended": translatable("Silence ended"),
    "endpoint_created": translatable("Endpoint added"),
    "endpoint_changed": translatable("Endpoint changed"),
    "endpoint_removed": translatable("Endpoint removed"),
    "endpoint_tested": translatable("Endpoint tested"),
    "endpoint_recovered": translatable("Missed deliveries sent"),
    "secret_rotated": translatable("Secret of an endpoint renewed"),
    "delivery_resent": translatable("Delivery sent again"),
    "ledger_repaired": translatable("Ledger repaired from its journal"),
}
ROLES: Final = {
    PRODUCER: translatable("producer"),
    VIEWER: translatable("viewer"),
    OPERATOR: translatable("operator"),
    ADMIN: translatable("administrator"),
    OWNER: translatable("owner of the database"),
}
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
    """To be called after `pages.add_to`. The lifespan of `app` puts an AuditLog into `app.state.audit`."""
    app.include_router(_pages())
    app.include_router(_answers())


def _pages() -> APIRouter:
    browsers = page_router()

    @browsers.get(PATH)
    async def changes_page(
        request: Request, _: _Admin, wanted: _Wanted, limit: Limit, cursor: Cursor = None
    ) -> Response:
        found = await _found(request, wanted, limit, cursor)
        pages: Pages = request.app.state.pages
        return pages.show(
            request,
            "audit.html",
            items=[{**item, "differences": differences(item["before"], item["after"])} for item in found["items"]],
            actions=ACTIONS,
            roles=ROLES,
            asked={name: request.query_params.get(name, "") for name in FILTERS},
            next=link_here(request, cursor=found["next"]) if found["next"] else None,
            first=link_here(request, cursor=None) if cursor else None,
        )

    return browsers


def _answers() -> APIRouter:
    routes = APIRouter()

    @routes.get(PATH, response_model=ChangeList)
    async def list_changes(
        request: Request, _: _Admin, wanted: _Wanted, limit: Limit, cursor: Cursor = None
    ) -> Response:
        """What people have changed, newest first."""
        return json_response(await _found(request, wanted, limit, cursor))

    return routes


async def _found(request: Request, wanted: Wanted, limit: int, cursor: str | None) -> dict[str, Any]:
    log: AuditLog = request.app.state.audit
    rows = await log.page(wanted, decode_cursor(cursor, _Id), limit + 1)
    shown = rows[:limit]
    return page(shown, shown[-1]["id"] if len(rows) > limit else None)


def differences(before: State, after: State) -> list[tuple[str, str, str]]:
    """Each part that is not the same on both sides, as JSON; empty where it is not there."""
    sides = before or {}, after or {}
    names = sorted({*sides[0], *sides[1]})
    return [
        (name, *(orjson.dumps(side[name]).decode() if name in side else "" for side in sides))  # type: ignore[misc]
        for name in names
        if sides[0].get(name) != sides[1].get(name) or (name in sides[0]) != (name in sides[1])
    ]
