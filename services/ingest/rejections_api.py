"""GET /rejections and their replay: a producer sees and replays its own, operators all; viewers see no raw record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

from fastapi import APIRouter, Depends, Path, Query, Response
from msgspec import Meta

from services.ingest.rejection import OPEN, item, raw
from services.ingest.rejections import Filter, Position, Rejections
from services.ingest.replay import Replayed, Replayer
from services.ingest.settings import IngestSettings
from shared.access import require
from shared.errors import Fault, Invalid, Problem
from shared.events import fields
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.web import decode_cursor, json_response, page

_Reader = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
_Replayer = Annotated[Principal, Depends(require(PRODUCER, OPERATOR, ADMIN))]
_Id = Annotated[int, Path(ge=1, lt=2**63)]
_Word = Query(pattern=r"^[a-z0-9._-]{1,249}$")
_Limit = Annotated[int, Query(ge=1)]
DEFAULT_LIMIT: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Cursor(NamedTuple):
    """A Position, in microseconds of the Unix epoch up to the year 2200."""

    received_us: Annotated[int, Meta(ge=0, le=7_258_118_400_000_000)]
    id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


def _position(cursor: str | None) -> Position | None:
    found = decode_cursor(cursor, _Cursor)
    return None if found is None else (_EPOCH + found.received_us * _MICROSECOND, found.id)


def _cursor(position: Position) -> _Cursor:
    received_at, id = position
    return _Cursor((received_at - _EPOCH) // _MICROSECOND, id)


def _wanted(
    producer: Annotated[str | None, _Word] = None,
    kind: Literal["rejected", "incomplete"] | None = None,
    code: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,60}$")] = None,
    topic: Annotated[str | None, _Word] = None,
    state: Literal["open", "replayed"] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Filter:
    return Filter(producer, kind, code, topic, state, _moment("since", since), _moment("until", until))


def _moment(name: str, value: datetime | None) -> datetime | None:
    """Raises Invalid for a time without an offset, or one that no event has."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise Invalid([Fault(name, "time", "a time is RFC 3339 with an offset, e.g. 2026-11-23T16:20:00+07:00")])
    if not fields.FIRST_YEAR < value.year < fields.LAST_YEAR:
        raise Invalid([Fault(name, "range", f"the year is not within {fields.FIRST_YEAR} to {fields.LAST_YEAR}")])
    return value.astimezone(UTC)


_Filter = Annotated[Filter, Depends(_wanted)]


def router(settings: IngestSettings, rejections: Rejections, replayer: Replayer) -> APIRouter:
    routes = APIRouter()

    @routes.get("/rejections")
    async def list_rejections(
        reader: _Reader, wanted: _Filter, limit: _Limit = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Response:
        limit = _within(limit, settings.page_limit)
        mine = _own(wanted, reader)
        if mine is None:
            return json_response(page([], None))
        rows = await rejections.page(mine, _position(cursor), limit + 1)
        shown = rows[:limit]
        following = _cursor((shown[-1].received_at, shown[-1].id or 0)) if len(rows) > limit else None
        return json_response(page([item(row) for row in shown], following))

    @routes.get("/rejections/{id}")
    async def show_rejection(id: _Id, reader: _Reader) -> Response:
        row = await rejections.one(id, _only(reader))
        if row is None:
            raise _not_found(id)
        return json_response(item(row) if reader.role == VIEWER else {**item(row), "raw": raw(row)})

    @routes.post("/rejections/replay")
    async def replay_many(
        caller: _Replayer, wanted: _Filter, limit: _Limit = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Response:
        limit = _within(limit, settings.replay_limit_rejections)
        mine = _own(wanted, caller)
        if mine is None:
            return json_response(page([], None))
        waiting = mine if mine.state else replace(mine, state=OPEN)
        found = await rejections.positions(waiting, _position(cursor), limit + 1)
        replayed = await replayer.replay([id for _, id in found[:limit]], caller.key_id)
        following = _cursor(found[limit - 1]) if len(found) > limit else None
        return json_response(page([_outcome(one) for one in replayed], following))

    @routes.post("/rejections/{id}/replay")
    async def replay_one(id: _Id, caller: _Replayer) -> Response:
        if await rejections.one(id, _only(caller)) is None:
            raise _not_found(id)
        (replayed,) = await replayer.replay([id], caller.key_id)
        return json_response(_outcome(replayed))

    return routes


def _within(limit: int, most: int) -> int:
    if limit > most:
        raise Invalid([Fault("limit", "range", f"at most {most}")])
    return limit


def _only(caller: Principal) -> str | None:
    """The one producer whose rejections `caller` may know of; None: all."""
    return caller.name if caller.role == PRODUCER else None


def _own(wanted: Filter, caller: Principal) -> Filter | None:
    """`wanted`, of what the caller may know of; None if that is nothing."""
    only = _only(caller)
    if only is None:
        return wanted
    if wanted.producer not in (None, only):
        return None
    return replace(wanted, producer=only)


def _not_found(id: int) -> Problem:
    detail = f"there is no rejection {id}"
    return Problem(404, "Not Found", detail, [Fault("id", "not_found", detail)])


def _outcome(one: Replayed) -> dict[str, Any]:
    if one.refused is not None:
        return {"id": one.id, "outcome": "rejected", "code": one.refused.code, "detail": one.refused.detail}
    accepted = [{"id": event.id, "type": event.type, **event.place._asdict()} for event in one.events]
    return {"id": one.id, "outcome": "accepted", "accepted": accepted}
