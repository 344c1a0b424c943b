"""Decides how an alert goes on: pending, firing, acknowledged, resolved, reopened. Pure: `now` is handed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from services.alerts.alert import Alert, Change, Finding, State, Transition, alert_id

SYSTEM: Final = "supply-watch"


class Verdict(Enum):
    """What a rule's conditions say of a signal."""

    HOLDS = auto()  # the condition holds
    CLEAR = auto()  # the clear condition holds
    BETWEEN = auto()  # neither does: an open alert stays open, a new one is not opened
    UNKNOWN = auto()  # the signal has nothing to say: as BETWEEN, and the alert keeps what it last showed


class NotAcknowledgeable(Exception):
    """The alert is not firing, so that there is nothing to acknowledge."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rule says of time."""

    hold: timedelta = timedelta()  # how long the condition must hold before the alert fires
    reopen: timedelta = timedelta()  # within this after it was resolved, the same alert opens again
    remind: timedelta | None = None  # how often receivers are told again until somebody acknowledges
    escalate: tuple[timedelta, ...] = ()  # after which times without acknowledgement the next level is told


@dataclass(frozen=True, slots=True)
class Observation:
    """What a rule saw on one subject at one moment."""

    rule: str
    subject: str
    version: int
    verdict: Verdict
    plan: Plan
    finding: Finding


@dataclass(frozen=True, slots=True)
class Step:
    """The alert after an observation (None: there is none, or none any more) and what happened to it."""

    alert: Alert | None
    changes: tuple[Change, ...] = ()


def step(held: Alert | None, seen: Observation, now: datetime) -> Step:
    """What becomes of `held`, the newest alert of the rule and subject, if any."""
    if held is None or not held.is_open:
        return _open(held, seen, now) if seen.verdict is Verdict.HOLDS else Step(held)
    if seen.verdict is Verdict.UNKNOWN:
        return Step(held)
    if held.state is State.PENDING:
        return _pending(held, seen, now)
    if seen.verdict is Verdict.CLEAR:
        return _resolve(held, seen.finding.resolution, now)
    return Step(replace(held, finding=seen.finding))


def fires_at(alert: Alert | None, plan: Plan) -> datetime | None:
    """When a pending alert fires unless its condition ends before."""
    return alert.started_at + plan.hold if alert is not None and alert.state is State.PENDING else None


def opens_again(former: Alert, plan: Plan, now: datetime) -> bool:
    """Whether a resolved alert would be opened again if its condition held at `now`."""
    return bool(plan.reopen) and former.resolved_at is not None and now - former.resolved_at < plan.reopen


def acknowledge(held: Alert, by: str, why: str, now: datetime) -> Step:
    """`held` acknowledged by a person; unchanged if it already is. Raises NotAcknowledgeable."""
    if held.state is State.ACKNOWLEDGED:
        return Step(held)
    if held.state is not State.FIRING:
        raise NotAcknowledgeable(f"the alert is {held.state}")
    after = replace(held, state=State.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=by)
    return Step(after, (Change(after, Transition.ACKNOWLEDGED, now, by, why),))


def retire(held: Alert, why: str, now: datetime) -> Step:
    """The end of an alert whose rule is no longer in force."""
    if held.state is State.PENDING:
        return Step(None, (Change(held, Transition.WITHDRAWN, now, SYSTEM, why),))
    return _resolve(held, why, now)


def _open(former: Alert | None, seen: Observation, now: datetime) -> Step:
    """A new alert; or the resolved one again, within its grace or if this very version of the signal opened it."""
    if former is not None and opens_again(former, seen.plan, now):
        return _reopen(former, seen, now)
    identity = alert_id(seen.rule, seen.subject, seen.version)
    opening = former.opening + 1 if former is not None and former.id == identity else 1
    pending = Alert(
        id=identity,
        rule=seen.rule,
        subject=seen.subject,
        state=State.PENDING,
        opened_version=seen.version,
        opening=opening,
        started_at=now,
        finding=seen.finding,
        group=seen.finding.group,
    )
    hold = seen.plan.hold
    if hold <= timedelta():
        return _fire(pending, "the condition holds", now)
    why = f"the condition holds; fires after {hold}"
    return Step(pending, (Change(pending, Transition.PENDING, now, SYSTEM, why),))


def _reopen(former: Alert, seen: Observation, now: datetime) -> Step:
    """It fires at once: how long its condition must hold has been waited for before."""
    again = replace(
        former,
        state=State.FIRING,
        opening=former.opening + 1,
        fired_at=now,
        acknowledged_at=None,
        acknowledged_by=None,
        resolved_at=None,
        told_at=None,
        reminders=0,
        level=0,
        finding=seen.finding,
    )
    why = f"the condition holds again within {seen.plan.reopen} of its end"
    return Step(again, (Change(again, Transition.REOPENED, now, SYSTEM, why),))


def _pending(held: Alert, seen: Observation, now: datetime) -> Step:
    """A pending alert waits only while the condition itself holds."""
    if seen.verdict is not Verdict.HOLDS:
        why = "the condition ended before the alert fired"
        return Step(None, (Change(held, Transition.WITHDRAWN, now, SYSTEM, why),))
    current = replace(held, finding=seen.finding)
    if now < held.started_at + seen.plan.hold:
        return Step(current)
    return _fire(current, f"the condition held for {seen.plan.hold}", now)


def _fire(alert: Alert, why: str, now: datetime) -> Step:
    firing = replace(alert, state=State.FIRING, fired_at=now)
    return Step(firing, (Change(firing, Transition.FIRING, now, SYSTEM, why),))


def _resolve(held: Alert, why: str, now: datetime) -> Step:
    """The alert keeps what it showed while it was open; `resolution` says what ended it."""
    resolved = replace(
        held,
        state=State.RESOLVED,
        resolved_at=now,
        finding=replace(held.finding, resolution=why),
    )
    return Step(resolved, (Change(resolved, Transition.RESOLVED, now, SYSTEM, why),))
