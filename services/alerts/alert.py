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
    """What happened to an alert. WITHDRAWN: its condition ended before it ever fired."""

    PENDING = "pending"
    WITHDRAWN = "withdrawn"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    TEST = "test"


# What others are told of: on supply.alerts.v1 and by webhook.
PUBLIC: Final = frozenset({Transition.FIRING, Transition.ACKNOWLEDGED, Transition.RESOLVED})


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


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Instants are domain time; `opening` counts how often it has been opened, `version` the signal's."""

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
            "labels": found.labels,
            "evidence": found.evidence,
            "links": found.links,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One step in the life of an alert: the alert after it, when (domain time), by whom and why."""

    alert: Alert
    transition: Transition
    at: datetime
    by: str
    why: str

    @property
    def name(self) -> str:
        """The transition's name, unlike any other of the same alert: `firing`, or `firing/2` when opened again."""
        again = "" if self.alert.opening == 1 else f"/{self.alert.opening}"
        return f"{self.transition.value}{again}"


def alert_id(rule: str, subject: str, opened_version: int) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{rule}\n{subject}\n{opened_version}")


def webhook_id(endpoint: uuid.UUID, alert: uuid.UUID, transition: str) -> uuid.UUID:
    """The `webhook-id` of one message to one endpoint, constant over retries, restarts and restores."""
    return uuid.uuid5(NAMESPACE, f"{endpoint}\n{alert}\n{transition}")


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
