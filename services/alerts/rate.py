"""Decides how many deliveries an endpoint may be sent now: a bucket that fills at its rate. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Bucket:
    """Holds at most one second's worth of deliveries, and at least one."""

    rate: float
    tokens: float
    at: datetime

    @classmethod
    def full(cls, rate: float, now: datetime) -> Bucket:
        return cls(rate, max(1.0, rate), now)

    def room(self, now: datetime) -> int:
        """How many may go now."""
        elapsed_seconds = max(0.0, (now - self.at).total_seconds())
        self.tokens = min(max(1.0, self.rate), self.tokens + elapsed_seconds * self.rate)
        self.at = now
        return int(self.tokens)

    def take(self, count: int) -> None:
        self.tokens -= count
