"""Judges goals: where a value should be on a day, whether it is on its path, when it would arrive. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from services.supply.figures import EXACT, Measured, quotient, text
from services.supply.indicators import INDICATORS, indicator
from services.supply.scopes import parse_scope

Status = Literal["on_track", "at_risk", "off_track", "met", "missed", "no_data"]
FAR: Final = timedelta(days=365 * 100)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Baseline(_Model):
    on: date
    value: Decimal
    source: str | None = None


class Target(_Model):
    value: Decimal
    by: date | None = None


class Bands(_Model):
    """Shares of the way that should have been made by today."""

    on_track: Decimal = Decimal("0.95")
    off_track: Decimal = Decimal("0.60")


class Goal(_Model):
    """One goal of deploy/goals. Without `target.by` it has no trajectory."""

    goal: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    title: str
    source: str
    indicator: str
    scope: str
    window: Literal["days_365", "calendar_year", "ever"] = "days_365"
    baseline: Baseline
    target: Target
    trajectory: Literal["linear", "compound", "step"] = "linear"
    bands: Bands = Bands()
    tolerance: Decimal = Decimal("0.005")
    min_coverage: Decimal = Decimal("0.50")

    @field_validator("indicator")
    @classmethod
    def _known_indicator(cls, name: str) -> str:
        if indicator(name) is None:
            raise ValueError(f"not an indicator; there are {', '.join(INDICATORS)} and reported:<figure>")
        return name

    @field_validator("scope")
    @classmethod
    def _known_scope(cls, scope: str) -> str:
        parse_scope(scope)
        return scope

    @model_validator(mode="after")
    def _in_order(self) -> Goal:
        if self.target.by is not None and self.target.by <= self.baseline.on:
            raise ValueError("target.by must lie after baseline.on")
        if self.trajectory == "compound" and min(self.baseline.value, self.target.value) <= 0:
            raise ValueError("a compound trajectory needs a baseline and a target above 0")
        return self


class Assessment(msgspec.Struct, frozen=True):
    """A goal on a day."""

    goal: Goal
    on: date
    status: Status
    measured: Measured
    expected: Decimal | None
    gap: Decimal | None
    pace: Decimal | None
    required_pace: Decimal | None
    projected_on: date | None

    def as_json(self) -> dict[str, Any]:
        """An item of GET /goals; paces are per year of 365 days."""
        return {
            "goal": self.goal.goal,
            "title": self.goal.title,
            "source": self.goal.source,
            "indicator": self.goal.indicator,
            "scope": self.goal.scope,
            "status": self.status,
            "value": text(self.measured.value),
            "expected": text(self.expected),
            "target": text(self.goal.target.value),
            "by": self.goal.target.by and self.goal.target.by.isoformat(),
            "gap": text(self.gap),
            "pace": text(self.pace),
            "required_pace": text(self.required_pace),
            "projected_on": self.projected_on and self.projected_on.isoformat(),
            "projected_from": "pace since the baseline" if self.projected_on else None,
            "why": self.measured.why,
            "coverage": text(self.measured.coverage),
            "baseline": {"on": self.goal.baseline.on.isoformat(), "value": text(self.goal.baseline.value)},
            "inputs": self.measured.inputs,
            "on": self.on.isoformat(),
        }


class _Words(yaml.SafeLoader):
    """YAML 1.1 reads the key `on` as true; in goals it is a word, and there are no true and false."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the loader's own table, less one row
        first: [row for row in rows if row[0] != "tag:yaml.org,2002:bool"]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class BadGoals(Exception):
    """A goals file is wrong; the message names file, goal and field."""


def load_goals(folder: Path) -> list[Goal]:
    """The goals of every *.yaml in `folder`, by id. Raises BadGoals."""
    found: dict[str, Goal] = {}
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise BadGoals(f"{folder}: no *.yaml with goals")
    for path in files:
        for goal in _read(path):
            if goal.goal in found:
                raise BadGoals(f"{path}: the goal {goal.goal} is defined twice")
            found[goal.goal] = goal
    return [found[name] for name in sorted(found)]


