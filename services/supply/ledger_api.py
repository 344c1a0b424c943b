"""Answers questions about the book itself: balances, a lot's statement, what became of an event, checkpoints."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Depends, Query, Response

from services.supply.asked import (
    GTIN,
    NOT_FINAL,
    Asked,
    Cursor,
    Effective,
    Known,
    Limit,
    Moment,
    Number,
    Small,
    reader,
    reader_or_producer,
)
from services.supply.asof import LotKey
from services.supply.balances import Balance, Wanted, balance_item, balance_of, balances, by_product, products_of
from services.supply.lot import gtin_text
from services.supply.statements import event_answer, lot_statement
from shared.access import forbidden
from shared.errors import Fault, Invalid, Problem
from shared.keys import PRODUCER, Principal
from shared.web import decode_cursor, json_response, page

NO_PLACE: Final = (datetime(1970, 1, 1, tzinfo=UTC), 0, 0, 0, -1)
BY_GTIN_LOTS: Final = 10_000
LAST_LOT: Final = "\U0010ffff"

router = APIRouter()


@router.get("/balances", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_balances(
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    gtin: Annotated[str | None, Query(pattern=GTIN)] = None,
    lot: Annotated[str | None, Query(max_length=20, pattern=r"^[^\x00]*$")] = None,
    origin: Literal["domestic", "import", "unknown"] | None = None,
    atc: Annotated[str | None, Query(pattern=r"^[A-Z0-9]{1,7}$")] = None,
    by: Literal["lot", "gtin"] = "lot",
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """Packs a place, usable, blocked and expired stock, by lot or summed by GTIN."""
    on = asked.day(effective)
    after = decode_cursor(cursor, tuple[Number, str]) or (-1, "")
    async with asked.at(known) as (connection, cut):
        registry = await (
            asked.facts.registry(connection, cut)
            if gtin is None or atc is not None
            else asked.facts.registry_of(connection, cut, int(gtin))
        )
        products = None if atc is None else products_of(registry, atc, on)
        wanted = Wanted(None if gtin is None else int(gtin), lot, origin, products)
        most = limit if by == "lot" else BY_GTIN_LOTS
        origins = asked.origins(registry)
        found, following = await balances(connection, cut, on, origins, wanted, after=after, limit=most)
    if by == "gtin":
        items, following = _by_gtin(found, following, on, limit)
    else:
        items = [balance_item(item, on) for item in found]
    return json_response(page(items, following, **asked.head(cut, effective=on.isoformat())))


def _by_gtin(
    found: list[Balance], following: LotKey | None, on: date, limit: int
) -> tuple[list[dict[str, Any]], LotKey | None]:
    """Whole products only: the last one of a cut page begins the next."""
    if following is not None:
        whole = [item.lot.gtin for item in found if item.lot.gtin != found[-1].lot.gtin]
        if not whole:
            detail = f"one product has more than {BY_GTIN_LOTS} lots: ask by lot"
            raise Problem(422, "Too many lots", detail, [Fault("by", "range", detail)])
        following = (whole[-1], LAST_LOT)
        found = found[: len(whole)]
    sums = by_product(balance_item(item, on) for item in found)
    if len(sums) > limit:
        sums = sums[:limit]
        following = (int(sums[-1]["gtin"]), LAST_LOT)
    return sums, following


@router.get("/lots/{gtin}/{lot:path}", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_lot(
    gtin: str,
    lot: str,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """A lot's statement: origin, expiry, recall, and every transfer with its event."""
    if re.fullmatch(GTIN, gtin) is None:
        raise Invalid([Fault("gtin", "pattern", "a GTIN has 8 to 14 digits")])
    on, key = asked.day(effective), (int(gtin), lot)
    after = decode_cursor(cursor, tuple[Moment, Small, Small, Number, Small]) or NO_PLACE
    async with asked.at(known) as (connection, cut):
        origins = asked.origins(await asked.facts.registry_of(connection, cut, key[0]))
        found = None if "\0" in lot else await balance_of(connection, cut, on, origins, key)
        if found is None:
            detail = f"nothing is recorded of lot {lot} of {gtin_text(key[0])}"
            raise Problem(404, "Not recorded", detail, [Fault("lot", "not_recorded", detail)], code="not_recorded")
        body, following = await lot_statement(connection, cut, found, on, after, limit)
    transfers = body.pop("transfers")
    answer = page(transfers, following, **asked.head(cut, effective=on.isoformat()), **body)
    answer["transfers"] = answer.pop("items")
    return json_response(answer)


@router.get("/events/{source}/{id:path}", responses=NOT_FINAL)
async def get_event(
    source: str,
    id: str,
    asked: Annotated[Asked, Depends()],
    caller: Annotated[Principal, Depends(reader_or_producer)],
    known: Known = None,
) -> Response:
    """What became of an event. A producer sees its own alone."""
    if caller.role == PRODUCER and source.removeprefix("urn:gln:") not in caller.glns:
        raise forbidden("a producer sees its own events alone")
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
        body = await event_answer(connection, cut, source, id, registry) or await event_answer(
            connection, cut, unquote(source), unquote(id), registry
        )
    if body is None:
        detail = f"no event {id} of {source} is in the ledger at checkpoint {cut.n}"
        raise Problem(404, "Not recorded", detail, [Fault("id", "not_recorded", detail)], code="not_recorded")
    return json_response({**body, **asked.head(cut)})


@router.get("/ledger/checkpoints", dependencies=[Depends(reader)])
async def get_checkpoints(asked: Annotated[Asked, Depends()], limit: Limit, cursor: Cursor = None) -> Response:
    """Checkpoints, newest first; the signed ones are kept outside too, and name the signed one before."""
    before = decode_cursor(cursor, Number) or 2**62
    async with asked.at(None) as (connection, _):
        rows = await connection.fetch(
            "SELECT n, at, places::text, previous, key_id, signature FROM checkpoints"
            " WHERE n < $1 ORDER BY n DESC LIMIT $2",
            before,
            limit + 1,
        )
    items = [
        {
            "n": row[0],
            "at": row[1].isoformat(),
            "places": orjson.loads(row[2]),
            "previous": row[3],
            "key_id": row[4],
            "signature": row[5],
        }
        for row in rows[:limit]
    ]
    return json_response(page(items, rows[limit - 1][0] if len(rows) > limit else None))
