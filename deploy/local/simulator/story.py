"""The shape of story.yaml: what happens in the scenario, when, and what the demo waits for."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Data):
    figure: str
    scope: str
    period_end: date
    reported_on: date
    value: str
    unit: str
    source: str


class Interruption(_Data):
    """From `started_on` until the day before `resolved_on` the site makes nothing."""

    interruption: str
    firm: str
    site: str
    cause: str
    started_on: date
    expected_until: date
    resolved_on: date


class Pace(_Data):
    """From `since` until the day before `until` these packs are supplied at `factor` times their usual pace."""

    why: str
    since: date
    until: date
    factor: float
    site: str | None = None
    gtins: tuple[str, ...] = ()


class Recall(_Data):
    """The fullest lot of the product is recalled; what is left of it is destroyed."""

    gtin: str
    level: Literal[1, 2, 3]
    reason: str
    recalled_on: date
    closed_on: date
    destroyed_on: date


class Suspension(_Data):
    authorisation: str
    reason: str
    suspended_on: date
    reinstated_on: date


class LateRelease(_Data):
    """The first lot of the product released from `released_from` on is told `days` late: the book is short."""

    gtin: str
    released_from: date
    days: int


class Mishaps(_Data):
    """How often things go wrong, in a thousand."""

    rejected_lots: int
    misread_quantities: int
    corrected_again: int
    late_reports: int
    said_twice: int
    broken_packs: int
    returned_lots: int


class Live(_Data):
    """How the demo runs: domain days a real second after standing still for `hold_seconds`."""

    days: int
    demo_days_per_second: float
    demo_hold_seconds: float


class ExpectedGoal(_Data):
    """The statuses that a goal passes through in this order once the live days have begun."""

    goal: str
    statuses: tuple[str, ...]


class Turn(_Data):
    """A change of an alert, the day of what provokes it and what that is."""

    day: date
    because: str


class ExpectedAlert(_Data):
    """An alert that must reach the receiver, and its end if it is to end."""

    rule: str
    subject: str
    firing: Turn
    resolved: Turn | None = None


class Expected(_Data):
    goals: tuple[ExpectedGoal, ...]
    alerts: tuple[ExpectedAlert, ...]


class Story(_Data):
    seed: int
    history_start: date
    live_start: datetime
    live: Live
    mishaps: Mishaps
    interruptions: tuple[Interruption, ...]
    pace: tuple[Pace, ...]
    recalls: tuple[Recall, ...]
    suspensions: tuple[Suspension, ...]
    late_releases: tuple[LateRelease, ...]
    figures: tuple[Figure, ...]
    expected: Expected
