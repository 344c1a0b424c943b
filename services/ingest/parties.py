"""The party directory over HTTP, for admins alone: in which country a GLN is. The number itself says nothing of it.

What is told here holds over the country of the producer that the GLN belongs to; what a document's own master data says
holds over both, for that document.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.ingest.access import Body, read_body
from services.ingest.store import Store
from services.ingest.tables import Party
from shared.access import require
from shared.audit import Author
from shared.clock import rfc3339
from shared.errors import Fault, Invalid, Problem
from shared.events import fields
from shared.forms import require_author
from shared.keys import ADMIN, Principal
from shared.openapi import json_body
from shared.web import Limit, decode_cursor, json_response, page

_Admin = Annotated[Principal, Depends(require(ADMIN))]
_Author = Annotated[Author, Depends(require_author(ADMIN))]


class ToldParty(Body):
    """{country, name?}"""

    country: fields.Country
    name: fields.Name | None = None


class PartyAnswer(BaseModel):
    """In which country a GLN is."""

    gln: str
    country: str
    name: str | None
    changed_at: datetime


class PartyList(BaseModel):
    """A page of parties, by GLN."""

    items: list[PartyAnswer]
    next: str | None


def router(store: Store) -> APIRouter:
    routes = APIRouter()

    @routes.get("/parties", response_model=PartyList)
    async def list_parties(_: _Admin, limit: Limit, cursor: str | None = None) -> Response:
        """Parties, by GLN."""
        rows = await store.parties(decode_cursor(cursor, str), limit + 1)
        shown = rows[:limit]
        return json_response(page([_json(row) for row in shown], shown[-1].gln if len(rows) > limit else None))

    @routes.put("/parties/{gln}", response_model=PartyAnswer, openapi_extra=json_body(ToldParty))
    async def put_party(request: Request, gln: str, author: _Author) -> Response:
        """Says in which country a GLN is."""
        told = await read_body(request, ToldParty)
        if not fields.is_gln(gln):
            raise Invalid([Fault("gln", "pattern", "a GLN has 13 digits, of which the last is the check digit")])
        row = Party(
            gln=gln, country=told.country, name=told.name, changed_at=datetime.now(UTC), changed_by=author.key_id
        )
        await store.put_party(row, author)
        return json_response(_json(row))

    @routes.delete("/parties/{gln}", status_code=204)
    async def delete_party(gln: str, author: _Author) -> Response:
        """Forgets where a GLN is."""
        if not fields.is_gln(gln) or not await store.delete_party(gln, author):
            detail = "there is no such party"
            raise Problem(404, "Not Found", detail, [Fault("gln", "not_found", detail)])
        return Response(status_code=204)

    return routes


def _json(row: Party) -> dict[str, Any]:
    return {"gln": row.gln, "country": row.country, "name": row.name, "changed_at": rfc3339(row.changed_at)}
