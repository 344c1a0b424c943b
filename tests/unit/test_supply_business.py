"""The business gauges: what an evaluation told, in figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.supply import business
from services.supply.business import Business, due, show, up_to

TODAY = date(2026, 6, 30)


@pytest.mark.parametrize(
    ("days", "said"),
    [(-1, "overdue"), (0, "within_30_days"), (30, "within_30_days"), (31, "within_90_days"), (91, "later")],
)
def test_a_duty_is_counted_by_when_it_is_due(days: int, said: str) -> None:
    assert due(TODAY + timedelta(days=days), TODAY) == said


def test_a_duty_without_a_date_is_never_due() -> None:
    assert due(None, TODAY) == "undated"


def test_products_are_counted_with_every_bound_that_their_stock_does_not_pass() -> None:
    found = up_to([0.4, 1.0, 7.0, 100.0, None])
    assert found == {"0.5": 1, "1": 2, "2": 2, "3": 2, "6": 2, "12": 3, "24": 3, "+Inf": 4}


def gauge(name: str) -> dict[tuple[str, ...], float]:
    """The values of a gauge, by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for metric in REGISTRY.collect()
        if metric.name == name
        for sample in metric.samples
    }


@pytest.fixture
def shown() -> Iterator[None]:
    yield
    show(Business(checkpoint=0, on=TODAY))


def goal(name: str, status: str, value: str | None) -> dict[str, Any]:
    gap = None if value is None else "-0.05"
    return {"goal": name, "status": status, "value": value, "expected": "0.75", "target": "0.8", "gap": gap}


@pytest.mark.usefixtures("shown")
def test_what_is_no_longer_told_has_no_series_any_more() -> None:
    show(
        Business(
            checkpoint=1,
            on=TODAY,
            goals=[goal("one", "off_track", "0.7"), goal("two", "no_data", None)],
            shares={"volume": (0.7, 0.9), "value": (None, None)},
            obligations={("renewal", "overdue"): 2},
            anomalies={"overdrawn_lot": 3},
            months=[1.5, None],
        )
    )
    assert gauge("supply_watch_domestic_share_ratio") == {("volume",): 0.7}
    assert gauge("supply_watch_domestic_share_coverage_ratio") == {("volume",): 0.9}
    assert gauge("supply_watch_goals")["off_track",] == 1
    assert gauge("supply_watch_goal_gap") == {("one",): -0.05}
    assert gauge("supply_watch_goal_expected") == {("one",): 0.75, ("two",): 0.75}
    assert gauge("supply_watch_obligations_open") == {("renewal", "overdue"): 2}
    assert gauge("supply_watch_products_stock_unknown") == {(): 1}
    show(Business(checkpoint=2, on=TODAY, shares={"value": (0.5, None)}))
    assert gauge("supply_watch_domestic_share_ratio") == {("value",): 0.5}
    assert gauge("supply_watch_goal_gap") == {}
    assert gauge("supply_watch_obligations_open") == {}
    assert gauge("supply_watch_anomalies") == {}
    assert gauge("supply_watch_goals")["off_track",] == 0


def test_no_bound_is_lost_in_its_label() -> None:
    assert [float(bound) for bound in up_to([])] == [*business.STOCK_MONTHS, float("inf")]
