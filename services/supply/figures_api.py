"""Answers questions about what the ledger comes to: the indicators on a day, or day by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from services.supply.asked import Asked, Cursor, Effective, Known, Limit, reader
from services.supply.indicators import INDICATORS, parse_scope
from services.supply.measure import market
from services.supply.reads import sales_at
from shared.errors import Fault, Invalid
from shared.web import decode_cursor, json_response, page

MAX_DAYS: Final = 1_100  # most days of one series

router = APIRouter()


@router.get("/indicators", dependencies=[Depends(reader)])
async def get_indicators(
    asked: Annotated[Asked, Depends()],
    name: str | None = None,
    scope: str | None = None,
    effective: Effective = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    known: Known = None,
    limit: Limit = 1_000,
    cursor: Cursor = None,
) -> Response:
    """Indicators on a day, or one value a day `from` … `to`."""
    names, scopes = wanted_figures(name, scope, asked)
    days = days_of(asked.day(effective), first, last)
    skip = decode_cursor(cursor, int) or 0
    whole = [(day, item, where) for day in days for item in names for where in scopes]
    shown = whole[skip : skip + limit]
    items = []
    async with asked.at(known) as (connection, cut):
        registry = await asked.facts.registry(connection, cut)
        for day in sorted({day for day, _, _ in shown}):
            sold = await sales_at(connection, cut, day, registry)
            seen = market(sold, "days_365", frozenset(asked.settings.domestic_local_steps))
            items += [INDICATORS[item](where, seen).as_json() for at, item, where in shown if at == day]
    following = skip + limit if skip + limit < len(whole) else None
    return json_response(page(items, following, **asked.head(cut)))


def wanted_figures(name: str | None, scope: str | None, asked: Asked) -> tuple[list[str], list[str]]:
    """Names and scopes: those asked for, else every indicator and every scope of a goal. Raises Invalid."""
    if name is not None and name not in INDICATORS:
        raise Invalid([Fault("name", "unknown", f"no indicator {name}; there are {', '.join(sorted(INDICATORS))}")])
    if scope is not None:
        try:
            parse_scope(scope)
        except ValueError as error:
            raise Invalid([Fault("scope", "pattern", str(error))]) from None
    scopes = [scope] if scope else sorted({"all", *(goal.scope for goal in asked.goals)})
    return [name] if name else sorted(INDICATORS), scopes


def days_of(today: date, first: date | None, last: date | None) -> list[date]:
    """The days of a series; of none asked for, today. Raises Invalid."""
    if first is None and last is None:
        return [today]
    start, end = first or last or today, last or today
    if start > end:
        raise Invalid([Fault("from", "range", "'from' lies after 'to'")])
    if (end - start).days >= MAX_DAYS:
        raise Invalid([Fault("from", "range", f"at most {MAX_DAYS} days in one answer")])
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]
