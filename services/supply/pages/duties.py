"""Shows what was agreed and what is owed or odd: agreements with milestones in time, obligations, anomalies."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from fastapi import Depends, Query, Request, Response

from services.supply.agreements import Agreement
from services.supply.asked import NO_NUL, Asked, Cursor, reader
from services.supply.lot import gtin_text
from services.supply.pages import reads
from services.supply.pages.chart_data import Milestone, TimeLine
from services.supply.pages.drawings import Drawings
from services.supply.pages.goals import dress
from services.supply.pages.products import links_of, lot_link
from services.supply.pages.words import TONES
from services.supply.registry import Registry
from services.supply.told_api import KINDS
from shared.errors import Fault, Problem
from shared.language import translatable
from shared.pages import REFRESH_SECONDS, Pages, language_of, link_here, page_router
from shared.web import decode_cursor, encode_cursor

router = page_router()
Item = dict[str, Any]
ROWS: Final = 50
SOON_DAYS: Final = 30
MILESTONES: Final = 200
DUTIES: Final = ("milestone", "transfer_report", "renewal", "gmp_reassessment", "recall", "interruption")
DUE, MET, LATE = translatable("due"), translatable("reached"), translatable("overdue")
DESCRIBED: Final = translatable("%(title)s: %(met)s of %(all)s milestones reached, %(late)s overdue")


@router.get("/agreements", dependencies=[Depends(reader)])
@router.get("/registry/agreements", dependencies=[Depends(reader)])
async def agreements_page(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
    """Every transfer agreement with its milestones on a time line."""
    pages: Pages = request.app.state.pages
    on = asked.day(None)
    async with asked.at(None) as (connection, cut):
        held = await reads.evaluation(connection)
        registry = await asked.facts.registry(connection, cut)
        found = registry.agreements(on)
        beginnings = [f"obligation/{item.agreement}:" for item in found]
        duties = await reads.told_beginning(connection, beginnings, MILESTONES)
    shown = [await _shown(request, item, duties, on) for item in found]
    return pages.show(
        request, "agreements.html", agreements=shown, tones=TONES, refresh=REFRESH_SECONDS, **reads.told_at(asked, held)
    )


@router.get("/agreements/{agreement:path}", dependencies=[Depends(reader)])
async def agreement_page(request: Request, agreement: str, asked: Annotated[Asked, Depends()]) -> Response:
    """One agreement: its milestones, reports and products, its goals, the events that made it."""
    pages: Pages = request.app.state.pages
    on = asked.day(None)
    async with asked.at(None) as (connection, cut):
        held = await reads.evaluation(connection)
        registry = await asked.facts.registry(connection, cut)
        found = next((item for item in registry.agreements(on) if item.agreement == agreement), None)
        if found is None:
            detail = f"there is no agreement {agreement}"
            raise Problem(404, "Not found", detail, [Fault("agreement", "unknown", detail)])
        duties = await reads.told_beginning(connection, [f"obligation/{agreement}:"], MILESTONES)
    definitions = {goal.goal: goal for goal in asked.goals if goal.scope == f"agreement:{agreement}"}
    goals = [item for item in (held["goals"] if held else ()) if item["goal"] in definitions]
    for item in goals:
        dress(item, definitions[item["goal"]], language_of(request))
    return pages.show(
        request,
        "agreement.html",
        agreement=await _shown(request, found, duties, on),
        products=_products(found, registry, on),
        goals=goals,
        tones=TONES,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


async def _shown(request: Request, item: Agreement, duties: list[Item], on: date) -> Item:
    """An agreement with its duties by day and their time line."""
    own = [_duty(duty, on) for duty in duties if duty["subject"] == item.agreement]
    own.sort(key=lambda duty: (duty["due_on"] or duty["met_on"] or "9999", duty["obligation"]))
    milestones = [duty for duty in own if duty["kind"] == "milestone"]
    pages: Pages = request.app.state.pages
    chart = None
    if milestones:
        short = {duty["obligation"]: duty["title"].removeprefix(f"{item.title}: ") for duty in milestones}
        told_so = {
            "title": item.title,
            "met": sum(duty["state"] == "met" for duty in milestones),
            "all": len(milestones),
            "late": sum(duty["late"] for duty in milestones),
        }
        marks = (
            Milestone(short[duty["obligation"]], duty["due_on"], duty["met_on"], duty["late"]) for duty in milestones
        )
        words = (pages.translated(request, DUE), pages.translated(request, MET), pages.translated(request, LATE))
        line = TimeLine(tuple(marks), on.isoformat(), words, pages.translated(request, DESCRIBED) % told_so)
        drawings: Drawings = request.app.state.drawings
        chart = await drawings.of(f"agreement/{item.agreement}", line, _drawn, language_of(request))
    return {
        "agreement": item.agreement,
        "title": item.title,
        "originator": item.originator,
        "recipient": item.recipient,
        "signed_on": item.signed_on,
        "ended_on": item.ended_on,
        "duties": own,
        "milestones": milestones,
        "chart": chart,
        "events": links_of({"source": fact.source, "id": fact.id} for fact in item.events),
    }


def _drawn(line: TimeLine, language: str) -> Any:
    from services.supply.pages.charts import time_line

    return time_line(line, language)


def _duty(item: Item, on: date) -> Item:
    """An obligation with the days left, whether it is late, and the pages of its events."""
    due = item["due_on"]
    left = (date.fromisoformat(due) - on).days if due and item["state"] == "open" else None
    late = left is not None and left < 0
    tone = {"met": "good", "cancelled": "plain"}.get(item["state"], "bad" if late else "plain")
    if left is not None and 0 <= left <= SOON_DAYS:
        tone = "warn"
    return {**item, "days_left": left, "late": late, "tone": tone, "events": links_of(item["events"])}


def _products(item: Agreement, registry: Registry, on: date) -> list[Item]:
    """What the agreement names and what is registered under it."""
    packings = registry.packings(on)
    under = [packing for packing in packings.values() if packing.agreement == item.agreement]
    registered = {packing.gtin for packing in under}
    rows = [(packing.product.name, packing.product.substance, gtin_text(packing.gtin)) for packing in under]
    for product in item.products:
        if not registered & {int(gtin) for gtin in product.gtins}:
            rows += [(product.name, product.substance, gtin) for gtin in product.gtins or ("",)]
    return [{"name": name, "substance": substance, "gtin": gtin} for name, substance, gtin in sorted(rows)]


@router.get("/obligations", dependencies=[Depends(reader)])
async def obligations_page(
    request: Request,
    asked: Annotated[Asked, Depends()],
    state: Literal["open", "met", "cancelled", ""] = "open",
    kind: Annotated[str, Query(max_length=100, pattern=NO_NUL)] = "",
    cursor: Cursor = None,
) -> Response:
    """Dated duties: open ones by the days left."""
    pages: Pages = request.app.state.pages
    on, wanted = asked.day(None), state or "open"
    after = decode_cursor(cursor, tuple[str, str])
    async with asked.at(None) as (connection, _):
        held = await reads.evaluation(connection)
        items, following = await reads.obligations(connection, wanted, kind or None, after, ROWS)
    return pages.show(
        request,
        "obligations.html",
        items=[_duty(item, on) for item in items],
        state=wanted,
        kind=kind,
        kinds=DUTIES,
        next=None if following is None else link_here(request, cursor=encode_cursor(following)),
        first=link_here(request, cursor=None) if cursor else None,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


@router.get("/anomalies", dependencies=[Depends(reader)])
async def anomalies_page(
    request: Request,
    asked: Annotated[Asked, Depends()],
    state: Literal["open", "ended", ""] = "open",
    kind: Annotated[str, Query(max_length=100, pattern=NO_NUL)] = "",
    cursor: Cursor = None,
) -> Response:
    """What contradicts itself, by kind, with the events that show it."""
    pages: Pages = request.app.state.pages
    wanted, after = state or "open", decode_cursor(cursor, tuple[str, str])
    async with asked.at(None) as (connection, _):
        held = await reads.evaluation(connection)
        items, following = await reads.anomalies(connection, wanted == "ended", kind or None, after, ROWS)
    counts = held["anomalies"] if held else {}
    return pages.show(
        request,
        "anomalies.html",
        items=[_odd(item) for item in items],
        counts=sorted(counts.items(), key=lambda count: (-count[1], count[0])),
        state=wanted,
        kind=kind,
        kinds=KINDS,
        next=None if following is None else link_here(request, cursor=encode_cursor(following)),
        first=link_here(request, cursor=None) if cursor else None,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


def _odd(item: Item) -> Item:
    """An anomaly with what it is about, if that has a page, and the pages of its events."""
    first, _, second = item["subject"].partition("/")
    lot = (first, unquote(second)) if first.isdigit() and second else None
    about = unquote(first) if lot is None else f"{lot[0]} / {lot[1]}"
    if lot is None and second:
        about = f"{unquote(first)} {unquote(second)}"
    link = lot_link(*lot) if lot else None
    return {**item, "about": about, "link": link, "events": links_of(item["events"])}
