"""GET /rejections and their replay, as JSON or pages: a producer sees and replays its own, operators all.

Viewers see no raw record.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import Meta

from services.ingest.rejection import INCOMPLETE, OPEN, REJECTED, REPLAYED, item, raw
from services.ingest.rejection_answers import RejectionDetails, RejectionList, ReplayList, ReplayOutcome
from services.ingest.rejection_shown import sent
from services.ingest.rejections import Filter, Position, Rejections
from services.ingest.replay import Replayed, Replayer
from services.ingest.settings import IngestSettings
from services.ingest.tables import Rejection
from shared.access import require
from shared.asked import MAY_BE_EMPTY, Cursor, Moment, moment
from shared.audit import Author
from shared.clock import rfc3339
from shared.errors import Fault, Invalid, Problem
from shared.forms import FORM, REASON_FIELD, TOKEN_FIELD, require_author
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.pages import ANSWERS, Pages, wants_page
from shared.web import LIMIT_DEFAULT, Limit, decode_cursor, json_response, page

_REPLAYERS: Final = (PRODUCER, OPERATOR, ADMIN)
_Reader = Annotated[Principal, Depends(require(PRODUCER, VIEWER, OPERATOR, ADMIN))]
_Replayer = Annotated[Author, Depends(require_author(*_REPLAYERS))]
_Id = Annotated[int, Path(ge=1, lt=2**63)]
_Word = Annotated[str | None, Query(pattern=r"^[a-z0-9._-]{1,249}$"), MAY_BE_EMPTY]
_Code = Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,60}$"), MAY_BE_EMPTY]
_Kind = Annotated[Literal["rejected", "incomplete"] | None, MAY_BE_EMPTY]
_State = Annotated[Literal["open", "replayed"] | None, MAY_BE_EMPTY]
_ReplayLimit = Annotated[int, Query(ge=1)]
FILTERS: Final = ("producer", "kind", "code", "topic", "state", "since", "until")
# What a page of ours sends; whoever has a key needs no body.
_FIELDS: Final = {name: {"type": "string"} for name in (TOKEN_FIELD, REASON_FIELD)}
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": False,
        "content": {FORM: {"schema": {"type": "object", "properties": _FIELDS}}},
    }
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Key(NamedTuple):
    """A Position, in microseconds of the Unix epoch up to the year 2200."""

    received_us: Annotated[int, Meta(ge=0, le=7_258_118_400_000_000)]
    id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


def _position(cursor: str | None) -> Position | None:
    found = decode_cursor(cursor, _Key)
    return None if found is None else (_EPOCH + found.received_us * _MICROSECOND, found.id)


def _key(position: Position) -> _Key:
    received_at, id = position
    return _Key((received_at - _EPOCH) // _MICROSECOND, id)


def _wanted(
    producer: _Word = None,
    kind: _Kind = None,
    code: _Code = None,
    topic: _Word = None,
    state: _State = None,
    since: Moment = None,
    until: Moment = None,
) -> Filter:
    return Filter(producer, kind, code, topic, state, moment("since", since), moment("until", until))


_Filter = Annotated[Filter, Depends(_wanted)]


def router(settings: IngestSettings, rejections: Rejections, replayer: Replayer, pages: Pages) -> APIRouter:
    routes = APIRouter()

    def one_page(
        request: Request, row: Rejection, reader: Principal | Author, outcome: dict[str, Any] | None = None
    ) -> Response:
        """`outcome`: what has just become of it."""
        shown = None if reader.role == VIEWER else sent(row)
        may_replay = reader.role in _REPLAYERS
        return pages.show(
            request,
            "rejection.html",
            **item(row),
            sent=shown,
            at=row.at and rfc3339(row.at),
            may_replay=may_replay,
            outcome=outcome,
        )

    @routes.get("/rejections", response_model=RejectionList, responses=ANSWERS)
    async def list_rejections(
        request: Request, reader: _Reader, wanted: _Filter, limit: Limit, cursor: Cursor = None
    ) -> Response:
        """What was refused or is incomplete, newest first."""
        mine = _own(wanted, reader)
        rows = [] if mine is None else await rejections.page(mine, _position(cursor), limit + 1)
        shown = rows[:limit]
        following = _key((shown[-1].received_at, shown[-1].id or 0)) if len(rows) > limit else None
        told = page([item(row) for row in shown], following)
        if not wants_page(request):
            return json_response(told)
        asked = _asked(request)
        return pages.show(
            request,
            "rejections.html",
            items=told["items"],
            more=_link("/rejections", {**asked, "limit": str(limit)}, told["next"]),
            asked={**dict.fromkeys(FILTERS, ""), **asked},
            kinds=(REJECTED, INCOMPLETE),
            states=(OPEN, REPLAYED),
            replay_all=_link("/rejections/replay", asked, "") if reader.role in _REPLAYERS else None,
            everyones=reader.role != PRODUCER,
            begun=bool(request.query_params.get("cursor")),
        )

    @routes.get("/rejections/{id}", response_model=RejectionDetails, responses=ANSWERS)
    async def show_rejection(request: Request, id: _Id, reader: _Reader) -> Response:
        """One of them, with what was sent."""
        row = await rejections.one(id, _only(reader))
        if row is None:
            raise _not_found(id)
        if wants_page(request):
            return one_page(request, row, reader)
        return json_response(item(row) if reader.role == VIEWER else {**item(row), "raw": raw(row)})

    @routes.post("/rejections/replay", response_model=ReplayList, responses={**ANSWERS, 415: {}}, openapi_extra=_FORM)
    async def replay_many(
        request: Request,
        caller: _Replayer,
        wanted: _Filter,
        limit: _ReplayLimit = LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> Response:
        """Judges once more what the filters mean, oldest first; open ones unless `state` says otherwise."""
        limit = _within(limit, settings.replay_limit_rejections)
        mine = _own(wanted, caller)
        waiting = None if mine is None else mine if mine.state else replace(mine, state=OPEN)
        found = [] if waiting is None else await rejections.positions(waiting, _position(cursor), limit + 1)
        replayed = await replayer.replay([id for _, id in found[:limit]], caller)
        told = page([_outcome(one) for one in replayed], _key(found[limit - 1]) if len(found) > limit else None)
        if not wants_page(request):
            return json_response(told)
        asked = _asked(request)
        more = _link("/rejections/replay", asked, told["next"])
        return pages.show(
            request, "replayed.html", items=told["items"], more=more, back=_link("/rejections", asked, "")
        )

    @routes.post(
        "/rejections/{id}/replay", response_model=ReplayOutcome, responses={**ANSWERS, 415: {}}, openapi_extra=_FORM
    )
    async def replay_one(request: Request, id: _Id, caller: _Replayer) -> Response:
        """Judges it once more, by today's rules and the producer's authority."""
        if await rejections.one(id, _only(caller)) is None:
            raise _not_found(id)
        (replayed,) = await replayer.replay([id], caller)
        outcome = _outcome(replayed)
        if not wants_page(request):
            return json_response(outcome)
        row = await rejections.one(id, _only(caller))
        assert row is not None, "a rejection is never deleted"
        return one_page(request, row, caller, outcome)

    return routes


def _asked(request: Request) -> dict[str, str]:
    """The filters that the caller has set, as they came."""
    return {name: value for name in FILTERS if (value := request.query_params.get(name))}


def _link(path: str, asked: dict[str, str], cursor: str | None) -> str | None:
    """The same filters at `path`, from `cursor` on; None: there is no more."""
    if cursor is None:
        return None
    query = urlencode(asked | ({"cursor": cursor} if cursor else {}))
    return f"{path}?{query}" if query else path


def _within(limit: int, most: int) -> int:
    if limit > most:
        raise Invalid([Fault("limit", "range", f"at most {most}")])
    return limit


def _only(caller: Principal | Author) -> str | None:
    """The one producer whose rejections `caller` may know of; None: all."""
    return caller.name if caller.role == PRODUCER else None


def _own(wanted: Filter, caller: Principal | Author) -> Filter | None:
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
