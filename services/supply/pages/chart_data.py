"""What charts of supply show: a goal beside its path, supply by origin, milestones in time. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, NamedTuple

DIGITS: Final = 3  # of a value: what an eye can tell apart at this size
Kind = Literal["share", "money", "number"]
Points = tuple[tuple[str, float], ...]


class GoalChart(NamedTuple):
    """What a goal's chart shows; `words` name its two lines, `described` tells it to those who do not see it."""

    actual: Points
    expected: Points
    target: float
    today: str
    kind: Kind
    words: tuple[str, str]
    described: str


class Shares(NamedTuple):
    """Amounts by day and origin; `words` name domestic and imported."""

    days: tuple[tuple[str, float, float], ...]
    words: tuple[str, str]
    described: str


class Milestone(NamedTuple):
    """A milestone of an agreement in time."""

    title: str
    due_on: str | None
    met_on: str | None
    late: bool


class TimeLine(NamedTuple):
    """Milestones from the first to the last; `words` name due, met and late."""

    milestones: tuple[Milestone, ...]
    today: str
    words: tuple[str, str, str]
    described: str


def rounded(value: Decimal | str) -> float:
    """A value as exactly as it can be seen, so that a chart is drawn anew only when it would look different."""
    return float(f"{Decimal(value):.{DIGITS}g}")
