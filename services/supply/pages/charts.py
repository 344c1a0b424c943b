"""Draws what pages of supply show.

It brings altair along (50 MB, and 80 MB more with the first chart): import it where the first chart is drawn.
"""

from __future__ import annotations

from typing import Any, Final

import altair as alt
from markupsafe import Markup

from services.supply.pages.chart_data import GoalChart, Kind, Shares, TimeLine
from shared.charts import COLOURS, HEIGHT, QUIET, TEXT, WIDTH, svg

MONTH_MS: Final = 31 * 24 * 3600 * 1000
# Readers' fonts may be wider than that by which labels were measured.
PADDING: Final = {"left": 32, "right": 12, "top": 5, "bottom": 5}
_FORMATS: Final[dict[Kind, str]] = {"share": ".0%", "money": "~s", "number": "~r"}
ACTUAL, EXPECTED, IMPORTED, OPEN = COLOURS


def _time(**more: Any) -> Any:
    axis = alt.Axis(format="%Y", tickCount="year", grid=False, labelOverlap=True, title=None)
    return alt.X("day:T", axis=axis, **more)


def _rule(day: str) -> Any:
    return alt.Chart(alt.InlineData(values=[{"day": day}])).mark_rule(color=QUIET, strokeDash=[2, 3]).encode(x=_time())


def goal_chart(shown: GoalChart, language: str) -> Markup:
    """The actual line, the expected one, and today."""
    lines = [
        {"day": day, "value": value, "line": name}
        for name, points in zip(shown.words, (shown.actual, shown.expected), strict=True)
        for day, value in points
    ]
    colour = alt.Scale(domain=list(shown.words), range=[ACTUAL, QUIET])
    dashes = alt.Scale(domain=list(shown.words), range=[[1, 0], [5, 4]])
    drawn = (
        alt.Chart(alt.InlineData(values=lines))
        .mark_line(strokeWidth=2.5)
        .encode(
            x=_time(),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=_FORMATS[shown.kind])),
            color=alt.Color("line:N", scale=colour, legend=alt.Legend(orient="top", title=None)),
            strokeDash=alt.StrokeDash("line:N", scale=dashes),
        )
    )
    ends = [{"day": shown.actual[-1][0], "value": shown.actual[-1][1]}] if shown.actual else []
    last = (
        alt.Chart(alt.InlineData(values=ends))
        .mark_point(filled=True, size=60, color=ACTUAL, opacity=1)
        .encode(x=_time(), y=alt.Y("value:Q", title=None))
    )
    chart = alt.layer(_rule(shown.today), drawn, last).properties(width=WIDTH - 60, height=HEIGHT - 40)
    return svg(chart, shown.described, language)


def shares_chart(shown: Shares, language: str) -> Markup:
    """Domestic and imported, stacked to the whole."""
    rows = [
        {"day": day, "amount": amount, "origin": name, "order": place}
        for day, *amounts in shown.days
        for place, (name, amount) in enumerate(zip(shown.words, amounts, strict=True))
    ]
    colours = alt.Scale(domain=list(shown.words), range=[ACTUAL, EXPECTED])
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_area(opacity=0.85)
        .encode(
            x=alt.X(
                "day:T", axis=alt.Axis(format="%m/%Y", grid=False, labelOverlap=True, title=None, tickMinStep=MONTH_MS)
            ),
            y=alt.Y("amount:Q", stack="normalize", axis=alt.Axis(format=".0%", title=None)),
            color=alt.Color("origin:N", scale=colours, legend=alt.Legend(orient="top", title=None)),
            order=alt.Order("order:Q"),
        )
        .properties(width=WIDTH + 80, height=HEIGHT + 20)
    )
    return svg(chart, shown.described, language)


def time_line(shown: TimeLine, language: str) -> Markup:
    """A row a milestone: when it was due, and when it was met."""
    due, met, late = shown.words
    rows: list[dict[str, Any]] = []
    for item in shown.milestones:
        if item.due_on:
            rows.append({"title": item.title, "day": item.due_on, "what": late if item.late else due})
        if item.met_on:
            rows.append({"title": item.title, "day": item.met_on, "what": met})
    order = [item.title for item in shown.milestones]
    what = list(shown.words)
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(size=90, strokeWidth=2, filled=False)
        .encode(
            x=_time(),
            y=alt.Y("title:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=220, labelColor=TEXT)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=what, range=[QUIET, ACTUAL, EXPECTED]),
                legend=alt.Legend(orient="top", title=None),
            ),
            shape=alt.Shape("what:N", scale=alt.Scale(domain=what, range=["circle", "diamond", "triangle-up"])),
        )
    )
    chart = alt.layer(_rule(shown.today), points).properties(
        width=WIDTH - 120, height=28 * len(order) + 10, padding=PADDING
    )
    return svg(chart, shown.described, language)
