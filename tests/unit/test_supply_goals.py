"""Goals: where a value should be, and what is said of it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from services.supply.figures import Measured
from services.supply.goals import Assessment, Goal, assess, expected_on

START, BY = date(2023, 12, 31), date(2030, 12, 31)
HALFWAY = date(2027, 7, 2)  # 1,279 of 2,557 days
RISING: dict[str, Any] = {"baseline": {"on": START, "value": "0.60"}, "target": {"value": "0.80", "by": BY}}
FALLING: dict[str, Any] = {"baseline": {"on": START, "value": "0.50"}, "target": {"value": "0.30", "by": BY}}
UNDATED: dict[str, Any] = {"baseline": {"on": START, "value": "0.60"}, "target": {"value": "0.80"}}


def goal(**told: Any) -> Goal:
    about = {"goal": "g", "title": "G", "source": "S", "indicator": "domestic_share_volume", "scope": "all"}
    return Goal.model_validate({**about, **RISING, **told})


def measured(value: str | None, coverage: str | None = "1") -> Measured:
    cover = None if coverage is None else Decimal(coverage)
    return Measured("domestic_share_volume", "all", HALFWAY, None if value is None else Decimal(value), None, cover, {})


def judged(value: str | None, on: date = HALFWAY, coverage: str | None = "1", **told: Any) -> Assessment:
    return assess(goal(**told), measured(value, coverage), on)


@pytest.mark.parametrize(
    ("trajectory", "on", "expected"),
    [
        ("linear", START, "0.60"),
        ("linear", HALFWAY, "0.700039108330"),  # 0.60 + 0.20 x 1279 / 2557
        ("linear", BY, "0.80"),
        ("linear", BY + timedelta(days=1), "0.80"),
        ("linear", START - timedelta(days=1), "0.60"),
        ("compound", START, "0.60"),
        ("compound", HALFWAY, "0.692859297918"),  # 0.60 x (0.80 / 0.60) ^ (1279 / 2557)
        ("compound", BY, "0.80"),
        ("step", BY - timedelta(days=1), "0.60"),
        ("step", BY, "0.80"),
    ],
)
def test_the_trajectory_says_where_the_value_should_be(trajectory: str, on: date, expected: str) -> None:
    found = expected_on(goal(trajectory=trajectory), on)
    assert found is not None
    assert abs(found - Decimal(expected)) < Decimal("1e-9")


def test_an_undated_goal_has_no_trajectory() -> None:
    assert expected_on(goal(**UNDATED), HALFWAY) is None


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("0.90", "met"),
        ("0.80", "met"),
        ("0.79", "on_track"),
        ("0.695039108331", "on_track"),  # short by less than the tolerance
        ("0.6951", "on_track"),
        ("0.66003", "at_risk"),
        ("0.66002", "off_track"),
        ("0.60", "off_track"),
        ("0.55", "off_track"),
    ],
)
def test_the_status_follows_the_share_of_the_way_that_was_made(value: str, status: str) -> None:
    """Expected today: 0.70003910833, a way of 0.10003910833; 95 % of it ends at 0.69503715291, 60 % at 0.660023465."""
    assert judged(value).status == status


@pytest.mark.parametrize(
    ("value", "status"), [("0.69503716", "on_track"), ("0.69503715", "at_risk"), ("0.660023466", "at_risk")]
)
def test_without_tolerance_the_bands_alone_decide(value: str, status: str) -> None:
    assert judged(value, tolerance="0").status == status


def test_bands_are_the_goals_own() -> None:
    assert judged("0.66", bands={"on_track": "0.50", "off_track": "0.20"}).status == "on_track"


def test_while_little_is_due_not_worse_than_the_baseline_is_on_track() -> None:
    soon = START + timedelta(days=30)  # due: 0.0023
    assert judged("0.60", soon).status == "on_track"
    assert judged("0.599", soon).status == "on_track"
    assert judged("0.59", soon).status == "off_track"


def test_a_step_goal_is_on_track_until_its_day() -> None:
    assert judged("0.60", BY - timedelta(days=1), trajectory="step").status == "on_track"
    assert judged("0.60", BY, trajectory="step").status == "missed"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("0.25", "met"),
        ("0.30", "met"),
        ("0.40", "on_track"),
        ("0.42", "at_risk"),
        ("0.50", "off_track"),
        ("0.55", "off_track"),
    ],
)
def test_a_falling_target_is_judged_the_other_way_round(value: str, status: str) -> None:
    assert judged(value, **FALLING).status == status


@pytest.mark.parametrize(("value", "status"), [("0.80", "met"), ("0.79", "on_track"), ("0.50", "off_track")])
def test_an_undated_goal_only_must_not_move_away(value: str, status: str) -> None:
    found = judged(value, **UNDATED)
    assert (found.status, found.expected, found.gap, found.required_pace) == (status, None, None, None)


@pytest.mark.parametrize(("value", "coverage"), [(None, "1"), ("0.9", "0.49"), ("0.9", None), (None, None)])
def test_without_enough_coverage_there_is_no_data(value: str | None, coverage: str | None) -> None:
    assert judged(value, coverage=coverage).status == "no_data"


def test_coverage_at_the_bound_is_enough() -> None:
    assert judged("0.9", coverage="0.50").status == "met"


def test_met_can_be_lost_before_the_date() -> None:
    assert judged("0.81").status == "met"
    assert judged("0.61").status == "off_track"


@pytest.mark.parametrize(("value", "status"), [("0.80", "met"), ("0.79", "missed")])
def test_on_its_date_a_goal_is_met_or_missed(value: str, status: str) -> None:
    assert judged(value, BY).status == status


@pytest.mark.parametrize(("then", "now", "status"), [("0.80", "0.10", "met"), ("0.79", "0.99", "missed")])
def test_after_its_date_a_goal_stays_what_that_day_made_it(then: str, now: str, status: str) -> None:
    found = assess(goal(), measured(now), BY + timedelta(days=200), measured(then))
    assert found.status == status
    assert found.measured.value == Decimal(now)


def test_pace_and_projection_rest_on_the_way_since_the_baseline() -> None:
    """0.05 in 1,279 days; 0.15 are left for 1,278 days, and would take 3,837 at the pace so far."""
    found = judged("0.65")
    assert found.pace == Decimal("0.014268960125")
    assert found.required_pace == Decimal("0.042840375587")
    assert found.projected_on == HALFWAY + timedelta(days=3837)
    assert found.gap == Decimal("0.65") - Decimal("0.700039108330")


def test_a_value_that_moves_away_never_arrives() -> None:
    assert judged("0.59").projected_on is None
    assert judged("0.60").projected_on is None


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"indicator": "unknown"}, "indicator"),
        ({"scope": "gtin:abc"}, "scope"),
        ({"target": {"value": "0.8", "by": START}}, "target.by"),
        ({"trajectory": "compound", "baseline": {"on": START, "value": "0"}}, "compound"),
        ({"trajectory": "compound", "target": {"value": "0", "by": BY}}, "compound"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_goal_that_cannot_be_judged_is_refused_by_name(told: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        goal(**told)


STEPS: dict[str, Any] = {
    "trajectory": "step",
    "baseline": {"on": START, "value": "0"},
    "target": {"value": "11", "by": BY},
    "steps": [
        {"by": date(2025, 3, 31), "value": "1", "title": "the first"},
        {"by": date(2026, 10, 31), "value": "5"},
    ],
    "tolerance": "0",
}


@pytest.mark.parametrize(
    ("on", "expected", "value", "status"),
    [
        (date(2025, 3, 30), "0", "0", "on_track"),
        (date(2025, 3, 31), "1", "0", "off_track"),
        (date(2025, 3, 31), "1", "1", "on_track"),
        (date(2026, 10, 30), "1", "1", "on_track"),
        (date(2026, 10, 31), "5", "5", "on_track"),
        (date(2026, 10, 31), "5", "4", "at_risk"),
        (date(2026, 10, 31), "5", "2", "off_track"),
        (BY - timedelta(days=1), "5", "11", "met"),
        (BY, "11", "10", "missed"),
    ],
)
def test_milestones_are_steps_of_the_way(on: date, expected: str, value: str, status: str) -> None:
    found = judged(value, on, **STEPS)
    assert (found.expected, found.status) == (Decimal(expected), status)


def test_each_step_is_shown_with_whether_it_was_reached() -> None:
    shown = judged("4", date(2026, 10, 31), **STEPS).as_json()
    assert shown["steps"] == [
        {"by": "2025-03-31", "value": "1", "title": "the first", "reached": True},
        {"by": "2026-10-31", "value": "5", "title": None, "reached": False},
    ]


EXPORTS: dict[str, Any] = {
    "indicator": "export_value",
    "window": "calendar_year",
    "rate": {"currency": "USD", "vnd": "25000", "source": "assumed"},
    "baseline": {"on": date(2025, 12, 31), "value": "300"},
    "target": {"value": "1000", "by": BY},
    "tolerance": "0",
}


def exported(vnd: str, on: date) -> Assessment:
    found = Measured("export_value", "all", on, Decimal(vnd), None, Decimal(1), {"unit": "vnd"})
    return assess(goal(**EXPORTS), found, on)


@pytest.mark.parametrize(
    ("on", "vnd", "expected", "status"),
    [
        # 300 + 700 x 1 / 1826 = 300.383351588171 in a year, of which one day of 365 has passed.
        (date(2026, 1, 1), "20575", "0.822968086543", "on_track"),
        # Halfway through 2028, a leap year: 300 + 700 x 913 / 1826 = 650, of which 183 days of 366.
        (date(2028, 7, 1), "8125000", "325", "on_track"),  # 325 US$ are 650 a year
        (date(2028, 7, 1), "7500000", "325", "at_risk"),  # 300 of 325: 150 of 175 of the way, 86 %
        (date(2028, 7, 1), "3750000", "325", "off_track"),  # 150: what the baseline would have been by now
        (date(2030, 12, 31), "25000000", "1000", "met"),
        (date(2030, 12, 31), "24999999", "1000", "missed"),
    ],
)
def test_a_flow_of_a_calendar_year_is_expected_in_proportion_and_in_its_currency(
    on: date, vnd: str, expected: str, status: str
) -> None:
    found = exported(vnd, on)
    assert (found.expected, found.status) == (Decimal(expected), status)


def test_the_pace_of_a_flow_is_that_of_whole_years() -> None:
    """325 US$ by the middle of 2028 are 650 a year: 350 more than the baseline, 913 days after it."""
    found = exported("8125000", date(2028, 7, 1))
    assert (found.value, found.gap, found.unit) == (Decimal(325), Decimal(0), "USD")
    assert found.pace == Decimal("139.923329682366")
    assert found.projected_on == BY


def test_the_projection_says_what_it_rests_on() -> None:
    assert judged("0.65").as_json()["projected_from"] == (
        "the pace since the baseline, 0.6 on 2023-12-31, going on as it was"
    )
    assert judged("0.85").as_json()["projected_from"] == "the target is reached"
    assert judged("0.59").as_json()["projected_from"] is None


def told_figure(value: str, period_end: str, on: date, at_deadline: tuple[str, str] | None = None) -> Assessment:
    """A goal of 20 by the end of 2030, from 10 at the end of 2023, that rests on a reported figure."""
    about = {"indicator": "reported:x", "baseline": {"on": START, "value": "10"}, "target": {"value": "20", "by": BY}}

    def said(value: str, period_end: str, on: date) -> Measured:
        return Measured("reported:x", "all", on, Decimal(value), None, Decimal(1), {"period_end": period_end})

    then = None if at_deadline is None else said(*at_deadline, BY)
    return assess(goal(**about, tolerance="0"), said(value, period_end, on), on, then)


def test_a_reported_figure_is_judged_on_the_day_of_which_it_speaks() -> None:
    """On 31 December 2025, 731 of 2,557 days: 12.8588…; whoever looks in the autumn after it looks at that."""
    found = told_figure("12.86", "2025-12-31", date(2026, 10, 1))
    assert (found.status, found.expected) == ("on_track", Decimal("12.858818928430"))
    assert found.as_json()["expected_on"] == "2025-12-31"
    assert told_figure("12", "2025-12-31", date(2026, 10, 1)).status == "at_risk"


def test_a_goal_on_a_reported_figure_is_missed_once_the_figure_of_its_day_is_there() -> None:
    after = date(2031, 2, 1)
    assert told_figure("19", "2029-12-31", after, ("19", "2029-12-31")).status == "on_track"
    assert told_figure("19", "2030-12-31", after, ("19", "2030-12-31")).status == "missed"
    assert told_figure("20", "2030-12-31", after, ("20", "2030-12-31")).status == "met"
