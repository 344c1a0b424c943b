"""Answers questions about the book itself: balances, a lot's statement, what became of an event, checkpoints."""

from __future__ import annotations

import re
from datetime import UTC, datetime
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
from services.supply.asof import lots_at
from services.supply.lot import LotState, gtin_text
from services.supply.registry import Registry
from services.supply.statements import balance_item, balances, event_answer, lot_statement, products_of
from shared.access import forbidden
from shared.errors import Fault, Invalid, Problem
from shared.keys import PRODUCER, Principal
from shared.web import decode_cursor, json_response, page

NO_PLACE: Final = (datetime(1970, 1, 1, tzinfo=UTC), 0, 0, 0, -1)
BY_GTIN_LOTS: Final = 10_000

router = APIRouter()


@router.get("/balances", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_balances(
    asked: Annotated[Asked, Depends()],
    gtin: Annotated[str | None, Query(pattern=GTIN)] = None,
    lot: Annotated[str | None, Query(max_length=20, pattern=r"^[^\x00]*$")] = None,
    origin: Literal["domestic", "import", "unknown"] | None = None,
    atc: Annotated[str | None, Query(pattern=r"^[A-Z0-9]{1,7}$")] = None,
    by: Literal["lot", "gtin"] = "lot",
    effective: Effective = None,
    known: Known = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Packs a place, usable, blocked and expired stock, by lot or summed by GTIN."""
    on = asked.day(effective)
    after = decode_cursor(cursor, tuple[Number, str]) or (-1, "")
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
        products = None if atc is None else products_of(registry, atc, on)
        states, following = await balances(
            connection,
            cut,
            on,
            after=after,
            limit=limit if by == "lot" else BY_GTIN_LOTS,
            gtin=None if gtin is None else int(gtin),
            lot=lot,
            origin=origin,
            products=products,
        )
    items: list[dict[str, Any]] = [balance_item(state, registry, on) for state in states]
    if by == "gtin":
        items, following = _by_gtin(items, states, following, limit)
    return json_response(page(items, following, **asked.head(cut, effective=on.isoformat())))


def _by_gtin(
    items: list[dict[str, Any]], states: list[LotState], following: tuple[int, str] | None, limit: int
) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
    """Whole products only: the last one of a cut page begins the next."""
    if following is not None:
        whole = [state.gtin for state in states if state.gtin != states[-1].gtin]
        if not whole:
            detail = f"one product has more than {BY_GTIN_LOTS} lots: ask by lot"
            raise Problem(422, "Too many lots", detail, [Fault("by", "range", detail)])
        following = (whole[-1], "\U0010ffff")
    sums: dict[str, dict[str, Any]] = {}
    for item, state in zip(items, states, strict=True):
        if following is not None and state.gtin > following[0]:
            break
        _add_to(sums, item, state)
    wanted = list(sums.values())
    if len(wanted) > limit:
        wanted = wanted[:limit]
        following = (int(wanted[-1]["gtin"]), "\U0010ffff")
    return wanted, following


def _add_to(sums: dict[str, dict[str, Any]], item: dict[str, Any], state: LotState) -> None:
    total = sums.get(item["gtin"])
    if total is None:
        sums[item["gtin"]] = {**item, "lot": None, "places": dict(item["places"])}
        return
    for name, packs in item["places"].items():
        total["places"][name] += packs
    for name in ("usable", "blocked", "expired"):
        total[name] += item[name]
    if state.named and total["origin"] != item["origin"]:
        total["origin"] = item["origin"] if total["origin"] == "unknown" else "unknown"


@router.get("/lots/{gtin}/{lot:path}", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_lot(
    gtin: str,
    lot: str,
    asked: Annotated[Asked, Depends()],
    effective: Effective = None,
    known: Known = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """A lot's statement: origin, expiry, recall, and every transfer with its event."""
    if re.fullmatch(GTIN, gtin) is None:
        raise Invalid([Fault("gtin", "pattern", "a GTIN has 8 to 14 digits")])
    on = asked.day(effective)
    after = decode_cursor(cursor, tuple[Moment, Small, Small, Number, Small]) or NO_PLACE
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
        states = [] if "\0" in lot else await lots_at(connection, cut, on, [(int(gtin), lot)])
        state = next(iter(states), None)
        if state is None:
            state = _marked_only(int(gtin), lot, registry)
        body, following = await lot_statement(connection, cut, state, registry, on, after, limit)
    transfers = body.pop("transfers")
    answer = page(transfers, following, **asked.head(cut, effective=on.isoformat()), **body)
    answer["transfers"] = answer.pop("items")
    return json_response(answer)


def _marked_only(gtin: int, lot: str, registry: Registry) -> LotState:
    """A lot that was recalled or counted before anything of it moved. Raises Problem 404 for one never named."""
    recalled = any(getattr(fact.data, "lot", None) == lot for fact in registry.recalls.get(gtin, ()))
    if not recalled and (gtin, lot) not in registry.counts:
        detail = f"nothing is recorded of lot {lot} of {gtin_text(gtin)}"
        raise Problem(404, "Not recorded", detail, [Fault("lot", "not_recorded", detail)], code="not_recorded")
    return LotState(gtin, lot, (0,) * 11, 0, 0, None, None, None)


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
async def get_checkpoints(asked: Annotated[Asked, Depends()], limit: Limit = 100, cursor: Cursor = None) -> Response:
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
