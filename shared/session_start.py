"""Begins a session at a browser: sets its cookie and leads on to the page that was wanted."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import Request
from fastapi.responses import RedirectResponse

from shared.access import SESSION_COOKIE, now_seconds, session_secret
from shared.pages import Pages
from shared.sessions import Holder, Session
from shared.settings import ServiceSettings

SECONDS_AN_HOUR: Final = 3600
# A path of this service: not //elsewhere, nor anything that a browser takes for that.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def cookie_options(settings: ServiceSettings) -> dict[str, Any]:
    """No script reads it, no other site's form sends it. Plain http is for stacks on one machine."""
    return {"httponly": True, "samesite": "lax", "secure": settings.public_url.startswith("https:")}


def own_path(wanted: str) -> str | None:
    """`wanted`, if it is a path of this service."""
    return wanted if _OWN_PATH.fullmatch(wanted) else None


def begin(request: Request, holder: Holder, wanted: str) -> RedirectResponse:
    """The answer that leads somebody who has just signed in to `wanted`, or to where the service begins."""
    settings: ServiceSettings = request.app.state.settings
    pages: Pages = request.app.state.pages
    seconds = int(settings.session_hours * SECONDS_AN_HOUR)
    session = Session.begin(session_secret(request), holder, int(now_seconds(request)) + seconds)
    onward = RedirectResponse(own_path(wanted) or pages.home, 303)
    onward.set_cookie(SESSION_COOKIE, session.cookie(), max_age=seconds, **cookie_options(settings))
    return onward
