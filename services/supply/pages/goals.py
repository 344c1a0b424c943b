"""Shows where the goals stand: all of them, one with its course and what weighs most in it, supply by origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from services.supply.asked import Asked, reader
from services.supply.course import Course, Point
from services.supply.course_keeper import kept_course
from services.supply.explain_api import explain_of, meaning_of
from services.supply.figures import text
from services.supply.goals import Goal, expected_on
from services.supply.indicators import indicator
from services.supply.pages import reads
from services.supply.pages.chart_data import GoalChart, Kind, Shares, rounded
from services.supply.pages.drawings import Drawings
from services.supply.pages.words import TONES, WORDS
from shared.errors import Fault, Problem
from shared.language import DEFAULT, translatable
from shared.pages import REFRESH_SECONDS, Pages, language_of, page_router

router = page_router()
Item = dict[str, Any]
PATH_STEP_DAYS: Final = 91
MIN_STEPS: Final = 12
# The most pressing first.
PRESSING: Final = ("missed", "off_track", "at_risk", "no_data", "on_track", "met")
ACTUAL, EXPECTED = translatable("actual"), translatable("expected")
DESCRIBED: Final = translatable("%(title)s: actual %(value)s, expected %(expected)s by now, target %(target)s")
SHARES_DESCRIBED: Final = {
    "domestic_share_volume": translatable("Supply in defined daily doses by origin, month by month"),
    "domestic_share_value": translatable("Supply in money by origin, month by month"),
}


@router.get("/", dependencies=[Depends(reader)])
@router.get("/goals", dependencies=[Depends(reader)])
async def goals_page(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
    """Every goal with its status and its course."""
    pages: Pages = request.app.state.pages
    held, course = await _kept(asked)
    goals = {goal.goal: goal for goal in asked.goals}
    items = [] if held is None else [item for item in held["goals"] if item["goal"] in goals]
    for item in items:
        dress(item, goals[item["goal"]], language_of(request))
    charts = {item["goal"]: _chart_of(request, goals[item["goal"]], item, course) for item in items}
    drawn = await _drawn(request, charts)
    shown = [{**item, "chart": drawn[item["goal"]]} for item in items]
    counted = [(status, sum(item["status"] == status for item in shown)) for status in PRESSING]
    return pages.show(
        request,
        "goals.html",
        groups=list(_grouped(shown)),
        counted=[(status, count) for status, count in counted if count],
        tones=TONES,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


@router.get("/goals/{goal}", dependencies=[Depends(reader)])
async def goal_page(request: Request, goal: str, asked: Annotated[Asked, Depends()]) -> Response:
    """One goal: how it came to where it is, and what it rests on."""
    pages: Pages = request.app.state.pages
    held, course = await _kept(asked)
    item = next((one for one in (held["goals"] if held else ()) if one["goal"] == goal), None)
    definition = next((one for one in asked.goals if one.goal == goal), None)
    if item is None or definition is None or held is None:
        detail = f"there is no goal {goal}, or nothing has been evaluated yet"
        raise Problem(404, "Not found", detail, [Fault("goal", "unknown", detail)])
    dress(item, definition, language_of(request))
    drawn = await _drawn(request, {goal: _chart_of(request, definition, item, course)})
    measured = indicator(item["indicator"])
    assert measured is not None, "a goal on an unknown indicator stops the start"
    return pages.show(
        request,
        "goal.html",
        goal=item,
        chart=drawn[goal],
        course=course_rows(definition, course, item),
        products=course.products.get(goal, []) if course else [],
        course_known=course.known if course else None,
        inputs=[(name, value, meaning_of(measured, name)) for name, value in item["inputs"].items()],
        formula=measured.formula,
        explain=explain_of(item["indicator"], item["scope"], item["on"], item["window"], held["known"]),
        tones=TONES,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


@router.get("/shares", dependencies=[Depends(reader)])
async def shares_page(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
    """Supply by origin, month by month."""
    pages: Pages = request.app.state.pages
    held, course = await _kept(asked)
    drawings: Drawings = request.app.state.drawings
    shown = []
    for name, described in SHARES_DESCRIBED.items():
        sides = course.shares.get(name, []) if course else []
        known = [side for side in sides if float(side.domestic) + float(side.imported) > 0]
        if len(known) < 2:
            continue
        days = tuple((side.on, rounded(side.domestic), rounded(side.imported)) for side in known)
        words = (pages.translated(request, WORDS["domestic"]), pages.translated(request, WORDS["imported"]))
        chart = Shares(days, words, pages.translated(request, described))
        svg = await drawings.of(name, chart, _shares, language_of(request))
        shown.append({"name": name, "title": described, "chart": svg, "sides": list(reversed(known))})
    return pages.show(
        request,
        "shares.html",
        shares=shown,
        course_known=course.known if course else None,
        refresh=REFRESH_SECONDS,
        **reads.told_at(asked, held),
    )


async def _kept(asked: Asked) -> tuple[Item | None, Course | None]:
    async with asked.at(None) as (connection, _):
        return await reads.evaluation(connection), await kept_course(connection)


def dress(item: Item, goal: Goal, language: str) -> None:
    """Puts the title in the reader's language, if there is one, and adds how the goal's values are to be written."""
    titles = {DEFAULT: item["title"], **{str(code): title for code, title in goal.titles.items()}}
    item["title_language"] = language if language in titles else DEFAULT
    item["title"] = titles[item["title_language"]]
    found = indicator(item["indicator"])
    item["kind"] = kind_of(item["indicator"], found.unit if found else "", item.get("unit"))


def kind_of(name: str, unit: str, told_unit: str | None) -> Kind:
    """Whether the values of an indicator are shares, money or plain numbers."""
    if unit == "share" or name.endswith("_share"):
        return "share"
    return "money" if unit == "vnd" or (told_unit or "").upper() in ("VND", "USD", "EUR") else "number"


def _grouped(items: Sequence[Item]) -> Iterator[tuple[str, list[Item]]]:
    """By scope, the whole market first, in each the most pressing first."""

    def rank(item: Item) -> tuple[bool, str, int]:
        return item["scope"] != "all", item["scope"], PRESSING.index(item["status"])

    for scope, group in groupby(sorted(items, key=rank), key=lambda item: item["scope"]):
        yield scope, list(group)


async def _drawn(request: Request, charts: Mapping[str, GoalChart | None]) -> dict[str, Any]:
    """By goal, its chart; None where there is none to be drawn."""
    drawings: Drawings = request.app.state.drawings
    language = language_of(request)
    return {
        goal: None if chart is None else await drawings.of(f"goal/{goal}", chart, _goal, language)
        for goal, chart in charts.items()
    }


def _goal(chart: GoalChart, language: str) -> Any:
    from services.supply.pages.charts import goal_chart

    return goal_chart(chart, language)


def _points(goal: Goal, course: Course | None, item: Item) -> list[Point]:
    """The ends of past months, and today as last evaluated."""
    past = course.goals.get(goal.goal, [])[:-1] if course else []
    return [*(point for point in past if point.on < item["on"]), Point(item["on"], item["value"])]


def _chart_of(request: Request, goal: Goal, item: Item, course: Course | None) -> GoalChart | None:
    """None for a goal without a day: it has no path."""
    if goal.target.by is None:
        return None
    pages: Pages = request.app.state.pages
    actual = tuple((point.on, rounded(point.value)) for point in _points(goal, course, item) if point.value is not None)
    described = pages.translated(request, DESCRIBED) % {
        "title": item["title"],
        "value": item["value"],
        "expected": item["expected"],
        "target": item["target"],
    }
    words = (pages.translated(request, ACTUAL), pages.translated(request, EXPECTED))
    expected = tuple((day.isoformat(), rounded(value)) for day, value in path(goal))
    return GoalChart(actual, expected, rounded(goal.target.value), item["on"], item["kind"], words, described)


def path(goal: Goal) -> Iterator[tuple[date, Any]]:
    """Where the value should be, from the baseline to the target; a step is drawn as one."""
    assert goal.target.by is not None
    for day in _days(goal, goal.baseline.on, goal.target.by):
        yield day, expected_on(goal, day)


def _days(goal: Goal, first: date, last: date) -> Iterable[date]:
    if goal.trajectory == "linear" and not goal.is_flow_of_a_year:
        return (first, last)
    if goal.trajectory == "step":
        turns = [step.by for step in goal.steps] + [last]
        return (first, *(day for turn in turns for day in (turn - timedelta(days=1), turn)))
    step = max(1, min(PATH_STEP_DAYS, (last - first).days // MIN_STEPS))
    return (*(first + timedelta(days=n) for n in range(0, (last - first).days, step)), last)


def _shares(chart: Shares, language: str) -> Any:
    from services.supply.pages.charts import shares_chart

    return shares_chart(chart, language)


def course_rows(goal: Goal, course: Course | None, item: Item) -> list[Item]:
    """The numbers of the chart, newest first."""
    found = []
    for point in reversed(_points(goal, course, item)):
        expected = expected_on(goal, date.fromisoformat(point.on))
        found.append({"on": point.on, "value": point.value, "expected": text(expected)})
    return found
