"""Decides which changes of an alert are told, and when it is told again: muting, reminders, escalation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.alerts.alert import OPENING, TOLD, Alert, Change, State, Transition
from services.alerts.lifecycle import SYSTEM, Plan
from services.alerts.muting import Muting
from shared.clock import rfc3339

NEVER_TOLD = "not told, because its beginning was not"


@dataclass(frozen=True, slots=True)
class Settled:
    """An alert with what it keeps of telling, and its changes: those of its state, then what became due."""

    alert: Alert
    changes: tuple[Change, ...]


def settle(
    alert: Alert, told_at: datetime | None, changes: Sequence[Change], plan: Plan, muted: Muting, now: datetime
) -> Settled:
    """`alert` after `changes` of its state. `told_at`: when receivers knew of it before them.

    The beginning of an alert is held back while it is muted; its acknowledgement and end are told if that was. What
    was held back is told when nothing mutes it any more, if it still fires. Reminders and escalations count from when
    it was first told, and are made up for when they fell due while it was muted or nobody looked.
    """
    done: list[Change] = []
    for change in changes:
        told_at, after = _told(change, told_at, muted)
        done.append(after)
    alert = replace(alert, told_at=told_at, muted_by=muted.by if alert.is_active else ())
    if alert.state is not State.FIRING or muted.by:
        return Settled(alert, tuple(done))
    if alert.told_at is None:
        alert = replace(alert, told_at=now)
        done.append(Change(alert, Transition.UNMUTED, now, SYSTEM, "nothing holds it back any more"))
    return _due(alert, alert.told_at or now, plan, done, now)


def next_at(alert: Alert | None, plan: Plan, muted: Muting) -> datetime | None:
    """When telling must be looked at again."""
    if alert is None or not alert.is_active:
        return None
    if muted.by:
        return muted.until
    if alert.state is not State.FIRING or alert.told_at is None:
        return None
    due = []
    if plan.remind is not None:
        due.append(alert.told_at + plan.remind * (alert.reminders + 1))
    if alert.level < len(plan.escalate):
        due.append(alert.told_at + plan.escalate[alert.level])
    return min(due, default=None)


def _told(change: Change, told_at: datetime | None, muted: Muting) -> tuple[datetime | None, Change]:
    """When receivers knew of the alert after `change`, and the change as it is told or held back."""
    if change.transition not in TOLD:
        return told_at, change
    if change.transition in OPENING:
        if not muted.by:
            return change.at, change
        shown = replace(change.alert, muted_by=muted.by)
        return None, replace(change, alert=shown, held_back=True, why=f"{change.why}; not told: {muted.why}")
    if told_at is None:
        return None, replace(change, held_back=True, why=f"{change.why}; {NEVER_TOLD}".removeprefix("; "))
    return told_at, change


def _due(alert: Alert, told_at: datetime, plan: Plan, done: list[Change], now: datetime) -> Settled:
    """Reminders that were missed are one; each level of escalation is told once, in order."""
    if plan.remind is not None and (count := (now - told_at) // plan.remind) > alert.reminders:
        alert = replace(alert, reminders=count)
        why = f"not acknowledged since {rfc3339(told_at)}"
        done.append(Change(alert, Transition.REMINDER, now, SYSTEM, why))
    while alert.level < len(plan.escalate) and now >= told_at + plan.escalate[alert.level]:
        why = f"not acknowledged within {plan.escalate[alert.level]}"
        alert = replace(alert, level=alert.level + 1)
        done.append(Change(alert, Transition.ESCALATED, now, SYSTEM, why))
    return Settled(alert, tuple(done))
