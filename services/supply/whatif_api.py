"""Answers what would be left if one source of supply stopped, and which sources' loss hurts most."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from services.supply.asked import NOT_FINAL, Asked, Effective, Known, Limit, OfScope, bounded, reader
from services.supply.market import Market
from services.supply.measure import market
from services.supply.reads import sales_at
from services.supply.scopes import is_one_product, parse_scope
from services.supply.whatif import Source, forecast, hardest, losses, product_json, ranked, shares
from shared.errors import Fault, Invalid
from shared.web import json_response

FORECAST_MONTHS: Final = 6
GLN: Final = "^[0-9]{13}$"

router = APIRouter()


@router.get("/whatif", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def what_if(
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    site: Annotated[str | None, Query(pattern=GLN)] = None,
    manufacturer: Annotated[str | None, Query(pattern=GLN)] = None,
    importer: Annotated[str | None, Query(pattern=GLN)] = None,
    country: Annotated[str | None, Query(pattern="^[A-Z]{2}$")] = None,
    scope: OfScope = "all",
    effective: Effective = None,
    known: Known = None,
) -> Response:
    """Shares and months of stock if that source stopped today, product by product; and whose loss hurts most."""
    told = {"site": site, "manufacturer": manufacturer, "importer": importer, "country": country}
    named = [Source(kind, key) for kind, key in told.items() if key is not None]  # type: ignore[arg-type]
    if len(named) > 1:
        detail = "name one source: site, manufacturer, importer or country"
        raise Invalid([Fault(item.kind, "one_of", detail) for item in named])
    try:
        parse_scope(scope)
    except ValueError as error:
        raise Invalid([Fault("scope", "pattern", str(error))]) from None
    on = asked.day(effective)

    async def answer() -> dict[str, Any]:
        async with asked.at(known) as (connection, cut):
            registry = await asked.facts.registry(connection, cut)
            sold = await sales_at(connection, cut, on, registry, ("trade", "introductions"))
        body = await asyncio.to_thread(_without, market(sold, "days_365", asked.origins(registry)), scope, named, limit)
        return {**asked.head(cut, effective=on.isoformat()), "scope": scope, **body}

    return json_response(await bounded(request, asked.settings.answer_timeout_seconds, answer()))


def _without(seen: Market, scope: str, named: list[Source], limit: int) -> dict[str, Any]:
    """At most `limit` products; of one product also a forecast."""
    body: dict[str, Any] = {"source": None, "shares": None, "products": []}
    if named:
        found = losses(seen, scope, named[0])
        hit = ranked(found)
        body = {
            "source": {"kind": named[0].kind, "key": named[0].key},
            "shares": shares(found, scope, seen),
            "products_hit": len(hit),
            "products": [product_json(loss) for loss in hit[:limit]],
        }
    if is_one_product(scope):
        body["forecast"] = [row for held in seen.of(scope) for row in forecast(held, FORECAST_MONTHS)]
    return {**body, "hardest": hardest(seen, scope)}
