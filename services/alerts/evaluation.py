"""Decides what a signal, or the passing of time, changes for the alerts of its subject. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from services.alerts import lifecycle
from services.alerts.alert import Alert, Change
from services.alerts.facts import Facts, Signal
from services.alerts.lifecycle import Observation, Verdict
from services.alerts.links import links
from services.alerts.rules import EVALUATION_ERRORS, Rule, RuleSet
from shared.clock import day_of, start_of

# How far ahead is looked for the day on which a verdict changes by itself; after it the search is made again.
HORIZON_DAYS: Final = 60


@dataclass(slots=True)
class Evaluation:
    """The alerts of one subject by rule after an evaluation, what happened, and when to look again."""

    alerts: dict[str, Alert]
    changes: list[Change] = field(default_factory=list)
    wake_at: datetime | None = None
    errors: dict[str, str] = field(default_factory=dict)  # by rule: why it could not read the signal


def evaluate(
    rules: RuleSet,
    signal: Signal,
    held: Mapping[str, Alert],
    supply_url: str,
    now: datetime,
) -> Evaluation:
    """Applies every rule to `signal` at `now`; `held` is the newest alert of each rule for this subject."""
    done = Evaluation(dict(held))
    facts, in_force = Facts(signal, day_of(now)), rules.on(signal.subject)
    leading = links(signal, supply_url)
    for rule in in_force:
        _apply(rule, facts, leading, done, now)
    names = {rule.name for rule in in_force}
    for alert in [alert for alert in held.values() if alert.is_open and alert.rule not in names]:
        _record(
            done,
            alert.rule,
            lifecycle.retire(alert, "the rule is no longer in force", now),
        )
    return done


def _apply(rule: Rule, facts: Facts, leading: dict[str, Any], done: Evaluation, now: datetime) -> None:
    try:
        verdict = rule.judge(facts)
        if verdict is not Verdict.UNKNOWN:
            seen = _observed(rule, facts, leading, verdict, done, now)
            _record(done, rule.name, lifecycle.step(done.alerts.get(rule.name), seen, now))
        day = next_change(rule, facts, verdict, day_of(now))
    except EVALUATION_ERRORS as error:
        done.errors[rule.name] = f"{type(error).__name__}: {error}"
        return
    fires_at = lifecycle.deadline(done.alerts.get(rule.name), rule.hold)
    if fires_at is not None and fires_at <= now:
        fires_at = None  # it passed while nothing was known: the next signal decides, and looking again would not
    done.wake_at = _earlier(_earlier(done.wake_at, fires_at), None if day is None else start_of(day))


def _observed(
    rule: Rule, facts: Facts, leading: dict[str, Any], verdict: Verdict, done: Evaluation, now: datetime
) -> Observation:
    held, signal = done.alerts.get(rule.name), facts.signal
    facts.began(held.started_at if held is not None and held.is_open else now)
    finding = rule.say(facts, leading)
    return Observation(rule.name, signal.subject, signal.version, verdict, rule.hold, finding)


def next_change(rule: Rule, facts: Facts, verdict: Verdict, today: date) -> date | None:
    """The first day on which `rule` judges otherwise although nothing is signalled; None if days do not matter."""
    if not rule.reads_days or facts.signal.due_on is None:
        return None
    try:
        for ahead in range(1, HORIZON_DAYS + 1):
            day = today + timedelta(days=ahead)
            facts.move_to(day)
            if rule.judge(facts) is not verdict:
                return day
        return today + timedelta(days=HORIZON_DAYS)
    finally:
        facts.move_to(today)


def _record(done: Evaluation, rule: str, step: lifecycle.Step) -> None:
    done.changes.extend(step.changes)
    if step.alert is None:
        done.alerts.pop(rule, None)
    else:
        done.alerts[rule] = step.alert


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)
