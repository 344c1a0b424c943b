"""What supply tells alerts: versioned states of indicators, goals, obligations and anomalies on supply.signals.v1."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SOURCE: Final = "urn:supply-watch:supply"

INDICATOR: Final = "supply.indicator.measured.v1"
GOAL: Final = "supply.goal.assessed.v1"
OBLIGATION: Final = "supply.obligation.changed.v1"
ANOMALY: Final = "supply.anomaly.changed.v1"

TYPE_OF_SUBJECT: Final = {"indicator": INDICATOR, "goal": GOAL, "obligation": OBLIGATION, "anomaly": ANOMALY}

GoalStatus = Literal["on_track", "at_risk", "off_track", "met", "missed", "no_data"]
ObligationState = Literal["open", "met", "cancelled"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Indicator(_Data):
    """An item of GET /indicators: `value` and `coverage` are decimal strings, `why` says why a value is missing."""

    name: str
    scope: str
    on: date
    value: str | None
    why: str | None
    coverage: str | None
    inputs: dict[str, Any]


class Goal(_Data):
    """An item of GET /goals, and the day it speaks of."""

    goal: str
    title: str
    source: str
    indicator: str
    scope: str
    status: GoalStatus
    value: str | None
    expected: str | None
    target: str
    by: date | None
    gap: str | None
    pace: str | None
    required_pace: str | None
    projected_on: date | None
    on: date


class Obligation(_Data):
    """An item of GET /obligations without days_left: alerts keeps the clock."""

    obligation: str
    kind: str
    subject: str
    title: str
    due_on: date | None
    state: ObligationState
    met_on: date | None


class EventRef(_Data):
    source: str
    id: str


class Anomaly(_Data):
    """An item of GET /anomalies; `until` is None while it is open."""

    kind: str
    subject: str
    since: date | datetime
    until: date | datetime | None
    detail: str
    events: tuple[EventRef, ...] = ()


class Signal(_Data):
    """One record of the topic. `version` grows with every change of the subject; a heartbeat repeats it."""

    subject: str
    version: Annotated[int, Field(ge=0, lt=2**63)]
    at: AwareDatetime
    heartbeat: bool = False
    data: dict[str, Any]


def headers(signal: Signal) -> list[tuple[str, bytes]]:
    """The CloudEvents headers of `signal` (binary mode)."""
    kind = TYPE_OF_SUBJECT[signal.subject.partition("/")[0]]
    named = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": f"{signal.subject}@{signal.version}",
        "ce_source": SOURCE,
        "ce_type": kind,
        "ce_time": signal.at.isoformat(),
        "ce_subject": signal.subject,
    }
    return [(name, value.encode()) for name, value in named.items()]
