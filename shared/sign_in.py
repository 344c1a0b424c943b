"""Lets a person sign in at a browser and out again: /sign-in and /sign-out of every service.

With a key, with the one-time token of a link, or, where a provider is set, by that (sign_in_oidc.py). The cookie is one
for the host: browsers send it to all three services, whatever their ports.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from shared import session_start, sign_in_oidc
from shared.access import SESSION_COOKIE, keys_of, now_seconds, session_cookie, session_secret
from shared.attempts import Attempts, begun
from shared.errors import PROBLEM_MEDIA_TYPE
from shared.forms import FORM, check_token, form_of
from shared.json_schema import COMPONENTS
from shared.keys import key_id_of
from shared.language import translatable
from shared.pages import SIGN_IN, Pages
from shared.session_start import cookie_options
from shared.sessions import Link, UsedLinks, form_token, nonce
from shared.settings import ServiceSettings

SIGN_OUT: Final = "/sign-out"
# Before there is a session, this cookie is what the token of the form belongs to.
FORM_COOKIE: Final = "supply_watch_form"
FORM_SECONDS: Final = 3600
NO_LINK: Final = translatable("This link is too old, or was used before.")
_FORM_COOKIE: Final = re.compile(r"[\w-]{22}", re.ASCII)
_FIELDS: Final[dict[str, dict[str, str]]] = {name: {"type": "string"} for name in ("csrf", "key", "next")}

_ASKED_AGAIN: Final[dict[str, Any]] = {
    "description": "The form once more, with why",
    "content": {
        "text/html": {"schema": {"type": "string"}},
        PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"{COMPONENTS}Problem"}},
    },
}


def _redirect(*refusals: int) -> dict[str, Any]:
    """What a route says of itself that leads on to the next page, or answers with a problem."""
    answers: dict[int | str, dict[str, Any]] = {status: {} for status in refusals}
    answers[303] = {"description": "Done; on to the next page"}
    if 401 in answers:
        answers[401] = _ASKED_AGAIN
    return {"status_code": 303, "response_class": RedirectResponse, "responses": answers}


def _form(*fields: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: _FIELDS[name] for name in fields}, "required": list(fields)}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


def add_to(app: FastAPI) -> None:
    """To be called after `pages.add_to`."""
    settings: ServiceSettings = app.state.settings
    app.state.attempts = Attempts(settings.sign_in_failures_per_minute, settings.sign_in_failures_burst)
    app.include_router(router(settings, app.state.pages))
    sign_in_oidc.add_to(app)


def router(settings: ServiceSettings, pages: Pages) -> APIRouter:
    routes = APIRouter()
    cookie, used = cookie_options(settings), UsedLinks()

    def ask(request: Request, status: int, wanted: str, fault: str | None) -> Response:
        found = request.cookies.get(FORM_COOKIE, "")
        tied = found if _FORM_COOKIE.fullmatch(found) else nonce()
        token = form_token(session_secret(request), tied)
        provider = settings.oidc_name if settings.oidc_issuer else None
        page = pages.show(request, "sign_in.html", status, wanted=wanted, fault=fault, form=token, provider=provider)
        page.set_cookie(FORM_COOKIE, tied, max_age=FORM_SECONDS, **cookie)
        return page

    def by_link(request: Request, token: str, wanted: str) -> Response:
        """Each token once; failures are counted as those of keys are."""
        link = Link.read(token)
        record = keys_of(request).record(link.key_id) if link else None
        if link is None or record is None:  # nobody's
            return ask(request, 401, wanted, NO_LINK)
        attempt, now = begun(request, link.key_id), now_seconds(request)
        good = link.holds(session_secret(request), record, settings.SERVICE, now)
        if not good or not used.take(link, now):
            return ask(request, 401, wanted, NO_LINK)
        attempt.succeeded()
        return session_start.begin(request, record, wanted)

    @routes.get(SIGN_IN, response_class=HTMLResponse, responses={401: _ASKED_AGAIN, 429: {}, 503: {}})
    async def sign_in_page(
        request: Request, wanted: Annotated[str, Query(alias="next")] = "", token: str | None = None
    ) -> Response:
        """The form that takes a key; with the one-time `token` of a link, the beginning of a session."""
        return ask(request, 200, wanted, None) if token is None else by_link(request, token, wanted)

    @routes.post(SIGN_IN, openapi_extra=_form("csrf", "key"), **_redirect(401, 403, 415, 429, 503))
    async def sign_in(request: Request) -> Response:
        """Begins a session."""
        form = await form_of(request)
        check_token(request, form, request.cookies.get(FORM_COOKIE, ""))
        cache, key = keys_of(request), form.get("key", "").strip()
        key_id = key_id_of(key)
        attempt = begun(request, key_id)
        record = cache.record(key_id or "")
        wanted = form.get("next", "")
        if record is None or cache.principal(key) is None:
            return ask(request, 401, wanted, translatable("This key is not valid."))
        attempt.succeeded()
        onward = session_start.begin(request, record, wanted)
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
