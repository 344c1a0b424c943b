"""Who may call what: every route of every service, and the roles that it admits.

A new route needs one line here: `"METHOD /path/{parameter}": ROLES`. A page and an answer for programs at one path are
one line. Roles in words: DESIGN, sections 8 and 13.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from services.ingest.events import Direct
from shared.forms import require_author
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER
from shared.openapi import roles_of
from shared.pages import PageRoute

ANONYMOUS: Final = "anonymous"
ROLES: Final = (ANONYMOUS, PRODUCER, VIEWER, OPERATOR, ADMIN)

EVERYBODY: Final = frozenset(ROLES)
ANY_KEY: Final = frozenset({PRODUCER, VIEWER, OPERATOR, ADMIN})
READERS: Final = frozenset({VIEWER, OPERATOR, ADMIN})
OPERATORS: Final = frozenset({OPERATOR, ADMIN})
ADMINS: Final = frozenset({ADMIN})
PRODUCERS: Final = frozenset({PRODUCER})
REPLAYERS: Final = frozenset({PRODUCER, OPERATOR, ADMIN})

Roles = frozenset[str]

# What each of the three services has.
SHARED: Final[dict[str, Roles]] = {
    "GET /health/live": EVERYBODY,
    "GET /health/ready": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /sign-in": EVERYBODY,
    "POST /sign-in": EVERYBODY,
    "GET /sign-in/oidc": EVERYBODY,
    "GET /sign-in/oidc/callback": EVERYBODY,
    "GET /sign-out": EVERYBODY,
    "POST /sign-out": EVERYBODY,
    "GET /style-{hash}.css": EVERYBODY,
    "GET /refresh-{hash}.js": EVERYBODY,
    "GET /icon-{hash}.svg": EVERYBODY,
    "GET /audit": ADMINS,
    "GET /openapi.json": ANY_KEY,
}
INGEST: Final[dict[str, Roles]] = {
    "GET /": ANY_KEY,
    "POST /events": PRODUCERS,
    "OPTIONS /epcis/capture": ANY_KEY,
    "POST /epcis/capture": PRODUCERS,
    "GET /epcis/capture": ANY_KEY,
    "OPTIONS /epcis/capture/{capture_id}": ANY_KEY,
    "GET /epcis/capture/{capture_id}": ANY_KEY,
    "OPTIONS /epcis/events/{event_id}": ANY_KEY,
    "GET /epcis/events/{event_id}": ANY_KEY,
    "GET /rejections": ANY_KEY,
    "GET /rejections/{id}": ANY_KEY,
    "POST /rejections/replay": REPLAYERS,
    "POST /rejections/{id}/replay": REPLAYERS,
    "GET /producers": ADMINS,
    "POST /producers": ADMINS,
    "GET /producers/new": ADMINS,
    "GET /producers/{name}": ADMINS,
    "POST /producers/{name}/keys": ADMINS,
    "GET /keys": ADMINS,
    "POST /keys": ADMINS,
    "DELETE /keys/{key_id}": ADMINS,
    "POST /keys/{key_id}/revoke": ADMINS,
    "POST /keys/{key_id}/rotate": ADMINS,
    "GET /parties": ADMINS,
    "PUT /parties/{gln}": ADMINS,
    "DELETE /parties/{gln}": ADMINS,
    "GET /catalogue": ANY_KEY,
    "GET /catalogue/{type}": ANY_KEY,
    "POST /catalogue/{type}/validate": PRODUCERS,
    "GET /asyncapi.json": ANY_KEY,
}
SUPPLY: Final[dict[str, Roles]] = {
    "GET /": READERS,
    "GET /shares": READERS,
    "GET /products": READERS,
    "GET /products/{gtin}": READERS,
    "GET /agreements": READERS,
    "GET /agreements/{agreement}": READERS,
    "GET /registry/agreements": READERS,
    "GET /balances": READERS,
    "GET /lots/{gtin}/{lot}": READERS,
    "GET /events/{source}/{id}": ANY_KEY,
    "GET /indicators": READERS,
    "GET /indicators/{name}/explain": READERS,
    "GET /goals": READERS,
    "GET /goals/{goal}": READERS,
    "GET /obligations": READERS,
    "GET /anomalies": READERS,
    "GET /registry/{what}": READERS,
    "GET /interruptions": READERS,
    "GET /whatif": READERS,
    "GET /exports/balances.{form}": READERS,
    "GET /exports/flows.{form}": READERS,
    "GET /exports/indicators.{form}": READERS,
    "GET /ledger/checkpoints": READERS,
    "GET /ledger/verify": READERS,
}
ALERTS: Final[dict[str, Roles]] = {
    "GET /": READERS,
    "GET /alerts": READERS,
    "GET /alerts/{alert}": READERS,
    "POST /alerts/{alert}/acknowledge": OPERATORS,
    "POST /alerts/{alert}/silence": OPERATORS,
    "GET /rules": READERS,
    "GET /silences": READERS,
    "POST /silences": OPERATORS,
    "GET /silences/{silence}": READERS,
    "DELETE /silences/{silence}": OPERATORS,
    "POST /silences/{silence}/end": OPERATORS,
    "GET /endpoints": READERS,
    "GET /endpoints/new": READERS,
    "POST /endpoints": OPERATORS,
    "GET /endpoints/{endpoint}": READERS,
    "PATCH /endpoints/{endpoint}": OPERATORS,
    "POST /endpoints/{endpoint}": OPERATORS,
    "DELETE /endpoints/{endpoint}": OPERATORS,
    "POST /endpoints/{endpoint}/disable": OPERATORS,
    "POST /endpoints/{endpoint}/enable": OPERATORS,
    "POST /endpoints/{endpoint}/recover": OPERATORS,
    "POST /endpoints/{endpoint}/remove": OPERATORS,
    "POST /endpoints/{endpoint}/rotate-secret": OPERATORS,
    "POST /endpoints/{endpoint}/test": OPERATORS,
    "GET /endpoints/{endpoint}/stats": READERS,
    "GET /deliveries": READERS,
    "GET /deliveries/{delivery}": READERS,
    "POST /deliveries/{delivery}/resend": OPERATORS,
}
TABLE: Final[dict[str, dict[str, Roles]]] = {
    "ingest": {**SHARED, **INGEST},
    "supply": {**SHARED, **SUPPLY},
    "alerts": {**SHARED, **ALERTS},
}


@dataclass(frozen=True)
class Route:
    """One route of an application; `page`: it shows a browser what another at the same path tells programs.

    `audited`: it knows who changes something, and why.
    """

    method: str
    path: str
    page: bool
    admits: Roles
    audited: bool

    @property
    def name(self) -> str:
        """As it stands in the table: the hash of a file's content is no part of it."""
        return f"{self.method} {re.sub(r'-[0-9a-f]{12}[.]', '-{hash}.', self.path)}"


def routes(app: FastAPI) -> Iterator[Route]:
    """Every route of a service, as its application has it."""
    for one in iter_route_contexts(app.routes):
        assert one.path_format is not None and one.methods is not None, f"no way to tell what this is: {one!r}"
        if isinstance(one.original_route, APIRoute):  # any other stands before one that says what it is
            page = isinstance(one.original_route, PageRoute)
            for method in sorted(one.methods):
                yield Route(
                    method, one.path_format, page, roles_of(one.dependant) or EVERYBODY, _has_author(one.dependant)
                )
        else:
            assert isinstance(one.original_route, Direct), f"{one.path_format} does not say whom it admits"


def _has_author(dependant: Dependant) -> bool:
    """Whether it depends on what `require_author` gives."""
    made_by = getattr(dependant.call, "__qualname__", "")
    return made_by.startswith(f"{require_author.__name__}.") or any(map(_has_author, dependant.dependencies))
