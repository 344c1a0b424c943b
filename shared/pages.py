"""Shows pages: one layout, one stylesheet and a strict Content-Security-Policy for all services; no script anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from shared.access import READING, session_cookie, session_principal, session_secret
from shared.errors import Invalid, Problem, Transient
from shared.sessions import form_token

TEMPLATES: Final = Path(__file__).parent / "templates"
STYLESHEET: Final = (TEMPLATES / "style.css").read_bytes()
STYLESHEET_URL: Final = f"/style-{hashlib.sha256(STYLESHEET).hexdigest()[:12]}.css"
SIGN_IN: Final = "/sign-in"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# What a route that also shows a page can answer beside its JSON.
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
    303: {"description": "A browser (Accept: text/html) that is not signed in is sent to /sign-in"},
}
_FAILURES: Final = (Problem, Invalid, Transient, RequestValidationError, HTTPException)

Links = tuple[tuple[str, str], ...]
Handler = Callable[[Request, Exception], Awaitable[Response]]


class Pages:
    """The pages of one service. `links` are the title and the path of each part that its navigation names."""

    def __init__(self, service: str, templates: Path, links: Links) -> None:
        loader = FileSystemLoader([templates, TEMPLATES])
        self._environment = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["pretty"] = pretty
        self._shared = {"service": service, "links": links, "stylesheet": STYLESHEET_URL}

    @property
    def home(self) -> str:
        """Where somebody who has just signed in begins."""
        return self._shared["links"][0][1]

    def show(self, request: Request, template: str, status: int = 200, /, **content: Any) -> HTMLResponse:
        """The page of `template` in `status`, with what the layout needs."""
        somebody = session_principal(request) if request.app.state.access.ready.is_set() else None
        layout = {
            "somebody": somebody,
            "token": form_token(session_secret(request), session_cookie(request)),
            "path": request.url.path,
        }
        text = self._environment.get_template(template).render(**self._shared, **layout, **content)
        return HTMLResponse(text, status, HEADERS)


def add_to(app: FastAPI, pages: Pages) -> None:
    """Serves the stylesheet, and tells a browser of failures by a page. To be called after `create_app`."""
    app.state.pages = pages
    routes = APIRouter()

    @routes.get(STYLESHEET_URL, include_in_schema=False)
    async def stylesheet() -> Response:
        return Response(STYLESHEET, media_type="text/css", headers={"Cache-Control": "public, max-age=31536000"})

    app.include_router(routes)
    for failure in _FAILURES:
        app.add_exception_handler(failure, _shown(app.exception_handlers[failure]))


def wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def pretty(value: Any) -> str:
    """JSON for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _shown(tell: Any) -> Handler:
    """`tell` answers with problem+json; a browser gets the same as a page, or is asked to sign in."""

    async def shown(request: Request, error: Exception) -> Response:
        answer: Response = await tell(request, error)
        if not wants_page(request):
            return answer
        if answer.status_code == 401 and request.method in READING:
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='')}", 303)
        pages: Pages = request.app.state.pages
        page = pages.show(request, "problem.html", answer.status_code, problem=orjson.loads(answer.body))
        kept = ("retry-after", "www-authenticate", "allow")
        page.headers.update({name: value for name, value in answer.headers.items() if name in kept})
        return page

    return shown
