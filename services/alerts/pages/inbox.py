"""Shows the inbox: alerts that somebody may have to act on, the most severe first; on request all others too."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request, Response

from services.alerts.alert import Severity, State
from services.alerts.alerts_api import Reader, Running
from services.alerts.pages.admitted import MAY_BE_EMPTY, ROWS, Cursor, Done, Words, asked, link, may_act
from services.alerts.parts import Parts
from services.alerts.queries import Page
from services.alerts.requests import MomentCursor, RankCursor
from shared.pages import REFRESH_SECONDS, Pages, page_router
from shared.web import decode_cursor, encode_cursor

OPEN: Final = "open"
# By the word in the address. Those that have ended grow without end: they are in order of time alone.
STATES: Final[dict[str, tuple[str, ...]]] = {
    OPEN: (State.FIRING, State.ACKNOWLEDGED),
    "firing": (State.FIRING,),
    "acknowledged": (State.ACKNOWLEDGED,),
    "pending": (State.PENDING,),
}
ENDED: Final[dict[str, str | None]] = {"resolved": State.RESOLVED, "all": None}
SEVERITIES: Final = tuple(severity.value for severity in reversed(Severity))
FILTERS: Final = ("state", "severity", "rule", "subject")
_Chosen = Annotated[Literal["open", "firing", "acknowledged", "pending", "resolved", "all"] | None, MAY_BE_EMPTY]
_Severity = Annotated[Severity | None, MAY_BE_EMPTY]


def router(pages: Pages) -> APIRouter:
    routes = page_router()

    @routes.get("/")
    async def inbox(
        request: Request,
        running: Running,
        reader: Reader,
        state: _Chosen = None,
        severity: _Severity = None,
        rule: Words = None,
        subject: Words = None,
        cursor: Cursor = None,
        done: Done = None,
    ) -> Response:
        filters = {"severity": severity, "rule": rule, "subject": subject}
        found = await _page(running, state or OPEN, filters, cursor)
        narrowed = asked(request, *FILTERS)
        following = None if found.following is None else encode_cursor(found.following)
        return pages.show(
            request,
            "inbox.html",
            items=found.items,
            counts=await running.queries.open_by_severity(),
            severities=SEVERITIES,
            states=(*STATES, *ENDED),
            asked={**dict.fromkeys(FILTERS, ""), "state": OPEN, **narrowed},
            narrowed=bool(narrowed),
            rules=sorted(rule.name for rule in running.alerts.rules.rules),
            here=link("/", narrowed),
            next=following and link("/", {**narrowed, "cursor": following}),
            first=link("/", narrowed) if cursor else None,
            may_act=may_act(reader),
            done=done,
            refresh=REFRESH_SECONDS,
        )

    return routes


async def _page(running: Parts, state: str, filters: dict[str, str | None], cursor: str | None) -> Page:
    now = running.clock.now()
    if state in STATES:
        ranked = decode_cursor(cursor, RankCursor)
        behind = None if ranked is None else (ranked.rank, ranked.at, ranked.id)
        return await running.queries.inbox(filters, STATES[state], ROWS, behind, now)
    last = decode_cursor(cursor, MomentCursor)
    after = None if last is None else (last.at, last.id)
    return await running.queries.alerts({**filters, "state": ENDED[state]}, ROWS, after, now)
