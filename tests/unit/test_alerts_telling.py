"""What of an alert's life is told, and when again: silences, inhibitions, reminders, escalation, reopening."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.alert import Alert, Change, Finding, Severity, State
from services.alerts.lifecycle import Observation, Plan, Verdict, acknowledge, step
from services.alerts.muting import NOT_MUTED, BadPattern, Inhibition, Matcher, Muting, Op, Silence, matches, muting
from services.alerts.telling import Settled, next_at, settle
from tests.unit.alerts_given import NOW

HOUR = timedelta(hours=1)
PLAN = Plan(reopen=2 * HOUR, remind=6 * HOUR, escalate=(4 * HOUR, 24 * HOUR))
QUIET = Muting(("silence:1",), "silenced by ann until later: maintenance", NOW + 5 * HOUR)


def finding(**labels: str) -> Finding:
    return Finding(Severity.WARNING, "wrong", "", "right", "1", "2", labels)


def fired(plan: Plan = PLAN, muted: Muting = NOT_MUTED) -> Settled:
    """An alert that fired at NOW."""
    done = step(None, Observation("a-rule", "goal/a", 1, Verdict.HOLDS, plan, finding()), NOW)
    assert done.alert is not None
    return settle(done.alert, None, done.changes, plan, muted, NOW)


def looked_at(alert: Alert, hours: float, muted: Muting = NOT_MUTED, plan: Plan = PLAN) -> Settled:
    return settle(alert, alert.told_at, (), plan, muted, NOW + hours * HOUR)


def names(done: Settled) -> list[str]:
    return [change.name for change in done.changes if change.is_told]


def test_what_fires_is_told_at_once_and_reminded_of_until_somebody_acknowledges() -> None:
    done = fired()
    assert names(done) == ["firing"]
    assert next_at(done.alert, PLAN, NOT_MUTED) == NOW + 4 * HOUR
    early = looked_at(done.alert, 3.9)
    assert (early.changes, early.alert) == ((), done.alert)
    escalated = looked_at(done.alert, 4)
    assert (names(escalated), escalated.alert.level) == (["escalated.1"], 1)
    reminded = looked_at(escalated.alert, 6)
    assert names(reminded) == ["reminder.1"]
    assert next_at(reminded.alert, PLAN, NOT_MUTED) == NOW + 12 * HOUR
    ours = acknowledge(reminded.alert, "ann", "on it", NOW + 7 * HOUR)
    assert ours.alert is not None
    quiet = settle(ours.alert, ours.alert.told_at, ours.changes, PLAN, NOT_MUTED, NOW + 7 * HOUR)
    assert names(quiet) == ["acknowledged"]
    assert names(looked_at(quiet.alert, 100)) == []
    assert next_at(quiet.alert, PLAN, NOT_MUTED) is None


def test_what_fell_due_while_nobody_looked_is_made_up_for_once() -> None:
    late = looked_at(fired().alert, 31)
    assert names(late) == ["reminder.5", "escalated.1", "escalated.2"]
    assert (late.alert.reminders, late.alert.level) == (5, 2)
    assert names(looked_at(late.alert, 31)) == []
    assert next_at(late.alert, PLAN, NOT_MUTED) == NOW + 36 * HOUR


def test_a_reminder_goes_to_those_who_knew_before_the_alert_was_escalated() -> None:
    late = looked_at(fired().alert, 31)
    assert [(change.name, change.alert.level) for change in late.changes] == [
        ("reminder.5", 0),
        ("escalated.1", 1),
        ("escalated.2", 2),
    ]


def test_a_muted_alert_is_told_when_nothing_holds_it_back_any_more() -> None:
    done = fired(muted=QUIET)
    [change] = done.changes
    assert (change.name, change.is_told, change.alert.muted_by) == ("firing", False, ("silence:1",))
    assert change.why.endswith("not told: silenced by ann until later: maintenance")
    assert next_at(done.alert, PLAN, QUIET) == NOW + 5 * HOUR
    still = looked_at(done.alert, 2, QUIET)
    assert still.changes == ()
    loud = looked_at(still.alert, 5)
    assert (names(loud), loud.alert.muted_by, loud.alert.told_at) == (["unmuted"], (), NOW + 5 * HOUR)
    assert next_at(loud.alert, PLAN, NOT_MUTED) == NOW + 9 * HOUR


def ended(alert: Alert, hours: float, muted: Muting) -> Settled:
    done = step(alert, Observation("a-rule", "goal/a", 2, Verdict.CLEAR, PLAN, finding()), NOW + hours * HOUR)
    assert done.alert is not None
    return settle(done.alert, alert.told_at, done.changes, PLAN, muted, NOW + hours * HOUR)


def test_the_end_of_what_was_never_told_is_not_told_either() -> None:
    for muted in (QUIET, NOT_MUTED):
        done = ended(fired(muted=QUIET).alert, 1, muted)
        assert [(change.name, change.is_told) for change in done.changes] == [("resolved", False)]
        assert done.alert.muted_by == ()


def test_the_end_of_what_was_told_is_told_also_while_it_is_silenced() -> None:
    assert names(ended(fired().alert, 1, QUIET)) == ["resolved"]


def test_a_silence_that_begins_later_stops_reminders_and_its_end_brings_one() -> None:
    quiet = looked_at(fired().alert, 13, QUIET)
    assert (quiet.changes, quiet.alert.muted_by) == ((), ("silence:1",))
    loud = looked_at(quiet.alert, 14)
    assert names(loud) == ["reminder.2", "escalated.1"]


def test_within_its_grace_the_same_alert_opens_again_at_once_and_is_told_anew() -> None:
    resolved = ended(fired().alert, 1, NOT_MUTED).alert
    held_for_days = Plan(hold=48 * HOUR, reopen=2 * HOUR, remind=6 * HOUR)
    seen = Observation("a-rule", "goal/a", 3, Verdict.HOLDS, held_for_days, finding())
    soon = step(resolved, seen, NOW + 2.9 * HOUR)
    assert soon.alert is not None and soon.alert.id == resolved.id
    assert (soon.alert.state, soon.alert.opening, soon.alert.started_at) == (State.FIRING, 2, NOW)
    assert soon.alert.resolved_at is None
    done = settle(soon.alert, resolved.told_at, soon.changes, held_for_days, NOT_MUTED, NOW + 2.9 * HOUR)
    assert [(change.transition.value, change.name) for change in done.changes] == [("reopened", "firing/2")]
    again = settle(done.alert, done.alert.told_at, (), held_for_days, NOT_MUTED, NOW + 9 * HOUR)
    assert names(again) == ["reminder.1/2"]
    late = step(resolved, seen, NOW + 3 * HOUR)
    assert late.alert is not None and late.alert.id != resolved.id and late.alert.state is State.PENDING


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_however_seldom_one_looks_every_escalation_comes_once_and_no_reminder_twice(hours: list[int]) -> None:
    alert, told = fired().alert, list[Change]()
    for hour in sorted(hours):
        done = looked_at(alert, hour)
        alert = done.alert
        told += done.changes
    last = max(hours)
    found = [change.name for change in told]
    assert len(found) == len(set(found))
    assert alert.level == (last >= 4) + (last >= 24)
    assert sum(name.startswith("escalated") for name in found) == alert.level
    assert alert.reminders == last // 6


LABELS = {"rule": "stock-low", "severity": "warning", "scope": "gtin:1", "area": "stock"}


@pytest.mark.parametrize(
    ("name", "op", "value", "holds"),
    [
        ("rule", Op.EQUAL, "stock-low", True),
        ("rule", Op.EQUAL, "stock", False),
        ("rule", Op.NOT_EQUAL, "stock", True),
        ("rule", Op.NOT_EQUAL, "stock-low", False),
        ("rule", Op.MATCHES, "stock-.*", True),
        ("rule", Op.MATCHES, "stock", False),
        ("rule", Op.MATCHES, "goal|stock-low", True),
        ("rule", Op.NOT_MATCHES, "stock", True),
        ("rule", Op.NOT_MATCHES, "stock-.*|x", False),
        ("plant", Op.EQUAL, "", True),
        ("plant", Op.EQUAL, "x", False),
        ("plant", Op.NOT_EQUAL, "x", True),
        ("plant", Op.MATCHES, ".*", True),
    ],
)
def test_matchers_are_those_of_alertmanager(name: str, op: Op, value: str, holds: bool) -> None:
    assert Matcher(name, op, value).holds(LABELS) is holds


def test_a_pattern_that_is_none_is_named_and_a_hostile_one_takes_no_time() -> None:
    with pytest.raises(BadPattern):
        matches("(", "x")
    assert not matches("(a+)+b", "a" * 10_000)


def silence(**more: object) -> Silence:
    given: dict[str, object] = {
        "id": uuid.UUID(int=1),
        "matchers": (Matcher("rule", Op.EQUAL, "a-rule"), Matcher("subject", Op.MATCHES, "goal/.*")),
        "starts_at": NOW,
        "ends_at": NOW + 5 * HOUR,
        "reason": "maintenance",
        "created_by": "ann",
        "created_at": NOW,
    }
    return Silence(**{**given, **more})  # type: ignore[arg-type]


def test_a_silence_mutes_what_all_of_its_matchers_match_from_its_start_to_before_its_end() -> None:
    alert = fired().alert
    quiet = muting(alert, [silence()], {}, (), NOW)
    assert (quiet.by, quiet.until) == ((f"silence:{uuid.UUID(int=1)}",), NOW + 5 * HOUR)
    assert quiet.why == "silenced by ann until 2027-03-01T07:00:00Z: maintenance"
    assert muting(alert, [silence()], {}, (), NOW + 5 * HOUR) == NOT_MUTED
    assert muting(alert, [silence(starts_at=NOW + HOUR)], {}, (), NOW) == NOT_MUTED
    other = (Matcher("rule", Op.EQUAL, "a-rule"), Matcher("severity", Op.EQUAL, "critical"))
    assert muting(alert, [silence(matchers=other)], {}, (), NOW) == NOT_MUTED


PLANT = Inhibition(
    "plant",
    (Matcher("rule", Op.EQUAL, "interruption"),),
    (Matcher("rule", Op.EQUAL, "stock-low"),),
    (("covers", "scope"),),
)


def an_alert(rule: str, state: State = State.FIRING, **labels: str) -> Alert:
    return Alert(uuid.uuid4(), rule, f"x/{rule}", state, 1, 1, NOW, finding(**labels))


def test_a_plant_s_interruption_mutes_the_warnings_about_its_products_and_no_others() -> None:
    plant = an_alert("interruption", covers="gtin:1 gtin:2", scope="site:9")
    inhibitors = dict.fromkeys(PLANT.covered_by(plant), (plant.id,))
    for scope, muted in (("gtin:1", True), ("gtin:2", True), ("gtin:3", False)):
        product = an_alert("stock-low", scope=scope)
        key = PLANT.key_of(product)
        assert key is not None
        found = muting(product, [], inhibitors, [key], NOW)
        assert (bool(found.by), str(plant.id) in found.why, found.until) == (muted, muted, None)


def test_only_what_fires_inhibits_and_what_has_no_label_is_inhibited_by_nothing() -> None:
    assert PLANT.covered_by(an_alert("interruption", State.PENDING, covers="gtin:1")) == set()
    assert PLANT.covered_by(an_alert("interruption", State.RESOLVED, covers="gtin:1")) == set()
    assert len(PLANT.covered_by(an_alert("interruption", State.ACKNOWLEDGED, covers="gtin:1"))) == 1
    assert PLANT.covered_by(an_alert("stock-low", covers="gtin:1")) == set()
    assert PLANT.key_of(an_alert("stock-low", scope="")) is None


def test_an_alert_does_not_mute_itself() -> None:
    everything = (Matcher("rule", Op.MATCHES, ".*"),)
    same = Inhibition("same", everything, everything, (("scope", "scope"),))
    alert, other = an_alert("a", scope="x"), an_alert("b", scope="x")
    key = same.key_of(alert)
    assert key is not None
    assert muting(alert, [], {key: [alert.id]}, [key], NOW) == NOT_MUTED
    assert muting(alert, [], {key: [alert.id, other.id]}, [key], NOW).by == (key,)
