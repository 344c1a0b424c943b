"""Shows one alert: what it says, what it rests on, its history, who was told; takes its acknowledgement and silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.alerts import alerts_api, silences_api
from services.alerts.alerts_api import Acknowledgement, Operator, Reader, Running
from services.alerts.pages import alert_shown, silence_form
from services.alerts.pages.admitted import Done, link, may_act
from services.alerts.pages.deliveries import rows
from services.alerts.parts import Parts
from services.alerts.requests import identity, not_found, shaped
from services.alerts.silences_api import NewSilence
from shared.errors import Invalid, Problem
from shared.form_faults import beside
from shared.forms import form_of
from shared.pages import REFRESH_SECONDS, Pages, page_router
from shared.session_start import own_path

DELIVERIES_SHOWN: Final = 20
FIELDS: Final = ("why", *silence_form.FIELDS)


def router(pages: Pages) -> APIRouter:
    routes = page_router()

    async def shown(
        request: Request, alert: str, running: Parts, acting: bool, status: int = 200, /, **outcome: Any
    ) -> Response:
        """`outcome`: what was `written`, and the `faults` of it; or what has been `done`."""
        found = await running.queries.alert(identity(alert, "alert"), running.clock.now())
        if found is None:
            raise not_found("alert", alert)
        sent = await running.queries.deliveries({"alert": identity(alert, "alert")}, DELIVERIES_SHOWN, None)
        events, more_events = alert_shown.events(found)
        content = {
            "alert": found,
            "evidence": alert_shown.plain_evidence(found),
            "nested": alert_shown.nested_evidence(found),
            "events": events,
            "more_events": more_events,
            "mutes": alert_shown.mutes(found),
            "deliveries": await rows(sent.items, running),
            "all_deliveries": link("/deliveries", {"alert": found["id"]}) if sent.following is not None else None,
            "silence": silence_form.blank(("rule", found["rule"]), ("subject", found["subject"])),
            "rows": silence_form.ROWS,
            "ops": silence_form.OPS,
            "lengths": tuple(silence_form.LENGTHS),
            "may_act": acting,
            "faults": {},
            "done": None,
            "why": "",
            "refresh": REFRESH_SECONDS,
        }
        return pages.show(request, "alert.html", status, **content | outcome)

    @routes.get("/alerts/{alert}")
    async def one_alert(request: Request, alert: str, running: Running, reader: Reader, done: Done = None) -> Response:
        return await shown(request, alert, running, may_act(reader), done=done)

    @routes.post("/alerts/{alert}/acknowledge")
    async def acknowledge(request: Request, alert: str, running: Running, caller: Operator) -> Response:
        form = await form_of(request)
        why = form.get("why", "").strip()
        try:
            body = shaped({"why": why}, Acknowledgement)
            await alerts_api.acknowledged(alert, running, replace(caller, reason=body.why))
        except (Invalid, Problem) as error:
            return await refused(request, alert, running, error, why=why)
        there = own_path(form.get("next", "")) or f"/alerts/{alert}"
        return RedirectResponse(f"{there}{'&' if '?' in there else '?'}done=acknowledged", 303)

    @routes.post("/alerts/{alert}/silence")
    async def silence(request: Request, alert: str, running: Running, caller: Operator) -> Response:
        form = await form_of(request)
        try:
            body = shaped(silence_form.new_silence(form, running.clock.now()), NewSilence)
            await silences_api.create(body, running, caller)
        except (Invalid, Problem) as error:
            written = silence_form.written(form)
            return await refused(request, alert, running, error, silence_form.places(form), silence=written)
        return RedirectResponse(f"/alerts/{alert}?done=silenced", 303)

    async def refused(
        request: Request,
        alert: str,
        running: Parts,
        error: Invalid | Problem,
        places: dict[str, str] | None = None,
        **written: Any,
    ) -> Response:
        """The page with what is wrong beside what was written."""
        status = error.status if isinstance(error, Problem) else 422
        if status == 404:
            raise error
        faults = beside(error.faults, FIELDS, places)
        return await shown(request, alert, running, True, status, faults=faults, refresh=None, **written)

    return routes
