"""Says what an alert is: the state of one rule for one subject, and what the rule found."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.clock import rfc3339

# The namespace of every id derived here: ids are the same after a restore or on another machine.
NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:supply-watch:alerts")


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Transition(StrEnum):
    """What happened to an alert."""

    PENDING = "pending"
    WITHDRAWN = "withdrawn"  # its condition ended before it ever fired
    FIRING = "firing"
    REOPENED = "reopened"  # its condition holds again soon after it was resolved
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    REMINDER = "reminder"  # it still fires and nobody has acknowledged it
    ESCALATED = "escalated"  # nobody has acknowledged it in time: the next level of endpoints is told
    UNMUTED = "unmuted"  # what held it back has ended, and it still fires
    TEST = "test"


# What is published on supply.alerts.v1: changes of state.
PUBLIC: Final = frozenset({Transition.FIRING, Transition.REOPENED, Transition.ACKNOWLEDGED, Transition.RESOLVED})
# What webhooks tell, unless it is muted.
TOLD: Final = PUBLIC | {Transition.REMINDER, Transition.ESCALATED, Transition.UNMUTED}
# Those that begin or begin anew to fire.
OPENING: Final = frozenset({Transition.FIRING, Transition.REOPENED})
# How receivers see the rest: their types are firing, acknowledged, resolved, reminder and test.
_SHOWN_AS: Final = {
    Transition.REOPENED: "firing",
    Transition.ESCALATED: "firing",
    Transition.UNMUTED: "firing",
}


def shown_as(transition: str) -> str:
    """The word for `transition` in the type of a webhook or record."""
    return _SHOWN_AS.get(Transition(transition), transition)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says of a signal: everything of an alert that is not its lifecycle."""

    severity: Severity
    summary: str
    description: str
    resolution: str
    value: str | None
    threshold: str | None
    labels: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    links: dict[str, Any] = field(default_factory=dict)
    group: str | None = None  # alerts of one group are told together


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Instants are domain time; `opening` counts how often it has been opened, `version` the signal's.

    `told_at`: when receivers were first told of this opening; None while that is held back. `reminders` and `level`
    (of escalation) count from there. `muted_by` names the silences and inhibitions that hold it back now.
    """

    id: uuid.UUID
    rule: str
    subject: str
    state: State
    opened_version: int
    opening: int
    started_at: datetime
    finding: Finding
    fired_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    told_at: datetime | None = None
    reminders: int = 0
    level: int = 0
    muted_by: tuple[str, ...] = ()
    group: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it fires, acknowledged or not."""
        return self.state in (State.FIRING, State.ACKNOWLEDGED)

    def matched(self) -> dict[str, str]:
        """What matchers look at: rule, severity, subject and every label."""
        own = {"rule": self.rule, "severity": self.finding.severity.value, "subject": self.subject}
        return {**self.finding.labels, **own}

    @property
    def is_open(self) -> bool:
        return self.state is not State.RESOLVED

    def as_json(self) -> dict[str, Any]:
        """The alert as in GET /alerts and in a webhook."""
        found = self.finding
        return {
            "id": str(self.id),
            "rule": self.rule,
            "subject": self.subject,
            "severity": found.severity.value,
            "state": self.state.value,
            "summary": found.summary,
            "description": found.description,
            "resolution": found.resolution if self.state is State.RESOLVED else None,
            "value": found.value,
            "threshold": found.threshold,
            "started_at": rfc3339(self.started_at),
            "fired_at": _instant(self.fired_at),
            "acknowledged_at": _instant(self.acknowledged_at),
            "acknowledged_by": self.acknowledged_by,
            "resolved_at": _instant(self.resolved_at),
            "level": self.level,
            "muted_by": list(self.muted_by),
            "group": self.group,
            "labels": found.labels,
            "evidence": found.evidence,
            "links": found.links,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One step in the life of an alert: the alert after it, when (domain time), by whom and why.

    `held_back`: no webhook tells it, because the alert is muted or its beginning was.
    """

    alert: Alert
    transition: Transition
    at: datetime
    by: str
    why: str
    held_back: bool = False

    @property
    def is_told(self) -> bool:
        return self.transition in TOLD and not self.held_back

    @property
    def name(self) -> str:
        """Unlike any other of the same alert: `firing`, `firing/2` when opened again, `reminder.3`, `escalated.1`."""
        again = "" if self.alert.opening == 1 else f"/{self.alert.opening}"
        match self.transition:
            case Transition.REMINDER:
                return f"reminder.{self.alert.reminders}{again}"
            case Transition.ESCALATED:
                return f"escalated.{self.alert.level}{again}"
            case Transition.REOPENED:
                return f"firing{again}"
        return f"{self.transition.value}{again}"


def alert_id(rule: str, subject: str, opened_version: int) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{rule}\n{subject}\n{opened_version}")


def group_id(group: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"group\n{group}")


def webhook_id(endpoint: uuid.UUID, alert: uuid.UUID, transition: str) -> uuid.UUID:
    """The `webhook-id` of one message about an alert or group, constant over retries, restarts and restores."""
    return uuid.uuid5(NAMESPACE, f"{endpoint}\n{alert}\n{transition}")


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
