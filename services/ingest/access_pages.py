"""Shows producers and keys to administrators: adds producers, issues, rotates and revokes keys; a key is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BeforeValidator

from services.ingest.access import (
    Access,
    NewPersonKey,
    NewProducer,
    NewProducerKey,
    key_json,
    no_producer,
    producer_json,
    shaped,
)
from services.ingest.epcis.places import HOME
from services.ingest.store import Store
from shared import topics
from shared.access import require
from shared.audit import Author
from shared.errors import Invalid, Problem
from shared.events.catalogue import Role
from shared.form_faults import beside
from shared.forms import form_of, require_author
from shared.keys import ADMIN, OPERATOR, VIEWER, Principal
from shared.pages import Pages, link_here, page_router
from shared.session_start import own_path
from shared.web import decode_cursor, encode_cursor

ROLES: Final = get_args(Role)
PERSONS: Final = (VIEWER, OPERATOR, ADMIN)
ROWS: Final = 100
PRODUCER_FIELDS: Final = ("name", "glns", "roles", "country")
TICKED: Final = "on"
_MAY_BE_EMPTY: Final = BeforeValidator(lambda value: value or None)
_Admin = Annotated[Principal, Depends(require(ADMIN))]
_Author = Annotated[Author, Depends(require_author(ADMIN))]
_Cursor = Annotated[str | None, _MAY_BE_EMPTY]
# What has just been done, which the page that a form leads to says.
_Done = Annotated[str | None, Query(pattern=r"^[a-z_]{1,30}$"), _MAY_BE_EMPTY]


def new_producer(form: Mapping[str, str]) -> dict[str, Any]:
    """The body of POST /producers: GLNs one a line, a tick for each role."""
    return {
        "name": form.get("name", "").strip(),
        "glns": form.get("glns", "").split(),
        "roles": [role for role in ROLES if form.get(role_field(role)) == TICKED],
        "country": form.get("country", "").strip().upper(),
    }


def written(form: Mapping[str, str]) -> dict[str, str]:
    """What somebody has written into the form of a producer, so that it can be shown again."""
    return {name: form.get(name, "") for name in ("name", "glns", "country", *map(role_field, ROLES))}


def role_field(role: str) -> str:
    return f"role-{role}"


def router(store: Store, access: Access, pages: Pages) -> APIRouter:
    routes = page_router()

    @routes.get("/producers")
    async def producers(request: Request, _: _Admin, cursor: _Cursor = None) -> Response:
        rows = await store.producers(decode_cursor(cursor, str), ROWS + 1)
        return pages.show(
            request,
            "producers.html",
            items=[producer_json(row) for row in rows[:ROWS]],
            next=link_here(request, cursor=encode_cursor(rows[ROWS - 1].name)) if len(rows) > ROWS else None,
            first="/producers" if cursor else None,
        )

    @routes.get("/producers/new")
    async def new(request: Request, _: _Admin) -> Response:
        return pages.show(request, "producer_new.html", written=written({"country": HOME}), roles=ROLES, faults={})

    @routes.post("/producers")
    async def add(request: Request, author: _Author) -> Response:
        form = await form_of(request)
        try:
            made = await access.add_producer(shaped(new_producer(form), NewProducer), author)
        except (Invalid, Problem) as error:
            status, faults = _refused(error, PRODUCER_FIELDS)
            return pages.show(request, "producer_new.html", status, written=written(form), roles=ROLES, faults=faults)
        return RedirectResponse(f"/producers/{made.name}?done=added", 303)

    async def one_page(request: Request, name: str, status: int = 200, /, **outcome: Any) -> Response:
        row = await store.producer(name) if name.isprintable() else None
        if row is None:
            raise no_producer(name)
        keys = [key_json(key) for key in await store.keys_of(name, ROWS)]
        content = {"producer": producer_json(row), "topic": topics.inbound(name), "keys": keys, "label": ""}
        return pages.show(request, "producer.html", status, **content | {"faults": {}, "done": None} | outcome)

    @routes.get("/producers/{name}")
    async def one(request: Request, name: str, _: _Admin, done: _Done = None) -> Response:
        return await one_page(request, name, done=done)

    @routes.post("/producers/{name}/keys")
    async def issue_to_producer(request: Request, name: str, author: _Author) -> Response:
        """The page that shows the key, this once: there is no address that shows it again."""
        label = (await form_of(request)).get("label", "").strip()
        try:
            wanted = shaped({"label": label} if label else {}, NewProducerKey)
        except Invalid as error:
            return await one_page(request, name, 422, label=label, faults=beside(error.faults, ("label",)))
        issued = await access.issue_to_producer(name, wanted.label, author)
        return _key_page(request, issued, f"/producers/{name}")

    async def keys_page(request: Request, cursor: str | None, status: int = 200, /, **outcome: Any) -> Response:
        rows = await store.keys(decode_cursor(cursor, str), ROWS + 1)
        content = {
            "items": [key_json(key) for key in rows[:ROWS]],
            "next": link_here(request, cursor=encode_cursor(rows[ROWS - 1].key_id)) if len(rows) > ROWS else None,
            "first": "/keys" if cursor else None,
            "persons": PERSONS,
            "written": {"role": VIEWER, "label": ""},
            "faults": {},
            "done": None,
        }
        return pages.show(request, "keys.html", status, **content | outcome)

    @routes.get("/keys")
    async def keys(request: Request, _: _Admin, cursor: _Cursor = None, done: _Done = None) -> Response:
        return await keys_page(request, cursor, done=done)

    @routes.post("/keys")
    async def issue_to_person(request: Request, author: _Author) -> Response:
        """The page that shows the key, this once."""
        form = await form_of(request)
        asked = {"role": form.get("role", ""), "label": form.get("label", "").strip()}
        try:
            wanted = shaped(asked, NewPersonKey)
        except Invalid as error:
            faults = beside(error.faults, tuple(asked))
            return await keys_page(request, None, 422, written=asked, faults=faults)
        return _key_page(request, await access.issue_to_person(wanted, author), "/keys")

    @routes.post("/keys/{key_id}/rotate")
    async def rotate(request: Request, key_id: str, author: _Author) -> Response:
        """The page that shows the second key, this once."""
        return _key_page(request, await access.rotate(key_id, author), "/keys", rotated=key_id)

    @routes.post("/keys/{key_id}/revoke")
    async def revoke(request: Request, key_id: str, author: _Author) -> Response:
        await access.revoke(key_id, author)
        there = own_path((await form_of(request)).get("next", "")) or "/keys"
        return RedirectResponse(f"{there}?done=revoked", 303)

    def _key_page(request: Request, issued: dict[str, Any], back: str, rotated: str | None = None) -> Response:
        return pages.show(request, "key_issued.html", 201, **{"kafka": None, **issued}, back=back, rotated=rotated)

    return routes


def _refused(error: Invalid | Problem, fields: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """The status and the faults beside their fields."""
    return error.status if isinstance(error, Problem) else 422, beside(error.faults, fields)
