"""Answers questions about the registry on a day: products, authorisations, agreements; and what is interrupted."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response

from services.supply.asked import NOT_FINAL, Asked, Cursor, Effective, Known, Limit, reader
from services.supply.lot import gtin_text
from services.supply.registry_json import agreement_json, authorisation_json, interruption_json, product_json
from shared.web import decode_cursor, json_response, page

router = APIRouter()


@router.get("/registry/{what}", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_registry(
    what: Literal["products", "authorisations", "agreements"],
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """The registry on a day: products by GTIN, authorisations by number, agreements by id, with their events."""
    on = asked.day(effective)
    after = decode_cursor(cursor, str) or ""
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
    if what == "products":
        rows = [(gtin_text(gtin), product_json(item, registry, on)) for gtin, item in registry.packings(on).items()]
    elif what == "authorisations":
        rows = [(item.authorisation, authorisation_json(item, on)) for item in registry.authorisations(on)]
    else:
        rows = [(item.agreement, agreement_json(item)) for item in registry.agreements(on)]
    rest = sorted((row for row in rows if row[0] > after), key=lambda row: row[0])
    following = rest[limit - 1][0] if len(rest) > limit else None
    items = [body for _, body in rest[:limit]]
    return json_response(page(items, following, **asked.head(cut, effective=on.isoformat())))


@router.get("/interruptions", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_interruptions(
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    state: Literal["open", "resolved"] | None = None,
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """The interruptions that had begun by a day, by id, with their events."""
    on, after = asked.day(effective), decode_cursor(cursor, str) or ""
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
    found = [interruption_json(item, on) for item in registry.interruptions(on) if item.interruption > after]
    rest = [item for item in found if state in (None, item["state"])]
    following = rest[limit - 1]["interruption"] if len(rest) > limit else None
    return json_response(page(rest[:limit], following, **asked.head(cut, effective=on.isoformat())))
