"""Tells the time: domain time (real or scaled; law and goals speak of it) and real time (leases, tokens)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

TZ = ZoneInfo("Asia/Ho_Chi_Minh")
# Viet Nam has had this offset without daylight saving since 1975; it makes the hot path's day a plain addition.
OFFSET = timedelta(hours=7)


def day_of(instant: datetime) -> date:
    """The day in Viet Nam at `instant` (aware)."""
    return (instant.astimezone(UTC) + OFFSET).date()


def start_of(day: date) -> datetime:
    """The first instant of `day` in Viet Nam, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - OFFSET


class Clock(Protocol):
    """Domain time for decisions, real time for leases, tokens, signatures and versions. Instants are aware, in UTC."""

    def now(self) -> datetime: ...

    def today(self) -> date: ...

    def real_now(self) -> datetime: ...

    def real_seconds_until(self, instant: datetime) -> float:
        """How many real seconds pass until domain time reaches `instant` (0 if it has)."""
        ...


@dataclass(frozen=True, slots=True)
class RealClock:
    """Domain time is real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def today(self) -> date:
        return day_of(self.now())

    def real_now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds_until(self, instant: datetime) -> float:
        return max(0.0, (instant - self.now()).total_seconds())


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Domain time starts at `start` when real time is `epoch` and runs `rate` times as fast; before it stands still."""

    start: datetime
    rate: float
    epoch: datetime

    def now(self) -> datetime:
        return self.start + max(timedelta(), self.real_now() - self.epoch) * self.rate

    def today(self) -> date:
        return day_of(self.now())

    def real_now(self) -> datetime:
        return datetime.now(UTC)

    def real_seconds_until(self, instant: datetime) -> float:
        until_epoch = max(0.0, (self.epoch - self.real_now()).total_seconds())
        return until_epoch + max(0.0, (instant - self.now()).total_seconds() / self.rate)


@dataclass(slots=True)
class FixedClock:
    """A clock for tests that moves only when told."""

    domain: datetime
    real: datetime | None = None

    def now(self) -> datetime:
        return self.domain

    def today(self) -> date:
        return day_of(self.domain)

    def real_now(self) -> datetime:
        return self.real or self.domain

    def real_seconds_until(self, instant: datetime) -> float:
        return max(0.0, (instant - self.domain).total_seconds())

    def advance(self, step: timedelta) -> None:
        self.real = self.real_now() + step
        self.domain += step


def parse_clock(text: str) -> Clock:
    """`real`, or `<domain start, RFC 3339>@<domain seconds a real second>@<real epoch, unix seconds>`.

    Raises ValueError that says what is wrong with `text`.
    """
    if text == "real":
        return RealClock()
    parts = text.split("@")
    if len(parts) != 3:
        raise ValueError("a clock is 'real' or '<domain start>@<rate>@<real epoch>'")
    start, rate, epoch = datetime.fromisoformat(parts[0]), float(parts[1]), float(parts[2])
    if start.tzinfo is None:
        raise ValueError("the domain start needs an offset")
    if rate <= 0:
        raise ValueError("the rate must be above 0")
    return ScaledClock(start.astimezone(UTC), rate, datetime.fromtimestamp(epoch, UTC))


def rfc3339(instant: datetime) -> str:
    """`instant` in UTC with microseconds only where there are any, e.g. 2026-11-23T16:20:00Z."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat().replace("+00:00", "Z")
