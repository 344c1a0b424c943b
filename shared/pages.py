"""Shows pages: one layout, one look, two languages and a strict Content-Security-Policy for all services.

The one script keeps a page up to date; whoever has none loads the page again. How to make a page: README.md here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from shared.access import READING, session_cookie, session_principal, session_secret
from shared.errors import Invalid, Problem, Transient
from shared.form_faults import MEANING, OTHERWISE
from shared.formats import Formats
from shared.language import LANGUAGES, chosen, translatable, translations
from shared.sessions import form_token

TEMPLATES: Final = Path(__file__).parent / "templates"
SHARED_ROOM: Final = Path(__file__).parent
SIGN_IN: Final = "/sign-in"
SERVICES: Final = ("supply", "alerts", "ingest")
REFRESH_SECONDS: Final = 10
LANGUAGE_COOKIE: Final = "supply_watch_language"
LANGUAGE_SECONDS: Final = 365 * 24 * 3600
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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
# What happened, by status, for the heading of a page: the catalogues know these.
_HAPPENED: Final = {
    400: translatable("Your browser sent something that cannot be read"),
    401: translatable("Not signed in"),
    403: translatable("Not allowed"),
    404: translatable("Not found"),
    405: translatable("Not possible"),
    409: translatable("Not possible now"),
    413: translatable("Too large"),
    415: translatable("Not possible"),
    422: translatable("Something in the address or the form is wrong"),
    429: translatable("Too often"),
    500: translatable("A fault of ours"),
    503: translatable("Not available now"),
}

# The title and the path of a part, and the roles that it is for if not for all.
Links = tuple[tuple[str, str] | tuple[str, str, tuple[str, ...]], ...]
Handler = Callable[[Request, Exception], Awaitable[Response]]


class Asset(NamedTuple):
    """A file that pages refer to, under an address that changes with its content."""

    content: bytes
    media_type: str
    url: str

    @classmethod
    def of(cls, name: str, media_type: str) -> Asset:
        content = (TEMPLATES / name).read_bytes()
        stem, _, ending = name.partition(".")
        return cls(content, media_type, f"/{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}")


ASSETS: Final = {
    "stylesheet": Asset.of("style.css", "text/css"),
    "script": Asset.of("refresh.js", "text/javascript"),
    "icon": Asset.of("icon.svg", "image/svg+xml"),
}


class Pages:
    """The pages of one service.

    `links` are the title (translatable) and the path of each part that its navigation names, and the roles that it is
    shown to if not to all; `services` the addresses of the others; `words` how codes such as a status are told, in
    translatable English. Catalogues stand in `translations` beside the folder `templates`.
    """

    def __init__(
        self,
        service: str,
        templates: Path,
        links: Links,
        services: Mapping[str, str] = MappingProxyType({}),
        words: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._loader = FileSystemLoader([templates, TEMPLATES])
        self._links = links
        self._words = words
        self._translations = {
            language: translations(language, (templates.parent, SHARED_ROOM)) for language in LANGUAGES
        }
        self._environments = {language: self._environment(language) for language in LANGUAGES}
        others = {name: services[name].rstrip("/") + "/" for name in SERVICES if name in services}
        self._shared: dict[str, Any] = {
            "service": service,
            "services": {**others, service: "/"},
            "languages": LANGUAGES,
            **{name: asset.url for name, asset in ASSETS.items()},
        }

    def _environment(self, language: str) -> Environment:
        environment = Environment(
            loader=self._loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        words = self._translations[language]
        environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
        environment.filters |= Formats(language).filters()
        environment.filters["pretty"] = pretty
        environment.filters["translated"] = words.gettext
        environment.filters["meaning"] = lambda fault: words.gettext(MEANING.get(fault.code, OTHERWISE))
        environment.filters["word"] = lambda code: words.gettext(self._words[code]) if code in self._words else code
        environment.globals["language"] = language
        return environment

    @property
    def home(self) -> str:
        """Where somebody who has just signed in begins."""
        return self._links[0][1]

    def translated(self, request: Request, text: str) -> str:
        """`text`, which is translatable, in the reader's language."""
        return self._translations[language_of(request)].gettext(text)

    def show(self, request: Request, template: str, status: int = 200, /, **content: Any) -> HTMLResponse:
        """The page of `template` in `status`, with what the layout needs.

        `refresh`, seconds, has the page keep itself up to date.
        """
        somebody = session_principal(request) if request.app.state.access.ready.is_set() else None
        language = language_of(request)
        layout = {
            "somebody": somebody,
            "links": [
                one[:2] for one in self._links if len(one) == 2 or (somebody is not None and somebody.role in one[2])
            ],
            "token": form_token(session_secret(request), session_cookie(request)),
            "path": request.url.path,
            "in_language": {code: link_here(request, lang=code) for code in LANGUAGES},
            "refresh": None,
        }
        text = self._environments[language].get_template(template).render(self._shared | layout | content)
        shown = HTMLResponse(text, status, {**HEADERS, "Content-Language": language, "Vary": "Accept, Accept-Language"})
        if request.query_params.get("lang") == language:
            secure = request.app.state.settings.public_url.startswith("https:")
            shown.set_cookie(
                LANGUAGE_COOKIE, language, max_age=LANGUAGE_SECONDS, httponly=True, samesite="lax", secure=secure
            )
        return shown


def language_of(request: Request) -> str:
    """The language in which to answer `request`."""
    accepted = request.headers.get("accept-language", "")
    return chosen(request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE), accepted)


def link_here(request: Request, **changes: str | None) -> str:
    """The address of `request` with other query parameters: those named None are left out."""
    asked = {**request.query_params, **changes}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return f"{request.url.path}?{query}" if query else request.url.path


class PageRoute(APIRoute):
    """A route for browsers beside one for programs at the same path: it takes what asks for text/html.

    Its router has to be included before the other one's.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and "text/html" not in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


def page_router() -> APIRouter:
    """For routes that show pages to browsers, and are no part of what programs are promised."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)


def add_to(app: FastAPI, pages: Pages) -> None:
    """Serves what pages refer to, and tells a browser of failures by a page. To be called after `create_app`."""
    app.state.pages = pages
    for asset in ASSETS.values():
        app.add_api_route(asset.url, _served(asset), include_in_schema=False)
    for failure in _FAILURES:
        app.add_exception_handler(failure, _shown(app.exception_handlers[failure]))


def _served(asset: Asset) -> Callable[[], Awaitable[Response]]:
    async def served() -> Response:
        kept = {"Cache-Control": "public, max-age=31536000", "X-Content-Type-Options": "nosniff"}
        return Response(asset.content, media_type=asset.media_type, headers=kept)

    return served


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
        problem = orjson.loads(answer.body)
        happened = _HAPPENED.get(answer.status_code, problem["title"])
        page = pages.show(request, "problem.html", answer.status_code, problem=problem, happened=happened)
        kept = ("retry-after", "www-authenticate", "allow")
        page.headers.update({name: value for name, value in answer.headers.items() if name in kept})
        return page

    return shown
