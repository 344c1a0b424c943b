"""Answers questions about what the ledger comes to: the indicators on a day, or day by day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from services.supply.asked import NOT_FINAL, Asked, Cursor, Effective, Known, bounded, items_of, reader
from services.supply.asof import Cut
from services.supply.by_day import Connection, market_days_at
from services.supply.explain_api import explain_of
from services.supply.indicators import INDICATORS, indicator, measure, needs
from services.supply.measure import Sales, market
from services.supply.scopes import parse_scope
from services.supply.supplied import Window
from shared.errors import Fault, Invalid
from shared.web import decode_cursor, json_response, page

MAX_DAYS: Final = 1_100  # most days of one series
WINDOW: Final[Window] = "days_365"

router = APIRouter()


@router.get("/indicators", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_indicators(
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Annotated[int, items_of(1_000)],
    name: str | None = None,
    scope: str | None = None,
    effective: Effective = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """Indicators on a day, or one value a day `from` … `to`."""
    names, scopes = wanted_figures(name, scope, asked)
    days = days_of(asked.day(effective), first, last)
    skip = decode_cursor(cursor, int) or 0
    whole = [(day, item, where) for day in days for item in names for where in scopes]
    shown = whole[skip : skip + limit]
    following = skip + limit if skip + limit < len(whole) else None

    async def answer() -> dict[str, Any]:
        async with asked.at(known) as (connection, cut):
            items = await _measured(connection, cut, asked, shown)
        known_at = cut.at.isoformat() if cut.n else None
        for item in items:
            item["links"] = {"explain": explain_of(item["name"], item["scope"], item["on"], WINDOW, known_at)}
        return page(items, following, **asked.head(cut))

    with ExitStack() as held:
        if len({day for day, _, _ in shown}) > 1:
            held.enter_context(request.app.state.series.one())
        return json_response(await bounded(request, asked.settings.answer_timeout_seconds, answer()))
    raise AssertionError("an exit stack swallows nothing")


async def _measured(
    connection: Connection, cut: Cut, asked: Asked, wanted: Sequence[tuple[date, str, str]]
) -> list[dict[str, Any]]:
    """The items for days, names and scopes, by rising day."""
    if not wanted:
        return []
    registry = await asked.facts.registry(connection, cut)
    origins = asked.origins(registry)
    by_day = {day: [(name, scope) for _, name, scope in group] for day, group in groupby(wanted, key=itemgetter(0))}

    def measured(sold: Sales) -> list[dict[str, Any]]:
        seen = market(sold, WINDOW, origins)
        return [measure(name, scope, seen).as_json() for name, scope in by_day[sold.on]]

    items = []
    needed = needs({name for _, name, _ in wanted})
    timeout_seconds = asked.settings.answer_timeout_seconds
    async for sold in market_days_at(connection, cut, list(by_day), WINDOW, origins, needed, timeout_seconds):
        items += await asyncio.to_thread(measured, sold)
    return items


def wanted_figures(name: str | None, scope: str | None, asked: Asked) -> tuple[list[str], list[str]]:
    """Names and scopes: those asked for, else every indicator and every scope of a goal. Raises Invalid."""
    if name is not None and indicator(name) is None:
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
