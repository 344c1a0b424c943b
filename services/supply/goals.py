"""Judges goals: where a value should be on a day, whether it is on its path, when it would arrive. Pure."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.supply.counts import REPORTED
from services.supply.figures import EXACT, TWELVE, Measured, quotient, text
from services.supply.indicators import INDICATORS, indicator
from services.supply.scopes import parse_scope

FLOWS: Final = ("export_value",)
Status = Literal["on_track", "at_risk", "off_track", "met", "missed", "no_data"]
FAR: Final = timedelta(days=365 * 100)


class _Wrong(ValueError):
    """What is wrong between several fields, and at which of them to look."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Baseline(_Model):
    on: date
    value: Decimal
    source: str | None = None


class Target(_Model):
    value: Decimal
    by: date | None = None


class Step(_Model):
    """A milestone on the way of a step goal: from `by` on the value should be at least there."""

    by: date
    value: Decimal
    title: str | None = None


class Rate(_Model):
    """What one unit of a currency is worth in VND, and who says so: a money goal is set in that currency."""

    currency: str = Field(pattern="^[A-Z]{3}$")
    vnd: Decimal = Field(gt=0)
    source: str = Field(min_length=1)


class Bands(_Model):
    """Shares of the way that should have been made by today."""

    on_track: Decimal = Decimal("0.95")
    off_track: Decimal = Decimal("0.60")

    @model_validator(mode="after")
    def _in_order(self) -> Bands:
        if not 0 <= self.off_track <= self.on_track <= 1:
            raise _Wrong("off_track", "off_track must lie from 0 to on_track, and that up to 1")
        return self


class Goal(_Model):
    """One goal of deploy/goals. Without `target.by` it has no trajectory. `titles`: the title in other languages."""

    goal: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    title: str = Field(min_length=1)
    titles: dict[Literal["vi"], str] = {}
    source: str = Field(min_length=1)
    indicator: str
    scope: str
    window: Literal["days_365", "calendar_year", "ever"] = "days_365"
    baseline: Baseline
    target: Target
    trajectory: Literal["linear", "compound", "step"] = "linear"
    steps: tuple[Step, ...] = ()
    rate: Rate | None = None
    bands: Bands = Bands()
    tolerance: Decimal = Field(default=Decimal("0.005"), ge=0)
    min_coverage: Decimal = Field(default=Decimal("0.50"), ge=0, le=1)

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
            raise _Wrong("target.by", "target.by must lie after baseline.on")
        if self.trajectory == "compound" and min(self.baseline.value, self.target.value) <= 0:
            raise _Wrong("trajectory", "a compound trajectory needs a baseline and a target above 0")
        if self.rate is not None and indicator(self.indicator).unit != "vnd":  # type: ignore[union-attr]
            raise _Wrong("rate", f"a rate is for an indicator in vnd, and {self.indicator} is none")
        self._steps_in_order()
        return self

    def _steps_in_order(self) -> None:
        if self.steps and (self.trajectory != "step" or self.target.by is None):
            raise _Wrong("steps", "steps need trajectory: step and target.by")
        rising = self.target.value >= self.baseline.value
        before = Step(by=self.baseline.on, value=self.baseline.value)
        for step in (*self.steps, Step(by=self.target.by or date.max, value=self.target.value)):
            if step.by <= before.by:
                raise _Wrong("steps", "steps must follow one another between baseline.on and target.by")
            if (step.value < before.value) if rising else (step.value > before.value):
                raise _Wrong("steps", "steps must lead from the baseline's value to the target's")
            before = step

    @property
    def rising(self) -> bool:
        return self.target.value >= self.baseline.value

    @property
    def is_flow_of_a_year(self) -> bool:
        """An absolute flow, such as an export value, that starts anew each calendar year."""
        return self.window == "calendar_year" and self.indicator in FLOWS


class Assessment(msgspec.Struct, frozen=True):
    """A goal on a day."""

    goal: Goal
    on: date
    status: Status
    measured: Measured
    value: Decimal | None
    expected: Decimal | None
    gap: Decimal | None
    pace: Decimal | None
    required_pace: Decimal | None
    projected_on: date | None

    @property
    def unit(self) -> str | None:
        """Of value, expected and target: the currency of the goal's rate, else that of the indicator."""
        return self.goal.rate.currency if self.goal.rate else self.measured.inputs.get("unit")

    @property
    def projected_from(self) -> str | None:
        """What the projected date rests on."""
        if self.projected_on is None or self.value is None:
            return None
        if reached(self.goal, self.value):
            return "the target is reached"
        start = self.goal.baseline
        return f"the pace since the baseline, {text(start.value)} on {start.on.isoformat()}, going on as it was"

    def _step(self, step: Step) -> dict[str, Any]:
        value = None if self.value is None else self._reaches(step)
        return {"by": step.by.isoformat(), "value": text(step.value), "title": step.title, "reached": value}

    def _reaches(self, step: Step) -> bool:
        assert self.value is not None
        return self.value >= step.value if self.goal.rising else self.value <= step.value

    def as_json(self) -> dict[str, Any]:
        """An item of GET /goals; paces are per year of 365 days."""
        return {
            "goal": self.goal.goal,
            "title": self.goal.title,
            "source": self.goal.source,
            "indicator": self.goal.indicator,
            "scope": self.goal.scope,
            "status": self.status,
            "value": text(self.value),
            "expected": text(self.expected),
            "target": text(self.goal.target.value),
            "by": self.goal.target.by and self.goal.target.by.isoformat(),
            "gap": text(self.gap),
            "pace": text(self.pace),
            "required_pace": text(self.required_pace),
            "projected_on": self.projected_on and self.projected_on.isoformat(),
            "projected_from": self.projected_from,
            "trajectory": self.goal.trajectory,
            "window": self.goal.window,
            "steps": [self._step(step) for step in self.goal.steps],
            "unit": self.unit,
            "rate": self.goal.rate and self.goal.rate.model_dump(mode="json"),
            "why": self.measured.why,
            "coverage": text(self.measured.coverage),
            "baseline": {
                "on": self.goal.baseline.on.isoformat(),
                "value": text(self.goal.baseline.value),
                "source": self.goal.baseline.source,
            },
            "expected_on": (spoken_of(self.measured) or self.on).isoformat(),
            "inputs": self.measured.inputs,
            "on": self.on.isoformat(),
        }


