"""How an alert goes on: every state meets every verdict."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts import lifecycle
from services.alerts.alert import Alert, Change, Finding, Severity, State, alert_id, webhook_id
from services.alerts.lifecycle import NotAcknowledgeable, Observation, Plan, Verdict, step
from tests.unit.alerts_given import NOW

HOLD = timedelta(days=2)
FINDING = Finding(Severity.WARNING, "it is wrong", "very", "it is right again", "1", "2")


def seen(verdict: Verdict, version: int = 1, hold: timedelta = HOLD, finding: Finding = FINDING) -> Observation:
    return Observation("a-rule", "goal/a", version, verdict, Plan(hold), finding)


def an_alert(state: State) -> Alert | None:
    """An alert that came to `state` in the usual way."""
    pending = step(None, seen(Verdict.HOLDS), NOW).alert
    if state is State.PENDING:
        return pending
    firing = step(pending, seen(Verdict.HOLDS), NOW + HOLD).alert
    assert firing is not None
    if state is State.FIRING:
        return firing
    if state is State.ACKNOWLEDGED:
        return lifecycle.acknowledge(firing, "ann", "", NOW + HOLD).alert
    return step(firing, seen(Verdict.CLEAR), NOW + HOLD).alert


@pytest.mark.parametrize(
    ("held", "verdict", "after", "changes"),
    [
        (None, Verdict.HOLDS, State.PENDING, ["pending"]),
        (None, Verdict.CLEAR, None, []),
        (None, Verdict.BETWEEN, None, []),
        (None, Verdict.UNKNOWN, None, []),
        (State.PENDING, Verdict.HOLDS, State.PENDING, []),
        (State.PENDING, Verdict.CLEAR, None, ["withdrawn"]),
        (State.PENDING, Verdict.BETWEEN, None, ["withdrawn"]),
        (State.PENDING, Verdict.UNKNOWN, State.PENDING, []),
        (State.FIRING, Verdict.HOLDS, State.FIRING, []),
        (State.FIRING, Verdict.CLEAR, State.RESOLVED, ["resolved"]),
        (State.FIRING, Verdict.BETWEEN, State.FIRING, []),
        (State.FIRING, Verdict.UNKNOWN, State.FIRING, []),
        (State.ACKNOWLEDGED, Verdict.HOLDS, State.ACKNOWLEDGED, []),
        (State.ACKNOWLEDGED, Verdict.CLEAR, State.RESOLVED, ["resolved"]),
        (State.ACKNOWLEDGED, Verdict.BETWEEN, State.ACKNOWLEDGED, []),
        (State.ACKNOWLEDGED, Verdict.UNKNOWN, State.ACKNOWLEDGED, []),
        (State.RESOLVED, Verdict.HOLDS, State.PENDING, ["pending"]),
        (State.RESOLVED, Verdict.CLEAR, State.RESOLVED, []),
        (State.RESOLVED, Verdict.BETWEEN, State.RESOLVED, []),
        (State.RESOLVED, Verdict.UNKNOWN, State.RESOLVED, []),
    ],
)
def test_every_state_meets_every_verdict(
    held: State | None, verdict: Verdict, after: State | None, changes: list[str]
) -> None:
    done = step(None if held is None else an_alert(held), seen(verdict, version=2), NOW + timedelta(days=1))
    assert (done.alert.state if done.alert else None) == after
    assert [change.transition.value for change in done.changes] == changes


def test_an_alert_fires_once_its_condition_has_held_long_enough() -> None:
    pending = step(None, seen(Verdict.HOLDS), NOW).alert
    almost = step(pending, seen(Verdict.HOLDS), NOW + HOLD - timedelta(seconds=1))
    assert almost.alert is not None and almost.alert.state is State.PENDING
    fired = step(almost.alert, seen(Verdict.HOLDS), NOW + HOLD)
    assert fired.alert is not None and fired.alert.state is State.FIRING
    assert (fired.alert.started_at, fired.alert.fired_at) == (NOW, NOW + HOLD)
    assert lifecycle.fires_at(pending, Plan(HOLD)) == NOW + HOLD
    assert lifecycle.fires_at(fired.alert, Plan(HOLD)) is None


def test_without_a_wait_an_alert_fires_at_once_and_was_never_pending() -> None:
    done = step(None, seen(Verdict.HOLDS, hold=timedelta()), NOW)
    assert [change.name for change in done.changes] == ["firing"]


def test_a_resolved_alert_keeps_what_was_wrong_and_says_what_ended_it() -> None:
    better = Finding(Severity.WARNING, "all is well", "", "it is right again", "9", "2")
    done = step(an_alert(State.FIRING), seen(Verdict.CLEAR, finding=better), NOW + timedelta(days=5))
    assert done.alert is not None
    shown = done.alert.as_json()
    assert (shown["summary"], shown["value"], shown["resolution"]) == ("it is wrong", "1", "it is right again")


def test_an_open_alert_shows_the_newest_figures() -> None:
    worse = Finding(Severity.WARNING, "it is worse", "", "", "0", "2")
    done = step(an_alert(State.FIRING), seen(Verdict.HOLDS, finding=worse), NOW + timedelta(days=5))
    assert done.alert is not None and done.alert.finding.summary == "it is worse"
    assert done.changes == ()


def test_the_id_follows_from_rule_subject_and_opening_version() -> None:
    alert = an_alert(State.FIRING)
    assert alert is not None
    assert alert.id == alert_id("a-rule", "goal/a", 1)
    later = step(an_alert(State.RESOLVED), seen(Verdict.HOLDS, version=7), NOW)
    assert later.alert is not None and later.alert.id == alert_id("a-rule", "goal/a", 7)


def test_the_same_version_opens_the_same_alert_again_under_other_webhook_ids() -> None:
    again = step(an_alert(State.RESOLVED), seen(Verdict.HOLDS, hold=timedelta()), NOW + timedelta(days=9))
    former = an_alert(State.RESOLVED)
    assert again.alert is not None and former is not None
    assert (again.alert.id, again.alert.opening) == (former.id, 2)
    assert [change.name for change in again.changes] == ["firing/2"]
    assert webhook_id(former.id, former.id, "firing") != webhook_id(former.id, former.id, "firing/2")


def test_only_a_firing_alert_is_acknowledged() -> None:
    for state in (State.PENDING, State.RESOLVED):
        alert = an_alert(state)
        assert alert is not None
        with pytest.raises(NotAcknowledgeable):
            lifecycle.acknowledge(alert, "ann", "", NOW)
    acknowledged = an_alert(State.ACKNOWLEDGED)
    assert acknowledged is not None
    assert lifecycle.acknowledge(acknowledged, "bob", "", NOW) == lifecycle.Step(acknowledged)
    assert acknowledged.acknowledged_by == "ann"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Verdict, "acknowledge"]),
            st.integers(0, 4),  # days until it happens
            st.booleans(),  # by a new version, or by the passing of time
        ),
        max_size=40,
    ),
    st.sampled_from([timedelta(), HOLD]),
)
def test_there_is_never_more_than_one_open_alert_and_its_changes_keep_their_order(
    history: list[tuple[Verdict | str, int, bool]], hold: timedelta
) -> None:
    """A model holds every alert there ever was, as the database does."""
    alerts: dict[object, Alert] = {}
    newest: Alert | None = None
    told: list[Change] = []
    now, version = NOW, 1
    for what, days, is_new in history:
        now, version = now + timedelta(days=days), version + is_new
        if isinstance(what, Verdict):
            done = step(newest, seen(what, version, hold), now)
        elif newest is not None and newest.state is State.FIRING:
            done = lifecycle.acknowledge(newest, "ann", "", now)
        else:
            continue
        if done.alert is None and newest is not None:
            alerts.pop(newest.id)
        newest = done.alert
        if newest is not None:
            alerts[newest.id] = newest
        told += done.changes
    assert sum(alert.is_open for alert in alerts.values()) <= 1
    follows = {"pending": {"firing", "withdrawn"}, "firing": {"acknowledged", "resolved"}, "acknowledged": {"resolved"}}
    for before, after in pairwise(told):
        expected = follows.get(before.transition.value, {"pending", "firing"})
        assert after.transition.value in expected
        if before.transition.value in follows:
            assert after.alert.id == before.alert.id
        assert after.at >= before.at
    public = [(change.alert.id, change.name) for change in told if change.transition.value in ("firing", "resolved")]
    assert len(public) == len(set(public))
