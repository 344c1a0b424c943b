"""Shows silences: which alerts are not told for a while, and why; makes and ends them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.alerts import silences_api
from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.pages import silence_form
from services.alerts.pages.admitted import MAY_BE_EMPTY, ROWS, Cursor, Done, asked, link, may_act
from services.alerts.parts import Parts
from services.alerts.requests import MomentCursor, shaped
from services.alerts.silences_api import NewSilence
from shared.audit import Author
from shared.errors import Invalid, Problem
from shared.form_faults import beside
from shared.forms import form_of
from shared.keys import Principal
from shared.pages import REFRESH_SECONDS, Pages, page_router
from shared.web import decode_cursor, encode_cursor

STATES: Final = ("active", "pending", "expired")
_State = Annotated[Literal["pending", "active", "expired"] | None, MAY_BE_EMPTY]


def router(pages: Pages) -> APIRouter:
    routes = page_router()

    async def shown(
        request: Request,
        running: Parts,
        reader: Principal | Author,
        state: str | None = None,
        cursor: str | None = None,
        status: int = 200,
        /,
        **outcome: Any,
    ) -> Response:
        """`outcome`: what was written as `silence`, and the `faults` of it; or what has been `done`."""
        last = decode_cursor(cursor, MomentCursor)
        after = None if last is None else (last.at, last.id)
        found = await running.queries.silences(state, running.clock.now(), ROWS, after)
        narrowed = asked(request, "state")
        following = None if found.following is None else encode_cursor(found.following)
        content = {
            "items": found.items,
            "states": STATES,
            "state": state or "",
            "next": following and link("/silences", {**narrowed, "cursor": following}),
            "first": link("/silences", narrowed) if cursor else None,
            "silence": silence_form.blank(),
            "rows": silence_form.ROWS,
            "ops": silence_form.OPS,
            "lengths": tuple(silence_form.LENGTHS),
            "may_act": may_act(reader),
            "faults": {},
            "done": None,
            "refresh": REFRESH_SECONDS,
        }
        return pages.show(request, "silences.html", status, **content | outcome)

    @routes.get("/silences")
    async def list_silences(
        request: Request,
        running: Running,
        reader: Reader,
        state: _State = None,
        cursor: Cursor = None,
        done: Done = None,
    ) -> Response:
        return await shown(request, running, reader, state, cursor, done=done)

    @routes.post("/silences")
    async def create(request: Request, running: Running, caller: Operator) -> Response:
        form = await form_of(request)
        try:
            body = shaped(silence_form.new_silence(form, running.clock.now()), NewSilence)
            await silences_api.create(body, running, caller)
        except (Invalid, Problem) as error:
            status = error.status if isinstance(error, Problem) else 422
            faults = beside(error.faults, silence_form.FIELDS, silence_form.places(form))
            written = silence_form.written(form)
            return await shown(
                request, running, caller, None, None, status, silence=written, faults=faults, refresh=None
            )
        return RedirectResponse("/silences?done=silenced", 303)

    @routes.post("/silences/{silence}/end")
    async def end(silence: str, running: Running, caller: Operator) -> Response:
        await silences_api.end(silence, running, caller)
        return RedirectResponse("/silences?done=ended", 303)

    return routes