def goals_hash(goals: Iterable[Goal]) -> str:
    """A hash of the definitions that an answer rests on; how a goal is called elsewhere changes none."""
    return sha256("\n".join(goal.model_dump_json(exclude={"titles"}) for goal in goals).encode()).hexdigest()


def expected_on(goal: Goal, day: date) -> Decimal | None:
    """Where the value should be on `day`; None for an undated goal.

    A flow of a calendar year is expected in proportion to the part of the year that has passed.
    """
    if goal.target.by is None:
        return None
    whole = _on_the_path(goal, goal.target.by, day)
    if not goal.is_flow_of_a_year:
        return whole
    return quotient(EXACT.multiply(whole, day.timetuple().tm_yday), _days_of_year(day))


def _of_whole_year(goal: Goal, value: Decimal, day: date) -> Decimal:
    """What a value comes to in a whole year at that rate: a flow of a calendar year, of which a part has passed."""
    if not goal.is_flow_of_a_year:
        return value
    return quotient(EXACT.multiply(value, _days_of_year(day)), day.timetuple().tm_yday)


def _days_of_year(day: date) -> int:
    return 366 if isleap(day.year) else 365


def _on_the_path(goal: Goal, by: date, day: date) -> Decimal:
    start, end = goal.baseline.value, goal.target.value
    if day >= by:
        return end
    if goal.trajectory == "step":
        return next((step.value for step in reversed(goal.steps) if step.by <= day), start)
    if day <= goal.baseline.on:
        return start
    way = quotient((day - goal.baseline.on).days, (by - goal.baseline.on).days)
    if goal.trajectory == "compound":
        return EXACT.multiply(start, EXACT.power(EXACT.divide(end, start), way)).quantize(TWELVE, context=EXACT)
    return EXACT.add(start, EXACT.multiply(end - start, way)).quantize(TWELVE, context=EXACT)


def reached(goal: Goal, value: Decimal) -> bool:
    return value >= goal.target.value if goal.rising else value <= goal.target.value


def in_currency(goal: Goal, measured: Measured) -> Decimal | None:
    """The measured value in the currency of the goal."""
    if goal.rate is None or measured.value is None:
        return measured.value
    return quotient(measured.value, goal.rate.vnd)


def spoken_of(measured: Measured) -> date | None:
    """The day of which a reported figure speaks, the end of its period: then it should have been on its path. So a goal
    that rests on one is met or missed only once the figure of its last day has been reported."""
    day = measured.inputs.get("period_end") if measured.name.startswith(REPORTED) else None
    return None if day is None else date.fromisoformat(day)


def assess(goal: Goal, measured: Measured, on: date, at_deadline: Measured | None = None) -> Assessment:
    """The goal on `on`. After its date it stays what `at_deadline`, the measurement of that day, made it."""
    deadline = goal.target.by
    judged = at_deadline if deadline is not None and on > deadline and at_deadline is not None else measured
    day = spoken_of(judged) or on
    expected = expected_on(goal, day)
    status = _status(goal, judged, expected, final=deadline is not None and day >= deadline)
    since = spoken_of(measured) or on
    value = in_currency(goal, measured)
    pace = required = projected = None
    if value is not None:
        level = _of_whole_year(goal, value, since)
        pace = _a_year(level - goal.baseline.value, (since - goal.baseline.on).days)
        if deadline is not None and since < deadline:
            required = _a_year(goal.target.value - level, (deadline - since).days)
        projected = _projected(goal, level, since)
    return Assessment(
        goal=goal,
        on=on,
        status=status,
        measured=measured,
        value=value,
        expected=expected,
        gap=None if value is None or expected is None else value - expected,
        pace=pace,
        required_pace=required,
        projected_on=projected,
    )


def _status(goal: Goal, measured: Measured, expected: Decimal | None, *, final: bool) -> Status:
    value = in_currency(goal, measured)
    if value is None or measured.coverage is None or measured.coverage < goal.min_coverage:
        return "no_data"
    if reached(goal, value):
        return "met"
    if final:
        return "missed"
    baseline = goal.baseline.value
    if goal.is_flow_of_a_year:  # the baseline, too, is that of a whole year
        baseline = quotient(EXACT.multiply(baseline, measured.on.timetuple().tm_yday), _days_of_year(measured.on))
    return _on_the_way(goal, value, baseline, baseline if expected is None else expected)


def _on_the_way(goal: Goal, value: Decimal, baseline: Decimal, expected: Decimal) -> Status:
    """By the share of the way made; a shortfall within the tolerance is no slip."""
    sign = 1 if goal.rising else -1
    due, made = (expected - baseline) * sign, (value - baseline) * sign
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
    return on + timedelta(days=int(ahead)) if ahead <= min(FAR.days, (date.max - on).days) else None
