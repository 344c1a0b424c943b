"""Decides how an alert goes on: pending, firing, acknowledged, resolved. Pure: `now` is handed in."""

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
class Observation:
    """What a rule saw on one subject at one moment."""

    rule: str
    subject: str
    version: int
    verdict: Verdict
    hold: timedelta  # how long the condition must hold before the alert fires
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


def deadline(alert: Alert | None, hold: timedelta) -> datetime | None:
    """When a pending alert fires unless its condition ends before."""
    return alert.started_at + hold if alert is not None and alert.state is State.PENDING else None


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
    """A new alert; or the resolved one again, if it was opened by this very version of the signal."""
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
    )
    if seen.hold <= timedelta():
        return _fire(pending, "the condition holds", now)
    why = f"the condition holds; fires after {seen.hold}"
    return Step(pending, (Change(pending, Transition.PENDING, now, SYSTEM, why),))


def _pending(held: Alert, seen: Observation, now: datetime) -> Step:
    """A pending alert waits only while the condition itself holds."""
    if seen.verdict is not Verdict.HOLDS:
        why = "the condition ended before the alert fired"
        return Step(None, (Change(held, Transition.WITHDRAWN, now, SYSTEM, why),))
    current = replace(held, finding=seen.finding)
    if now < held.started_at + seen.hold:
        return Step(current)
    return _fire(current, f"the condition held for {seen.hold}", now)


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
