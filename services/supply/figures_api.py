"""Answers questions about what the ledger comes to: indicators, and goals, obligations and anomalies as told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response

from services.supply.asked import NO_NUL, NOT_FINAL, Asked, Cursor, Effective, Known, Limit, items_of, reader
from services.supply.indicators import INDICATORS, parse_scope
from services.supply.measure import market
from services.supply.reads import sales_at
from shared.errors import Fault, Invalid, Problem
from shared.web import decode_cursor, json_response, page

MAX_DAYS: Final = 1_100  # most days of one series

router = APIRouter()


@router.get("/indicators", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_indicators(
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


@router.get("/goals", dependencies=[Depends(reader)])
async def get_goals(asked: Annotated[Asked, Depends()]) -> Response:
    """Every goal with its status, as last evaluated."""
    return json_response(await _goals(asked))


@router.get("/goals/{goal}", dependencies=[Depends(reader)])
async def get_goal(goal: str, asked: Annotated[Asked, Depends()]) -> Response:
    """One goal as last evaluated."""
    answer = await _goals(asked)
    found = next((item for item in answer.pop("items") if item["goal"] == goal), None)
    if found is None:
        detail = f"there is no goal {goal}, or nothing has been evaluated yet"
        raise Problem(404, "Not found", detail, [Fault("goal", "unknown", detail)])
    del answer["next"]
    return json_response({**answer, **found})


async def _goals(asked: Asked) -> dict[str, Any]:
    async with asked.at(None) as (connection, cut):
        row = await connection.fetchrow("SELECT checkpoint, body::text FROM evaluations WHERE name = 'newest'")
    if row is None:
        return page([], None, **asked.head(cut))
    body = orjson.loads(row[1])
    return page(body["goals"], None, checkpoint=row[0], known=body["known"], goals_hash=body["goals_hash"])


@router.get("/obligations", dependencies=[Depends(reader)])
async def get_obligations(
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    obligation: Annotated[str | None, Query(max_length=300, pattern=NO_NUL)] = None,
    state: Literal["open", "met", "cancelled"] | None = None,
    cursor: Cursor = None,
) -> Response:
    """Dated duties with the days left."""
    today = asked.clock.today()
    wanted = {"obligation": obligation, "state": state}
    return await _told(asked, "obligation/", wanted, limit, cursor, lambda item: _with_days_left(item, today))


def _with_days_left(item: dict[str, Any], today: date) -> dict[str, Any]:
    due = item["due_on"]
    left = (date.fromisoformat(due) - today).days if due and item["state"] == "open" else None
    return {**item, "days_left": left}


@router.get("/anomalies", dependencies=[Depends(reader)])
async def get_anomalies(
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    kind: Annotated[str | None, Query(max_length=100, pattern=NO_NUL)] = None,
    subject: Annotated[str | None, Query(max_length=2_000, pattern=NO_NUL)] = None,
    cursor: Cursor = None,
) -> Response:
    """What contradicts itself, or did; open ones have no `until`."""
    return await _told(asked, "anomaly/", {"kind": kind, "subject": subject}, limit, cursor, lambda item: item)


_TOLD = """
SELECT subject, data::text FROM signals WHERE subject > $1 AND starts_with(subject, $2) AND data @> $3::jsonb
ORDER BY subject LIMIT $4
"""


async def _told(
    asked: Asked,
    kind: str,
    wanted: dict[str, str | None],
    limit: int,
    cursor: str | None,
    shape: Callable[[dict[str, Any]], dict[str, Any]],
) -> Response:
    """The signals of one kind whose data has what is wanted, by subject."""
    after = decode_cursor(cursor, str) or kind
    given = orjson.dumps({name: value for name, value in wanted.items() if value is not None}).decode()
    async with asked.at(None) as (connection, cut):
        rows = await connection.fetch(_TOLD, after, kind, given, limit + 1)
    items = [shape(orjson.loads(row[1])) for row in rows[:limit]]
    return json_response(page(items, rows[limit - 1][0] if len(rows) > limit else None, **asked.head(cut)))
