"""Answers what stands behind one value: the formula, the inputs with their figures, products, and event by event."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from services.supply.asked import NOT_FINAL, Asked, Cursor, Effective, Known, Limit, OfInput, OfScope, bounded, reader
from services.supply.behind import Behind, behind, heaviest
from services.supply.explain import At, events_of
from services.supply.figures import Measured
from services.supply.indicators import Indicator, indicator, measure, needs
from services.supply.market import Market
from services.supply.measure import market
from services.supply.reads import sales_at
from services.supply.scopes import parse_scope
from services.supply.supplied import Window
from shared.errors import Fault, Invalid, Problem
from shared.language import translatable
from shared.web import decode_cursor, json_response, page

router = APIRouter()


@router.get("/indicators/{name}/explain", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def explain_indicator(
    name: str,
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    scope: OfScope = "all",
    effective: Effective = None,
    known: Known = None,
    window: Window = "days_365",
    about: OfInput = None,
    cursor: Cursor = None,
) -> Response:
    """One value with formula, inputs, products, and page by page the events behind each input (or `input` alone)."""
    found = indicator(name)
    if found is None:
        raise Problem(
            404, "Not found", f"there is no indicator {name}", [Fault("name", "unknown", f"no indicator {name}")]
        )
    try:
        parse_scope(scope)
    except ValueError as error:
        raise Invalid([Fault("scope", "pattern", str(error))]) from None
    at, on = decode_cursor(cursor, At) or At(), asked.day(effective)

    async def answer() -> dict[str, Any]:
        async with asked.at(known) as (connection, cut):
            registry = await asked.facts.registry(connection, cut)
            sold = await sales_at(connection, cut, on, registry, needs([name]))
            seen = market(sold, window, asked.origins(registry))
            value, inputs, products = await asyncio.to_thread(_measured, name, scope, seen, first=cursor is None)
            wanted = [item for item in inputs if about in (None, item.input)]
            items, following = await events_of(connection, cut, wanted, at, limit)
        query = {"scope": scope, "effective": on.isoformat(), "window": window}
        if cut.n:
            query["known"] = cut.at.isoformat()
        body = {**value.as_json(), **_explained(found, value, inputs, query), "products": products}
        return page(items, following, **asked.head(cut, effective=on.isoformat()), **body)

    return json_response(await bounded(request, asked.settings.answer_timeout_seconds, answer()))


def _measured(
    name: str, scope: str, seen: Market, *, first: bool
) -> tuple[Measured, list[Behind], list[dict[str, Any]]]:
    """The value, what stands behind it, and on the first page the products that weigh most."""
    return measure(name, scope, seen), behind(name, scope, seen), _products(name, scope, seen) if first else []


def _explained(found: Indicator, value: Measured, inputs: list[Behind], query: dict[str, str]) -> dict[str, Any]:
    events = {item.input: explain_link(found.name, {**query, "input": item.input}) for item in inputs}
    named = {*value.inputs, *events}
    return {
        "formula": found.formula,
        "unit": value.inputs.get("unit", found.unit),
        "window": query["window"],
        "terms": [
            {
                "input": name,
                "value": value.inputs.get(name),
                "meaning": meaning_of(found, name),
                "links": {"events": events[name]} if name in events else {},
            }
            for name in sorted(named, key=lambda name: (name not in value.inputs, name))
        ],
    }


def meaning_of(found: Indicator, name: str) -> str:
    """What an input means; those by country or class are named by what they begin with."""
    if name in found.inputs:
        return found.inputs[name]
    if name in _BESIDE:
        return _BESIDE[name]
    return next(
        (said for begins, said in found.inputs.items() if begins in ("", "to_") and name.startswith(begins)), ""
    )


_BESIDE: Final = {
    "products": translatable("registrations, recalls and prices that give the lots their unit, block and price"),
    "not_counted": translatable("lots of unknown origin or without a unit: in neither sum, they lower the coverage"),
    "released": translatable("the lots that were released"),
    "produced": translatable("the lots that were made"),
}


def _products(name: str, scope: str, seen: Market) -> list[dict[str, Any]]:
    """The scope's products that supplied most, each with its own value in packs."""
    shown = []
    for gtin, product, measured in heaviest(name, scope, seen):
        own = measured.as_json()
        query = {"scope": own["scope"], "effective": own["on"], "window": seen.window}
        shown.append({"gtin": gtin, "product": product, **own, "links": {"explain": explain_link(name, query)}})
    return shown


def explain_link(name: str, query: dict[str, str]) -> str:
    return f"/indicators/{name}/explain?{urlencode(query)}"


def explain_of(name: str, scope: str, on: str, window: Window, known: str | None) -> str:
    """The address that explains a value."""
    query: dict[str, str] = {"scope": scope, "effective": on, "window": window}
    return explain_link(name, query if known is None else {**query, "known": known})
