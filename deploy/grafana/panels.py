"""The kinds of panels that our dashboards are made of, and where they read: Prometheus, or the ledger's PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# The uids of provisioning/datasources.
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
LEDGER: Final = DataSourceRef(type_val="grafana-postgresql-datasource", uid="ledger")
TIME_ZONE: Final = "Asia/Ho_Chi_Minh"
TAG: Final = "supply-watch"
WHOLE, HALF, THIRD, SIXTH = 24, 12, 8, 4
GOOD, WARN, BAD = "green", "orange", "red"

# (expression, legend)
Query = tuple[str, str]


class SqlQuery(Dataquery):
    """A table read straight from PostgreSQL; the SDK has no type for it."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": LEDGER,
            "format": "table",
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": self._sql,
        }


class _Sql(Builder[Dataquery]):
    def __init__(self, sql: str) -> None:
        self._sql = sql

    def build(self) -> Dataquery:
        return SqlQuery(self._sql)


def _queries(queries: tuple[Query, ...], *, now: bool) -> list[Builder[Dataquery]]:
    found: list[Builder[Dataquery]] = []
    for letter, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(PROMETHEUS)
        found.append(query.instant().format(PromQueryFormat.TIME_SERIES) if now else query.range())
    return found


def _steps(bad_from: float | None, warn_from: float | None) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color=GOOD)]
    if warn_from is not None:
        steps.append(Threshold(value=warn_from, color=WARN))
    if bad_from is not None:
        steps.append(Threshold(value=bad_from, color=BAD))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def figure(
    title: str,
    *queries: Query,
    unit: str = "short",
    says: str = "",
    width: int = SIXTH,
    warn_from: float | None = None,
    bad_from: float | None = None,
) -> stat.Panel:
    """A number, or one of each series, as it is now; coloured from a value on."""
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(5)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_steps(bad_from, warn_from))
        .targets(_queries(queries, now=True))
    )


def lines(
    title: str, *queries: Query, unit: str = "short", says: str = "", width: int = HALF, from_zero: bool = True
) -> timeseries.Panel:
    """How values went over time."""
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(8)
        .fill_opacity(8)
        .line_width(1)
        .show_points(VisibilityMode.NEVER)
        .legend(legend)
        .targets(_queries(queries, now=False))
    )
    return panel.min(0) if from_zero else panel


def bars(
    title: str, *queries: Query, unit: str = "short", says: str = "", width: int = THIRD, bad_below: float | None = None
) -> bargauge.Panel:
    """One bar for each series, as it is now."""
    steps = [Threshold(value=None, color=GOOD)]
    if bad_below is not None:
        steps = [Threshold(value=None, color=BAD), Threshold(value=bad_below, color=GOOD)]
    return (
        bargauge.Panel()
        .title(title)
        .description(says)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(width)
        .height(8)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .targets(_queries(queries, now=True))
    )


def rows(
    title: str, sql: str, *, says: str = "", width: int = WHOLE, colours: Mapping[str, Mapping[str, str]] | None = None
) -> table.Panel:
    """A table straight from PostgreSQL, as it is now. `colours`: by column, of words that it holds."""
    panel = (
        table.Panel()
        .title(title)
        .description(says)
        .datasource(LEDGER)
        .span(width)
        .height(10)
        .filterable(True)
        .targets([_Sql(sql.strip())])
    )
    for column, of_word in (colours or {}).items():
        coloured = {word: {"color": colour, "index": at} for at, (word, colour) in enumerate(of_word.items())}
        mappings = DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": coloured}])
        cell = DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
        panel = panel.override_by_name(column, [mappings, cell])
    return panel


def variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """One value to choose of those that Prometheus knows."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def titled(uid: str, title: str, says: str, *, since: str, refresh: str) -> dashboard.Dashboard:
    """An empty dashboard that links to the others."""
    others = (
        dashboard.DashboardLink("Supply Watch")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags([TAG])
        .timezone(TIME_ZONE)
        .time(f"now-{since}", "now")
        .refresh(refresh)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(others)
    )


def filled(made: dashboard.Dashboard, content: Mapping[str, tuple[Any, ...]]) -> dashboard.Dashboard:
    """`made` with the panels of each row, by the row's title."""
    numbers = count(1)
    for title, panels in content.items():
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(panel.id(next(numbers)))
    return made
