"""The story comes out as it is told: shares, statuses and dates, worked out again in plain dicts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from deploy.local.simulator.story import ExpectedAlert, Turn
from tests.unit.plain_figures import status
from tests.unit.scenario_told import ONE_DAY, figures, goals, scenario, told

LIVE_START = date(2026, 9, 1)
STATUS_OF_RULE = {"goal-at-risk": "at_risk", "goal-off-track": "off_track"}
GOAL_ALERTS = [alert for alert in scenario().story.expected.alerts if alert.rule in STATUS_OF_RULE]
OBLIGATION_ALERTS = [alert for alert in scenario().story.expected.alerts if alert.subject.startswith("obligation/")]


def share(goal_id: str, day: date) -> Decimal | None:
    goal = goals()[goal_id]
    return figures(day).share(goal["scope"], day, value=goal["indicator"] == "domestic_share_value")


def status_on(goal_id: str, day: date) -> str:
    return status(goals()[goal_id], share(goal_id, day), day)


def named(alert: ExpectedAlert) -> str:
    return f"{alert.rule} {alert.subject}"


def test_two_thirds_of_the_volume_and_half_of_the_value_are_domestic_when_the_live_days_begin() -> None:
    volume, value = share("vn-2030-domestic-volume", LIVE_START), share("vn-2030-domestic-value", LIVE_START)
    assert volume is not None and value is not None
    assert Decimal("0.60") < volume < Decimal("0.70")
    assert Decimal("0.46") < value < Decimal("0.50")


@pytest.mark.parametrize("alert", GOAL_ALERTS, ids=named)
def test_a_goal_gets_the_status_that_provokes_its_alert_on_the_day_that_the_story_says(alert: ExpectedAlert) -> None:
    goal_id, bad = alert.subject.removeprefix("goal/"), STATUS_OF_RULE[alert.rule]
    assert status_on(goal_id, alert.firing.day) == bad
    if alert.firing.day > LIVE_START:
        assert status_on(goal_id, alert.firing.day - ONE_DAY) != bad
    if alert.resolved is not None:
        worse = {"at_risk", "off_track"} if bad == "at_risk" else {"off_track"}
        assert status_on(goal_id, alert.resolved.day) not in worse
        assert status_on(goal_id, alert.resolved.day - ONE_DAY) in worse


def test_each_goal_begins_and_ends_the_live_days_with_the_statuses_of_the_story() -> None:
    last_day = LIVE_START + timedelta(days=scenario().story.live.days - 1)
    for expected in scenario().story.expected.goals:
        assert status_on(expected.goal, LIVE_START) == expected.statuses[0]
        assert status_on(expected.goal, last_day) == expected.statuses[-1]


@pytest.mark.parametrize("alert", OBLIGATION_ALERTS, ids=named)
def test_a_milestone_is_due_and_reached_on_the_days_that_the_story_says(alert: ExpectedAlert) -> None:
    agreement_id, _, name = alert.subject.removeprefix("obligation/").partition(":")
    agreement = next(item for item in scenario().agreements if item.agreement == agreement_id)
    milestone = next(item for item in agreement.milestones if item.milestone == name)
    assert milestone.due_on is not None
    days = timedelta(days=30) if alert.rule == "obligation-due-soon" else -ONE_DAY
    assert alert.firing.day == max(LIVE_START, milestone.due_on - days)
    assert alert.resolved == Turn(day=milestone.reached_on or evidence_of(name), because=alert.resolved.because)  # type: ignore[union-attr]


def evidence_of(milestone: str) -> date:
    """The day of the first grant, or the first release, of what Ampharco makes under the agreement."""
    gtins = {product.gtin for _, product in scenario().products() if product.agreement == "servier-ampharco"}
    if milestone == "first-registered":
        return min(product.granted_on for _, product in scenario().products() if product.gtin in gtins)
    released = (said.event["data"] for said in told() if said.event["type"] == "supply.batch.released.v1")
    return min(date.fromisoformat(data["released_on"]) for data in released if data["gtin"] in gtins)


def test_the_live_days_end_after_everything_that_the_story_expects() -> None:
    story = scenario().story
    last = max(turn.day for alert in story.expected.alerts for turn in (alert.firing, alert.resolved) if turn)
    assert last < (story.live_start + timedelta(days=story.live.days)).date()
    assert story.live.days / story.live.demo_days_per_second <= 100
