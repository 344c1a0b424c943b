"""/sign-in/oidc: to the sign-in provider and back. The routes answer 404 where no provider is set."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from shared import session_start
from shared.access import now_seconds, session_secret
from shared.attempts import begun
from shared.errors import Fault, Problem
from shared.oidc import CALLBACK, Journey, Provider, Refused
from shared.pages import SIGN_IN
from shared.session_start import cookie_options, own_path
from shared.sessions import sealed, unsealed
from shared.telemetry import logger

START: Final = f"{SIGN_IN}/oidc"
JOURNEY_COOKIE: Final = "supply_watch_oidc"
JOURNEY_SECONDS: Final = 600
WANTED_MAX: Final = 1_000
CODE_MAX: Final = 4_000
WORD_MAX: Final = 200
_PURPOSE: Final = "oidc"
_Text = Annotated[str, Query(max_length=CODE_MAX)]
_Word = Annotated[str, Query(max_length=WORD_MAX)]  # `state` is our own, and errors are single words
_ANSWERS: Final[dict[str, Any]] = {
    "status_code": 303,
    "response_class": RedirectResponse,
    "responses": {303: {"description": "On"}, 403: {}, 404: {}, 429: {}, 503: {}},
}

log = logger(__name__)


def add_to(app: FastAPI) -> None:
    app.state.provider = Provider.of(app.state.settings)
    app.include_router(_router())


def _router() -> APIRouter:
    routes = APIRouter()

    @routes.get(START, **_ANSWERS)
    async def to_the_provider(request: Request, wanted: Annotated[str, Query(alias="next")] = "") -> Response:
        """Leads to the sign-in provider."""
        provider = _provider(request)
        begun(request, None)
        path = own_path(wanted[:WANTED_MAX]) or ""
        journey = Journey.begin(path, int(now_seconds(request)) + JOURNEY_SECONDS)
        try:
            onward = RedirectResponse(await provider.way(journey), 303)
        except Refused as refused:
            raise _refused(403, str(refused)) from None
        kept = sealed(session_secret(request), _PURPOSE, msgspec.json.encode(journey).decode())
        options = cookie_options(request.app.state.settings)
        onward.set_cookie(JOURNEY_COOKIE, kept, max_age=JOURNEY_SECONDS, path=SIGN_IN, **options)
        return onward

    @routes.get(CALLBACK, **_ANSWERS)
    async def from_the_provider(request: Request, state: _Word = "", code: _Text = "", error: _Word = "") -> Response:
        """Where the sign-in provider leads back to: the beginning of a session."""
        provider = _provider(request)
        journey = _journey(request)
        if journey is None or not state or state != journey.state:
            raise _refused(403, "this sign-in was not begun at this browser, or too long ago: begin again")
        attempt = begun(request, None)
        if error or not code:
            raise _refused(403, "the provider did not let you in")
        try:
            person = await provider.person(journey, code)
        except Refused as refused:
            log.warning("sign-in refused", why=str(refused))
            raise _refused(403, str(refused)) from None
        for _ in (START, CALLBACK):  # the way there was counted too
            attempt.succeeded()
        onward = session_start.begin(request, person, journey.wanted)
        onward.delete_cookie(JOURNEY_COOKIE, path=SIGN_IN, **cookie_options(request.app.state.settings))
        return onward

    return routes


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise _refused(404, "no sign-in provider is set")
    return provider


def _journey(request: Request) -> Journey | None:
    kept = unsealed(session_secret(request), _PURPOSE, request.cookies.get(JOURNEY_COOKIE, ""))
    if kept is None:
        return None
    journey = msgspec.json.decode(kept, type=Journey)
    return journey if now_seconds(request) < journey.ends_at else None


def _refused(status: int, detail: str) -> Problem:
    """403 and not 401, which would lead a browser to sign in once more without a word."""
    titles = {403: "Forbidden", 404: "Not Found"}
    return Problem(status, titles[status], detail, [Fault(None, "sign_in", detail)])
