"""The demo counts a webhook only if it is signed, about the right alert, and of the right time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from deploy.local.expectations import Arrival, arrival_of, awaited, missing, passed_through
from deploy.local.simulator.story import Expected, ExpectedAlert, ExpectedGoal, Turn
from shared.clock import start_of

LIVE_START = start_of(date(2026, 9, 1))
RULE, SUBJECT = "goal-at-risk", "goal/vn"


def expected(firing: date, resolved: date | None = None) -> Expected:
    end = None if resolved is None else Turn(day=resolved, because="it recovers")
    begin = Turn(day=firing, because="it slips")
    return Expected(goals=(), alerts=(ExpectedAlert(rule=RULE, subject=SUBJECT, firing=begin, resolved=end),))


def arrival(transition: str, day: date, *, verified: bool = True, rule: str = RULE, hours: int = 12) -> Arrival:
    told_at = start_of(day) + timedelta(hours=hours)
    return Arrival(rule, SUBJECT, transition, verified, told_at, told_at, "at risk")


def came(wanted: Expected, *arrivals: Arrival) -> list[bool]:
    return [change.arrival is not None for change in awaited(wanted, arrivals, LIVE_START)]


def test_a_beginning_and_an_end_are_found_in_their_order() -> None:
    wanted = expected(date(2026, 10, 14), date(2026, 12, 5))
    firing, resolved = arrival("firing", date(2026, 10, 15)), arrival("resolved", date(2026, 12, 6))
    assert came(wanted, firing, resolved) == [True, True]
    assert came(wanted, firing) == [True, False]
    assert came(wanted, arrival("resolved", date(2026, 10, 14)), firing) == [True, False]


def test_a_webhook_without_a_good_signature_counts_for_nothing() -> None:
    assert came(expected(date(2026, 10, 14)), arrival("firing", date(2026, 10, 14), verified=False)) == [False]


def test_an_alert_of_another_rule_counts_for_nothing() -> None:
    assert came(expected(date(2026, 10, 14)), arrival("firing", date(2026, 10, 14), rule="goal-missed")) == [False]


def test_what_came_and_went_while_history_was_read_is_not_what_the_story_provokes() -> None:
    before = [arrival(kind, date(2026, 9, 1), hours=0) for kind in ("firing", "resolved")]
    assert came(expected(date(2026, 10, 14), date(2026, 12, 5)), *before) == [False, False]


def test_what_holds_when_the_live_days_begin_is_expected_then() -> None:
    wanted = expected(date(2026, 9, 1), date(2026, 9, 22))
    begun = arrival("firing", date(2026, 9, 1), hours=0)
    assert came(wanted, begun, arrival("resolved", date(2026, 9, 23))) == [True, True]


def test_statuses_count_in_their_order_with_others_between() -> None:
    seen = ["on_track", "at_risk", "off_track", "at_risk", "on_track"]
    assert passed_through(("on_track", "off_track", "on_track"), seen)
    assert not passed_through(("off_track", "on_track", "at_risk"), seen)


def test_what_is_missing_is_named() -> None:
    wanted = expected(date(2026, 10, 14))
    wanted = Expected(goals=(ExpectedGoal(goal="vn", statuses=("on_track", "at_risk")),), alerts=wanted.alerts)
    lines = missing(wanted, awaited(wanted, [], LIVE_START), {"vn": ["on_track"]})
    assert lines == [
        "no verified webhook: goal-at-risk of goal/vn firing",
        "goal vn: on_track instead of on_track → at_risk",
    ]


def test_a_line_of_the_receivers_log_is_read_and_a_test_message_is_passed_over() -> None:
    received_at = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
    alert = {"rule": RULE, "subject": SUBJECT, "summary": "at risk", "resolution": None}
    body: dict[str, Any] = {"type": "supply.alert.firing.v1", "time": "2026-10-14T17:00:00Z", "data": alert}
    line = {"received_at": "2026-11-24T01:02:03Z", "verified": True, "body": body}
    found = arrival_of(line)
    assert found is not None
    assert (found.transition, found.received_at, found.rule) == ("firing", received_at, RULE)
    assert arrival_of({**line, "body": "pong"}) is None


def test_an_arrival_leads_to_the_events_behind_it_or_to_the_figure() -> None:
    for links, link in (
        ({"anomaly": "http://a", "events": ["http://e1", "http://e2"]}, "http://e1"),
        ({"goal": "http://g", "indicator": "http://i"}, "http://g"),
        ({"anomaly": "http://a", "events": []}, "http://a"),
        ({}, ""),
    ):
        alert = {"rule": RULE, "subject": SUBJECT, "summary": "at risk", "links": links}
        body = {"type": "supply.alert.firing.v1", "time": "2026-10-14T17:00:00Z", "data": alert}
        found = arrival_of({"received_at": "2026-11-24T01:02:03Z", "verified": True, "body": body})
        assert found is not None and found.link == link
