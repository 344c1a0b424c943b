"""Answers what alerts are told too: goals, obligations, anomalies.

Asked for no day and no moment: as last told, what has ended too, with the checkpoint on which that rests. Asked for
one: as known at that moment and in effect on that day, worked out anew by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from services.supply import rhythm
from services.supply.anomalies import LOT_KINDS, Anomaly
from services.supply.asked import NO_NUL, NOT_FINAL, Asked, Cursor, Effective, Known, Limit, bounded, reader
from services.supply.cross_checks import KINDS as CROSS_KINDS
from services.supply.explain import event_link
from services.supply.explain_api import explain_of
from services.supply.odd import CORRECTION_KINDS, RECORD_KINDS
from services.supply.origin import Origins
from services.supply.reads import anomalies_at, duties_at, goals_at
from shared.errors import Fault, Problem
from shared.web import decode_cursor, json_response, page

KINDS = (*LOT_KINDS, *CROSS_KINDS, rhythm.KIND, *RECORD_KINDS, *CORRECTION_KINDS)
Item = dict[str, Any]
Wanted = dict[str, str | None]

router = APIRouter()


@router.get("/goals", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_goals(
    request: Request, asked: Annotated[Asked, Depends()], effective: Effective = None, known: Known = None
) -> Response:
    """Every goal with its status."""
    return json_response(await _goals(request, asked, effective, known))


@router.get("/goals/{goal}", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_goal(
    goal: str, request: Request, asked: Annotated[Asked, Depends()], effective: Effective = None, known: Known = None
) -> Response:
    """One goal."""
    answer = await _goals(request, asked, effective, known)
    found = next((item for item in answer.pop("items") if item["goal"] == goal), None)
    if found is None:
        detail = f"there is no goal {goal}, or nothing has been evaluated yet"
        raise Problem(404, "Not found", detail, [Fault("goal", "unknown", detail)])
    del answer["next"]
    return json_response({**answer, **found})


async def _goals(request: Request, asked: Asked, effective: date | None, known: datetime | None) -> Item:
    if effective is None and known is None:
        async with asked.at(None) as (connection, cut):
            row = await connection.fetchrow(_EVALUATION)
        if row is None:
            return page([], None, **asked.head(cut))
        return page([_with_links(item, row[2]) for item in orjson.loads(row[4])], None, **_rests_on(row))

    async def folded() -> Item:
        on, steps = asked.day(effective), frozenset(asked.settings.domestic_local_steps)
        async with asked.at(known) as (connection, cut):
            registry = await asked.facts.registry(connection, cut)
            items = await goals_at(connection, cut, on, registry, asked.goals, steps)
        known_at = cut.at.isoformat() if cut.n else None
        shown = [_with_links(item.as_json(), known_at) for item in items]
        return page(shown, None, **asked.head(cut, effective=on.isoformat()))

    return await bounded(request, asked.settings.answer_timeout_seconds, folded())


@router.get("/obligations", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_obligations(
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    obligation: Annotated[str | None, Query(max_length=300, pattern=NO_NUL)] = None,
    state: Literal["open", "met", "cancelled"] | None = None,
    kind: Annotated[str | None, Query(max_length=100, pattern=NO_NUL)] = None,
    subject: Annotated[str | None, Query(max_length=300, pattern=NO_NUL)] = None,
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """Dated duties with the days left."""
    on = asked.day(effective)
    wanted = {"obligation": obligation, "state": state, "kind": kind, "subject": subject}
    after = decode_cursor(cursor, str) or "obligation/"
    if effective is None and known is None:
        answer = await _told(asked, "obligation/", wanted, limit, after, lambda item: _with_days_left(item, on))
        return json_response(answer)

    async def folded() -> Item:
        async with asked.at(known) as (connection, cut):
            origins = Origins(
                await asked.facts.registry(connection, cut), frozenset(asked.settings.domestic_local_steps)
            )
            duties = await duties_at(connection, cut, on, origins)
        found = {f"obligation/{item.obligation}": _with_days_left(item.as_json(), on) for item in duties}
        shown = sorted(key for key, item in found.items() if key > after and _is_wanted(item, wanted))[: limit + 1]
        following = shown[limit - 1] if len(shown) > limit else None
        return page([found[key] for key in shown[:limit]], following, **asked.head(cut, effective=on.isoformat()))

    return json_response(await bounded(request, asked.settings.answer_timeout_seconds, folded()))


def _with_links(goal: Item, known: str | None) -> Item:
    """A goal with the addresses of what stands behind it, as known when it was judged."""
    explain = explain_of(goal["indicator"], goal["scope"], goal["on"], goal.get("window", "days_365"), known)
    return {**goal, "links": {"goal": f"/goals/{quote(goal['goal'], safe='')}", "explain": explain}}


def _with_days_left(item: Item, on: date) -> Item:
    due = item["due_on"]
    left = (date.fromisoformat(due) - on).days if due and item["state"] == "open" else None
    return _with_events({**item, "days_left": left})


def _with_events(item: Item) -> Item:
    """With the addresses of the events that show it."""
    return {**item, "links": {"events": [event_link(event["source"], event["id"]) for event in item.get("events", ())]}}


def _is_wanted(item: Item, wanted: Wanted) -> bool:
    return all(value is None or item[name] == value for name, value in wanted.items())


@router.get("/anomalies", dependencies=[Depends(reader)], responses=NOT_FINAL)
async def get_anomalies(
    request: Request,
    asked: Annotated[Asked, Depends()],
    limit: Limit,
    kind: Annotated[str | None, Query(max_length=100, pattern=NO_NUL)] = None,
    subject: Annotated[str | None, Query(max_length=2_000, pattern=NO_NUL)] = None,
    effective: Effective = None,
    known: Known = None,
    cursor: Cursor = None,
) -> Response:
    """What contradicts itself; as last told also what did: open ones have no `until`."""
    after = decode_cursor(cursor, str) or "anomaly/"
    if effective is None and known is None:
        wanted = {"kind": kind, "subject": subject}
        return json_response(await _told(asked, "anomaly/", wanted, limit, after, _with_events))

    async def folded() -> Item:
        on, kinds = asked.day(effective), [name for name in KINDS if kind in (None, name)]
        found = First(limit + 1, after.removeprefix("anomaly/"))
        async with asked.at(known) as (connection, cut):
            registry = await asked.facts.registry(connection, cut)
            async for part in anomalies_at(connection, cut, on, kinds, registry):
                found.take(item for item in part if subject in (None, item.subject))
        shown = found.anomalies()
        following = f"anomaly/{shown[limit - 1].key}" if len(shown) > limit else None
        items = [_with_events(item.as_json()) for item in shown[:limit]]
        return page(items, following, **asked.head(cut, effective=on.isoformat()))

    return json_response(await bounded(request, asked.settings.answer_timeout_seconds, folded()))


class First:
    """The first `size` anomalies after a key, in the order of their keys, of however many are shown to it."""

    def __init__(self, size: int, after: str) -> None:
        self._size = size
        self._after = after
        self._held: dict[str, Anomaly] = {}

    def take(self, found: Iterable[Anomaly]) -> None:
        """Of several with one key the earliest counts."""
        for anomaly in found:
            if anomaly.key <= self._after:
                continue
            held = self._held.get(anomaly.key)
            if held is None or anomaly.rank < held.rank:
                self._held[anomaly.key] = anomaly
                if len(self._held) > 2 * self._size:
                    self._held = {item.key: item for item in self.anomalies()}

    def anomalies(self) -> list[Anomaly]:
        return [self._held[key] for key in sorted(self._held)[: self._size]]


_EVALUATION = """
SELECT checkpoint, "on", body->>'known', body->>'goals_hash', body->'goals' FROM evaluations WHERE name = 'newest'
"""
_TOLD = """
SELECT subject, data::text FROM signals WHERE subject > $1 AND starts_with(subject, $2) AND data @> $3::jsonb
ORDER BY subject LIMIT $4
"""


def _rests_on(row: Any) -> Item:
    """What an answer rests on that is as last told."""
    return {"effective": row[1].isoformat(), "checkpoint": row[0], "known": row[2], "goals_hash": row[3]}


async def _told(asked: Asked, kind: str, wanted: Wanted, limit: int, after: str, shape: Callable[[Item], Item]) -> Item:
    """The signals of one kind whose data has what is wanted, by subject."""
    given = orjson.dumps({name: value for name, value in wanted.items() if value is not None}).decode()
    async with asked.at(None) as (connection, cut):
        evaluation = await connection.fetchrow(_EVALUATION)
        rows = await connection.fetch(_TOLD, after, kind, given, limit + 1)
    head = asked.head(cut) if evaluation is None else _rests_on(evaluation)
    items = [shape(orjson.loads(row[1])) for row in rows[:limit]]
    return page(items, rows[limit - 1][0] if len(rows) > limit else None, **head)
