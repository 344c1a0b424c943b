"""Answers HTTP questions about the ledger, each exactly as known at one checkpoint."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import asyncpg
import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from msgspec import Meta

from services.supply import checkpoints
from services.supply.asof import Cut, lots_at
from services.supply.goals import Goal, goals_hash
from services.supply.indicators import INDICATORS, parse_scope
from services.supply.lot import LotState, gtin_text
from services.supply.measure import market
from services.supply.reads import ledger_at
from services.supply.registry import Registry
from services.supply.registry_json import agreement_json, authorisation_json, product_json
from services.supply.settings import SupplySettings
from services.supply.statements import balance_item, balances, event_answer, fetch_registry, lot_statement
from shared.access import forbidden, require
from shared.clock import Clock
from shared.database import AWAY
from shared.errors import Fault, Invalid, Problem, Transient
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER, Principal
from shared.web import decode_cursor, json_response, page

reader = require(VIEWER, OPERATOR, ADMIN)
reader_or_producer = require(PRODUCER, VIEWER, OPERATOR, ADMIN)
MAX_DAYS: Final = 1_100  # most days of one series
GTIN: Final = r"^[0-9]{8,14}$"
FIRST_MOMENT: Final = datetime(1, 1, 2, tzinfo=UTC)
NO_PLACE: Final = (datetime(1970, 1, 1, tzinfo=UTC), 0, 0, 0, -1)
BY_GTIN_LOTS: Final = 10_000

Effective = Annotated[date | None, Query(description="the day on which figures are to hold; default today")]
Known = Annotated[datetime | None, Query(description="the moment of knowledge; default the newest checkpoint")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str | None, Query(max_length=1_024)]

# What a cursor may hold.
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Small = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]

router = APIRouter()


class Asked:
    """What every question carries: a read-only snapshot, the checkpoint that it rests on, and the day."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.settings: SupplySettings = state.settings
        self.clock: Clock = state.clock
        self.goals: list[Goal] = state.goals
        self.regulators: Callable[[], frozenset[str]] = state.regulators
        self._pool: asyncpg.Pool = state.readers

    @asynccontextmanager
    async def at(self, known: datetime | None) -> AsyncIterator[tuple[Any, Cut]]:
        """A snapshot and the checkpoint for `known`. Raises Transient while the database is away."""
        if known is not None and known.tzinfo is None:
            raise Invalid([Fault("known", "offset", "a moment needs an offset, e.g. 2026-11-23T10:00:00Z")])
        if known is not None:
            known = max(known, FIRST_MOMENT)  # before that some moments have no date in UTC
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection, await checkpoints.known_at(connection, known)
        except AWAY as error:
            raise Transient("the database does not answer") from error

    def day(self, effective: date | None) -> date:
        return effective or self.clock.today()

    def head(self, cut: Cut, **more: Any) -> dict[str, Any]:
        """What every answer carries."""
        return {
            **more,
            "checkpoint": cut.n,
            "known": cut.at.isoformat() if cut.n else None,
            "goals_hash": goals_hash(self.goals),
        }


def add_routes(app: FastAPI) -> None:
    app.include_router(router)


@router.get("/balances", dependencies=[Depends(reader)])
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
        registry = await fetch_registry(connection, cut, asked.regulators())
        products = None
        if atc is not None:
            packings = registry.packings(on).values()
            products = [packing.gtin for packing in packings if packing.product.atc.startswith(atc)]
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


@router.get("/lots/{gtin}/{lot:path}", dependencies=[Depends(reader)])
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
        registry = await fetch_registry(connection, cut, asked.regulators())
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


@router.get("/events/{source}/{id:path}")
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
        body = await event_answer(connection, cut, source, id) or await event_answer(
            connection, cut, unquote(source), unquote(id)
        )
    if body is None:
        detail = f"no event {id} of {source} is in the ledger at checkpoint {cut.n}"
        raise Problem(404, "Not recorded", detail, [Fault("id", "not_recorded", detail)], code="not_recorded")
    return json_response({**body, **asked.head(cut)})


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
    names, scopes = _wanted(name, scope, asked)
    days = _days(asked.day(effective), first, last)
    skip = decode_cursor(cursor, int) or 0
    whole = [(day, item, where) for day in days for item in names for where in scopes]
    shown = whole[skip : skip + limit]
    items = []
    async with asked.at(known) as (connection, cut):
        for day in sorted({day for day, _, _ in shown}):
            ledger = await ledger_at(connection, cut, day, asked.regulators())
            seen = market(ledger, "days_365", frozenset(asked.settings.domestic_local_steps))
            items += [INDICATORS[item](where, seen).as_json() for at, item, where in shown if at == day]
    following = skip + limit if skip + limit < len(whole) else None
    return json_response(page(items, following, **asked.head(cut)))


def _wanted(name: str | None, scope: str | None, asked: Asked) -> tuple[list[str], list[str]]:
    if name is not None and name not in INDICATORS:
        raise Invalid([Fault("name", "unknown", f"no indicator {name}; there are {', '.join(sorted(INDICATORS))}")])
    if scope is not None:
        try:
            parse_scope(scope)
        except ValueError as error:
            raise Invalid([Fault("scope", "pattern", str(error))]) from None
    scopes = [scope] if scope else sorted({"all", *(goal.scope for goal in asked.goals)})
    return [name] if name else sorted(INDICATORS), scopes


def _days(today: date, first: date | None, last: date | None) -> list[date]:
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
    obligation: Annotated[str | None, Query(max_length=300)] = None,
    state: Literal["open", "met", "cancelled"] | None = None,
    limit: Limit = 100,
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
    kind: Annotated[str | None, Query(max_length=100)] = None,
    subject: Annotated[str | None, Query(max_length=2_000)] = None,
    limit: Limit = 100,
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


@router.get("/registry/{what}", dependencies=[Depends(reader)])
async def get_registry(
    what: Literal["products", "authorisations", "agreements"],
    asked: Annotated[Asked, Depends()],
    effective: Effective = None,
    known: Known = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The registry on a day: products by GTIN, authorisations by number, agreements by id, with their events."""
    on = asked.day(effective)
    after = decode_cursor(cursor, str) or ""
    async with asked.at(known) as (connection, cut):
        registry = await fetch_registry(connection, cut, asked.regulators())
    if what == "products":
        rows = [(gtin_text(gtin), product_json(item, registry, on)) for gtin, item in registry.packings(on).items()]
    elif what == "authorisations":
        rows = [(item.authorisation, authorisation_json(item, on)) for item in registry.authorisations(on)]
    else:
        rows = [(item.agreement, agreement_json(item)) for item in registry.agreements(on)]
    rest = sorted((row for row in rows if row[0] > after), key=lambda row: row[0])
    following = rest[limit - 1][0] if len(rest) > limit else None
    items = [body for _, body in rest[:limit]]
    return json_response(page(items, following, **asked.head(cut, effective=on.isoformat())))


@router.get("/ledger/checkpoints", dependencies=[Depends(reader)])
async def get_checkpoints(asked: Annotated[Asked, Depends()], limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Checkpoints, newest first."""
    before = decode_cursor(cursor, Number) or 2**62
    async with asked.at(None) as (connection, _):
        rows = await connection.fetch(
            "SELECT n, at, places::text FROM checkpoints WHERE n < $1 ORDER BY n DESC LIMIT $2", before, limit + 1
        )
    items = [{"n": row[0], "at": row[1].isoformat(), "places": orjson.loads(row[2])} for row in rows[:limit]]
    return json_response(page(items, rows[limit - 1][0] if len(rows) > limit else None))