def _read(path: Path) -> list[Goal]:
    try:
        told = yaml.load(path.read_text(encoding="utf-8"), _Words)
        return TypeAdapter(list[Goal]).validate_python(told)
    except yaml.YAMLError as error:
        raise BadGoals(f"{path}: {error}") from None
    except ValidationError as error:
        lines = (f"{path}: goal {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise BadGoals("\n".join(lines)) from None


def goals_hash(goals: Iterable[Goal]) -> str:
    """A hash of the definitions that an answer rests on."""
    return sha256("\n".join(goal.model_dump_json() for goal in goals).encode()).hexdigest()


def expected_on(goal: Goal, day: date) -> Decimal | None:
    """Where the value should be on `day`; None for an undated goal."""
    if goal.target.by is None:
        return None
    start, end = goal.baseline.value, goal.target.value
    if day >= goal.target.by:
        return end
    if day <= goal.baseline.on or goal.trajectory == "step":
        return start
    way = quotient((day - goal.baseline.on).days, (goal.target.by - goal.baseline.on).days)
    if goal.trajectory == "compound":
        return EXACT.multiply(start, EXACT.power(EXACT.divide(end, start), way)).quantize(Decimal("1e-12"))
    return EXACT.add(start, EXACT.multiply(end - start, way)).quantize(Decimal("1e-12"))


def reached(goal: Goal, value: Decimal) -> bool:
    rising = goal.target.value >= goal.baseline.value
    return value >= goal.target.value if rising else value <= goal.target.value


def assess(goal: Goal, measured: Measured, on: date, at_deadline: Measured | None = None) -> Assessment:
    """The goal on `on`. After its date it stays what `at_deadline`, the measurement of that day, made it."""
    deadline = goal.target.by
    judged = at_deadline if deadline is not None and on > deadline and at_deadline is not None else measured
    expected = expected_on(goal, on)
    status = _status(goal, judged, expected, final=deadline is not None and on >= deadline)
    value = measured.value
    pace = required = projected = None
    if value is not None:
        pace = _a_year(value - goal.baseline.value, (on - goal.baseline.on).days)
        if deadline is not None and on < deadline:
            required = _a_year(goal.target.value - value, (deadline - on).days)
        projected = _projected(goal, value, on)
    return Assessment(
        goal=goal,
        on=on,
        status=status,
        measured=measured,
        expected=expected,
        gap=None if value is None or expected is None else value - expected,
        pace=pace,
        required_pace=required,
        projected_on=projected,
    )


def _status(goal: Goal, measured: Measured, expected: Decimal | None, *, final: bool) -> Status:
    value = measured.value
    if value is None or measured.coverage is None or measured.coverage < goal.min_coverage:
        return "no_data"
    if reached(goal, value):
        return "met"
    if final:
        return "missed"
    return _on_the_way(goal, value, goal.baseline.value if expected is None else expected)


def _on_the_way(goal: Goal, value: Decimal, expected: Decimal) -> Status:
    """By the share of the way made; a shortfall within the tolerance is no slip."""
    sign = 1 if goal.target.value >= goal.baseline.value else -1
    due, made = (expected - goal.baseline.value) * sign, (value - goal.baseline.value) * sign
    if due - made < goal.tolerance:
        return "on_track"
    if due <= goal.tolerance:
        return "on_track" if made >= 0 else "off_track"
    progress = made / due
    if progress >= goal.bands.on_track:
        return "on_track"
    return "at_risk" if progress >= goal.bands.off_track else "off_track"


def _a_year(difference: Decimal, days: int) -> Decimal | None:
    return quotient(difference * 365, days) if days > 0 else None


def _projected(goal: Goal, value: Decimal, on: date) -> date | None:
    """The day on which the pace since the baseline would reach the target; None where it leads away or never."""
    if reached(goal, value):
        return on
    made, left, days = value - goal.baseline.value, goal.target.value - value, (on - goal.baseline.on).days
    if days <= 0 or made == 0 or (made > 0) != (left > 0):
        return None
    ahead = EXACT.divide(left * days, made).to_integral_value(rounding="ROUND_CEILING")
    return on + timedelta(days=int(ahead)) if ahead <= FAR.days else None
