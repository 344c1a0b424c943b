"""Shows endpoints: who is told of alerts, and how it goes; makes, changes, tests and removes them."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.alerts import endpoints_api
from services.alerts.alerts_api import Operator, Reader, Running
from services.alerts.endpoint import Endpoint
from services.alerts.endpoints_api import EndpointChanges, NewEndpoint
from services.alerts.pages import endpoint_form
from services.alerts.pages.admitted import ROWS, Cursor, Done, link, may_act
from services.alerts.pages.deliveries import rows
from services.alerts.parts import Parts
from services.alerts.requests import MomentCursor, shaped
from shared.audit import Author
from shared.errors import Fault, Invalid
from shared.form_faults import beside
from shared.forms import form_of
from shared.keys import Principal
from shared.pages import REFRESH_SECONDS, Pages, page_router
from shared.web import decode_cursor, encode_cursor

STATS_HOURS: Final = 24
DELIVERIES_SHOWN: Final = 10


def router(pages: Pages) -> APIRouter:
    routes = page_router()

    def form_page(
        request: Request, running: Parts, written: dict[str, str], faults: dict[str, list[Fault]], status: int = 200
    ) -> Response:
        return pages.show(request, "endpoint_new.html", status, written=written, faults=faults, **_choices(running))

    async def one_page(
        request: Request,
        found: Endpoint,
        running: Parts,
        reader: Principal | Author,
        status: int = 200,
        /,
        **outcome: Any,
    ) -> Response:
        """`outcome`: what was `written`, and the `faults` of it; what has been `done`; a `secret`, shown this once."""
        sent = await running.queries.deliveries({"endpoint": found.id}, DELIVERIES_SHOWN, None)
        content = {
            "endpoint": found.as_json(),
            "stats": await endpoints_api.stats(found, STATS_HOURS, running),
            "stats_hours": STATS_HOURS,
            "deliveries": await rows(sent.items, running),
            "all_deliveries": link("/deliveries", {"endpoint": str(found.id)}),
            "written": endpoint_form.shown(found),
            "faults": {},
            "may_act": may_act(reader),
            "secret": None,
            "former_until": None,
            "done": None,
            "refresh": REFRESH_SECONDS,
            **_choices(running),
        }
        return pages.show(request, "endpoint.html", status, **content | outcome)

    @routes.get("/endpoints")
    async def list_endpoints(
        request: Request, running: Running, reader: Reader, cursor: Cursor = None, done: Done = None
    ) -> Response:
        last = decode_cursor(cursor, MomentCursor)
        after = None if last is None else (last.at, last.id)
        found = await running.queries.endpoints(ROWS, after)
        following = None if found.following is None else encode_cursor(found.following)
        return pages.show(
            request,
            "endpoints.html",
            items=found.items,
            next=following and link("/endpoints", {"cursor": following}),
            first="/endpoints" if cursor else None,
            may_act=may_act(reader),
            done=done,
            refresh=REFRESH_SECONDS,
        )

    @routes.get("/endpoints/new")
    async def new(request: Request, running: Running, _: Reader) -> Response:
        return form_page(request, running, dict(endpoint_form.EMPTY), {})

    @routes.post("/endpoints")
    async def create(request: Request, running: Running, caller: Operator) -> Response:
        """The page of the new endpoint with its secret, this once: there is no address that shows it again."""
        form = await form_of(request)
        try:
            body = shaped(endpoint_form.new_endpoint(form), NewEndpoint)
            made = await endpoints_api.create(body, running, caller)
        except Invalid as error:
            faults = beside(error.faults, endpoint_form.FIELDS)
            return form_page(request, running, endpoint_form.written(form), faults, 422)
        return await one_page(request, made, running, caller, 201, secret=made.secret, done="created", refresh=None)

    @routes.get("/endpoints/{endpoint}")
    async def one(request: Request, endpoint: str, running: Running, reader: Reader, done: Done = None) -> Response:
        return await one_page(request, await endpoints_api.found(endpoint, running), running, reader, done=done)

    @routes.post("/endpoints/{endpoint}")
    async def change(request: Request, endpoint: str, running: Running, caller: Operator) -> Response:
        form = await form_of(request)
        try:
            body = shaped(endpoint_form.changes(form), EndpointChanges)
            await endpoints_api.change(endpoint, body, running, caller)
        except Invalid as error:
            there = await endpoints_api.found(endpoint, running)
            faults = beside(error.faults, endpoint_form.FIELDS)
            written = endpoint_form.written(form)
            return await one_page(request, there, running, caller, 422, written=written, faults=faults, refresh=None)
        return _onward(endpoint, "changed")

    @routes.post("/endpoints/{endpoint}/enable")
    async def enable(endpoint: str, running: Running, caller: Operator) -> Response:
        await endpoints_api.enable(endpoint, running, caller)
        return _onward(endpoint, "enabled")

    @routes.post("/endpoints/{endpoint}/disable")
    async def disable(endpoint: str, running: Running, caller: Operator) -> Response:
        await endpoints_api.change(endpoint, EndpointChanges(enabled=False), running, caller)
        return _onward(endpoint, "disabled")

    @routes.post("/endpoints/{endpoint}/test")
    async def test(endpoint: str, running: Running, caller: Operator) -> Response:
        delivery = await endpoints_api.send_test(endpoint, running, caller)
        return RedirectResponse(f"/deliveries/{delivery}?done=tested", 303)

    @routes.post("/endpoints/{endpoint}/rotate-secret")
    async def rotate(request: Request, endpoint: str, running: Running, caller: Operator) -> Response:
        """The page of the endpoint with its new secret, this once."""
        changed = await endpoints_api.rotate(endpoint, running, caller)
        told = {"secret": changed.secret, "former_until": changed.former_secret_until, "done": "rotated"}
        return await one_page(request, changed, running, caller, refresh=None, **told)

    @routes.post("/endpoints/{endpoint}/remove")
    async def remove(request: Request, endpoint: str, running: Running, caller: Operator) -> Response:
        """Only if the box is ticked: there is no way back."""
        if (await form_of(request)).get("sure") != endpoint_form.TICKED:
            there = await endpoints_api.found(endpoint, running)
            faults = {"sure": [Fault("sure", "confirm", "tick the box if you are sure")]}
            return await one_page(request, there, running, caller, 422, faults=faults, refresh=None)
        await endpoints_api.remove(endpoint, running, caller)
        return RedirectResponse("/endpoints?done=removed", 303)

    return routes


def _onward(endpoint: str, done: str) -> Response:
    return RedirectResponse(f"/endpoints/{endpoint}?done={done}", 303)


def _choices(running: Parts) -> dict[str, Any]:
    return {
        "formats": endpoint_form.FORMATS,
        "severities": endpoint_form.SEVERITIES,
        "rules": sorted(rule.name for rule in running.alerts.rules.rules),
    }
