"""Decides what a signal, or the passing of time, changes for the alerts of its subject. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from services.alerts import lifecycle
from services.alerts.alert import Alert, Change
from services.alerts.facts import Facts, Signal
from services.alerts.lifecycle import Observation, Plan, Verdict
from services.alerts.links import links
from services.alerts.muting import NOT_MUTED, Muting
from services.alerts.rules import EVALUATION_ERRORS, Rule, RuleSet
from services.alerts.telling import next_at, settle
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
    plans: dict[str, Plan] = field(default_factory=dict)  # by rule


@dataclass(frozen=True, slots=True)
class Told:
    """What `tell` made of an evaluation; `alerts` are all that it had to do with, by id."""

    alerts: dict[uuid.UUID, Alert]
    changes: list[Change]
    wake_at: datetime | None


def evaluate(
    rules: RuleSet,
    signal: Signal,
    held: Mapping[str, Alert],
    supply_url: str,
    now: datetime,
    muted: Callable[[Alert], Muting] = lambda alert: NOT_MUTED,
) -> Evaluation:
    """Applies every rule to `signal` at `now` and says what is told; `held`: the newest alert of each rule."""
    done = observe(rules, signal, held, supply_url, now)
    told = tell(done, {alert.id: alert.told_at for alert in held.values()}, muted, now)
    done.alerts = {rule: told.alerts[alert.id] for rule, alert in done.alerts.items()}
    done.changes, done.wake_at = told.changes, told.wake_at
    return done


def observe(
    rules: RuleSet,
    signal: Signal,
    held: Mapping[str, Alert],
    supply_url: str,
    now: datetime,
) -> Evaluation:
    """The states of the subject's alerts by `signal` at `now`; `held` is the newest alert of each rule."""
    done = Evaluation(dict(held))
    facts, in_force = Facts(signal, day_of(now)), rules.on(signal.subject)
    leading = links(signal, supply_url)
    for rule in in_force:
        _apply(rule, facts, leading, done, now)
    for alert in [alert for alert in held.values() if alert.is_open and alert.rule not in done.plans]:
        _record(
            done,
            alert.rule,
            lifecycle.retire(alert, "the rule is no longer in force", now),
        )
    return done


def tell(
    done: Evaluation,
    told_at: Mapping[uuid.UUID, datetime | None],
    muted: Callable[[Alert], Muting],
    now: datetime,
) -> Told:
    """What of an evaluation is told, and what has become due. `told_at`: by alert, when receivers knew before."""
    alerts = {change.alert.id: change.alert for change in done.changes}
    alerts |= {alert.id: alert for alert in done.alerts.values()}
    of_alert: dict[uuid.UUID, list[Change]] = {identity: [] for identity in alerts}
    for change in done.changes:
        of_alert[change.alert.id].append(change)
    changes: list[Change] = []
    wake_at = done.wake_at
    for identity, alert in alerts.items():
        plan, muting = done.plans.get(alert.rule, Plan()), muted(alert)
        settled = settle(alert, told_at.get(identity), of_alert[identity], plan, muting, now)
        alerts[identity] = settled.alert
        changes += settled.changes
        wake_at = _earlier(wake_at, next_at(settled.alert, plan, muting))
    return Told(alerts, changes, wake_at)


def _apply(rule: Rule, facts: Facts, leading: dict[str, Any], done: Evaluation, now: datetime) -> None:
    done.plans[rule.name] = rule.plan
    try:
        verdict = rule.judge(facts)
        if _matters(verdict, done.alerts.get(rule.name)):
            seen = _observed(rule, facts, leading, verdict, done, now)
            _record(done, rule.name, lifecycle.step(done.alerts.get(rule.name), seen, now))
        day = next_change(rule, facts, verdict, day_of(now))
    except EVALUATION_ERRORS as error:
        done.errors[rule.name] = f"{type(error).__name__}: {error}"
        return
    fires_at = lifecycle.fires_at(done.alerts.get(rule.name), rule.plan)
    if fires_at is not None and fires_at <= now:
        fires_at = None  # it passed while nothing was known: the next signal decides, and looking again would not
    done.wake_at = _earlier(_earlier(done.wake_at, fires_at), None if day is None else start_of(day))


def _matters(verdict: Verdict, held: Alert | None) -> bool:
    """Whether the verdict can change anything: most rules say of most signals that all is well."""
    is_open = held is not None and held.is_open
    return verdict is Verdict.HOLDS or (is_open and verdict is not Verdict.UNKNOWN)


def _observed(
    rule: Rule, facts: Facts, leading: dict[str, Any], verdict: Verdict, done: Evaluation, now: datetime
) -> Observation:
    held, signal = done.alerts.get(rule.name), facts.signal
    facts.began(_began(held, rule.plan, now))
    finding = rule.say(facts, leading)
    return Observation(rule.name, signal.subject, signal.version, verdict, rule.plan, finding)


def _began(held: Alert | None, plan: Plan, now: datetime) -> datetime:
    """Since when it holds what the alert is about, if it is open or opens again."""
    if held is None:
        return now
    return held.started_at if held.is_open or lifecycle.opens_again(held, plan, now) else now


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
