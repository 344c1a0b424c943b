"""Lets a person sign in at a browser with a key, and out again: /sign-in and /sign-out of every service.

The cookie is one for the host: browsers send it to all three services, whatever their ports.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from shared.access import SESSION_COOKIE, keys_of, session_cookie, session_secret
from shared.forms import FORM, check_token, form_of
from shared.keys import key_id_of
from shared.language import translatable
from shared.pages import SIGN_IN, Pages
from shared.sessions import Session, form_token, nonce
from shared.settings import ServiceSettings

SIGN_OUT: Final = "/sign-out"
# Before there is a session, this cookie is what the token of the form belongs to.
FORM_COOKIE: Final = "supply_watch_form"
FORM_SECONDS: Final = 3600
_FORM_COOKIE: Final = re.compile(r"[\w-]{22}", re.ASCII)
# A path of this service: not //elsewhere, nor anything that a browser takes for that.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*")
_FIELDS: Final[dict[str, dict[str, str]]] = {name: {"type": "string"} for name in ("csrf", "key", "next")}


def _redirect(*refusals: int) -> dict[str, Any]:
    """What a route says of itself that leads on to the next page, or answers with a problem."""
    answers: dict[int | str, dict[str, Any]] = {status: {} for status in refusals}
    answers[303] = {"description": "Done; on to the next page"}
    return {"status_code": 303, "response_class": RedirectResponse, "responses": answers}


def _form(*fields: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: _FIELDS[name] for name in fields}, "required": list(fields)}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


def add_to(app: FastAPI) -> None:
    """To be called after `pages.add_to`."""
    app.include_router(router(app.state.settings, app.state.pages))


def router(settings: ServiceSettings, pages: Pages) -> APIRouter:
    routes = APIRouter()
    cookie: dict[str, Any] = {"httponly": True, "samesite": "lax", "secure": settings.public_url.startswith("https:")}

    def ask(request: Request, status: int, wanted: str, fault: str | None) -> Response:
        found = request.cookies.get(FORM_COOKIE, "")
        tied = found if _FORM_COOKIE.fullmatch(found) else nonce()
        token = form_token(session_secret(request), tied)
        page = pages.show(request, "sign_in.html", status, wanted=wanted, fault=fault, form=token)
        page.set_cookie(FORM_COOKIE, tied, max_age=FORM_SECONDS, **cookie)
        return page

    @routes.get(SIGN_IN, response_class=HTMLResponse)
    async def sign_in_page(request: Request, wanted: Annotated[str, Query(alias="next")] = "") -> Response:
        """The form that takes a key."""
        return ask(request, 200, wanted, None)

    @routes.post(SIGN_IN, openapi_extra=_form("csrf", "key"), **_redirect(401, 403, 415, 503))
    async def sign_in(request: Request) -> Response:
        """Begins a session."""
        form = await form_of(request)
        check_token(request, form, request.cookies.get(FORM_COOKIE, ""))
        cache, key = keys_of(request), form.get("key", "").strip()
        record = cache.record(key_id_of(key) or "")
        wanted = form.get("next", "")
        if record is None or cache.principal(key) is None:
            return ask(request, 401, wanted, translatable("This key is not valid."))
        seconds = int(settings.session_hours * 3600)
        session = Session.begin(session_secret(request), record, int(time.time()) + seconds)
        onward = RedirectResponse(wanted if _OWN_PATH.fullmatch(wanted) else pages.home, 303)
        onward.set_cookie(SESSION_COOKIE, session.cookie(), max_age=seconds, **cookie)
        onward.delete_cookie(FORM_COOKIE, **cookie)
        return onward

    @routes.get(SIGN_OUT, response_class=HTMLResponse)
    async def sign_out_page(request: Request) -> Response:
        """The form that ends the session."""
        return pages.show(request, "sign_out.html")

    @routes.post(SIGN_OUT, openapi_extra=_form("csrf"), **_redirect(403, 415))
    async def sign_out(request: Request) -> Response:
        """Ends the session at this browser."""
        check_token(request, await form_of(request), session_cookie(request))
        onward = RedirectResponse(SIGN_IN, 303)
        onward.delete_cookie(SESSION_COOKIE, **cookie)
        return onward

    return routes
