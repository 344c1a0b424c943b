"""Decides by which days the course of a goal is drawn, and what is kept of each: how it came to where it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Final

import msgspec

from services.supply.behind import heaviest
from services.supply.figures import Measured, text
from services.supply.goals import Goal, in_currency
from services.supply.indicators import measure
from services.supply.market import Market
from services.supply.supplied import Window

MAX_MONTHS: Final = 36
SHARES: Final = ("domestic_share_volume", "domestic_share_value")


class Point(msgspec.Struct, frozen=True):
    """A value on a day; None where nothing could be said. In the goal's own unit."""

    on: str
    value: str | None


class Sides(msgspec.Struct, frozen=True):
    """What the 365 days up to a day supplied, by origin: defined daily doses, or VND."""

    on: str
    domestic: str
    imported: str
    coverage: str | None


class Weight(msgspec.Struct, frozen=True):
    """A product behind a goal, with its own value of the goal's indicator."""

    gtin: str
    name: str | None
    value: str | None
    why: str | None
    domestic: str | None
    imported: str | None


class Course(msgspec.Struct):
    """All as known at one checkpoint: by goal its points and the products that weigh most; by share its sides."""

    checkpoint: int
    known: str | None
    on: str
    goals: dict[str, list[Point]] = {}
    shares: dict[str, list[Sides]] = {}
    products: dict[str, list[Weight]] = {}


def days_of(first: date | None, today: date) -> list[date]:
    """The ends of the last MAX_MONTHS months since `first`, the first day of which anything is known, then today."""
    found: list[date] = []
    end = today.replace(day=1) - timedelta(days=1)
    while first is not None and end >= first and len(found) < MAX_MONTHS:
        found.append(end)
        end = end.replace(day=1) - timedelta(days=1)
    return [*reversed(found), today]


def is_due(course: Course | None, checkpoint: int, today: date, since_seconds: float, every_seconds: float) -> bool:
    """Whether to work it out again: a month has ended, or something was recorded and enough time has passed."""
    if course is None or date.fromisoformat(course.on).replace(day=1) != today.replace(day=1):
        return True
    return course.checkpoint != checkpoint and since_seconds >= every_seconds


def add(course: Course, over: Mapping[Window, Market], goals: Iterable[Goal]) -> None:
    """One day more."""
    for goal in goals:
        measured = measure(goal.indicator, goal.scope, over[goal.window])
        point = Point(measured.on.isoformat(), text(in_currency(goal, measured)))
        course.goals.setdefault(goal.goal, []).append(point)
    for name in SHARES:
        course.shares.setdefault(name, []).append(_sides(measure(name, "all", over["days_365"])))


def _sides(measured: Measured) -> Sides:
    inputs = measured.inputs
    coverage = text(measured.coverage)
    return Sides(measured.on.isoformat(), inputs.get("domestic", "0"), inputs.get("imported", "0"), coverage)


def weigh(course: Course, over: Mapping[Window, Market], goals: Iterable[Goal]) -> None:
    """The products behind each goal on the day of `over`."""
    for goal in goals:
        course.products[goal.goal] = weights(goal.indicator, goal.scope, over[goal.window])


def weights(name: str, scope: str, seen: Market) -> list[Weight]:
    """The scope's products that supplied most, each with its own value in packs."""
    return [
        Weight(gtin, product, text(own.value), own.why, own.inputs.get("domestic"), own.inputs.get("imported"))
        for gtin, product, own in heaviest(name, scope, seen)
    ]
