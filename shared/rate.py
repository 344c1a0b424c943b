"""Decides whether a key may spend more now: for each key a bucket that fills at a rate. Pure; time is handed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from shared.errors import Fault, Problem

RATE: Final = "rate"
# More than ever call at once. The key that has called least lately is forgotten first: its bucket is the fullest.
MAX_KEYS: Final = 10_000


class Rate:
    """What each key may spend: `per_second` steadily, `burst` at once. Each process counts for itself alone."""

    def __init__(
        self,
        what: str,
        per_second: float,
        burst: int,
        *,
        whose: str = "a key",
        now_seconds: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._what, self._per_second, self._burst, self._max_keys = what, per_second, burst, max_keys
        self._whose = whose
        self._now_seconds = now_seconds
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was; in the order of last use

    def spend(self, key: str, amount: int = 1) -> None:
        """Takes `amount` out of the bucket of `key`.

        Raises Problem 429 `rate` with Retry-After if there is less in it; then nothing is taken.
        """
        now = self._now_seconds()
        left, at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        enough = left >= amount
        self._buckets[key] = (left - amount if enough else left, now)
        if len(self._buckets) > self._max_keys:
            del self._buckets[next(iter(self._buckets))]
        if not enough:
            raise self._exceeded((amount - left) / self._per_second)

    def give_back(self, key: str, amount: int = 1) -> None:
        """Puts `amount` back: what it was taken for does not count."""
        if key in self._buckets:
            left, at = self._buckets[key]
            self._buckets[key] = (min(self._burst, left + amount), at)

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._buckets)

    def _exceeded(self, missing_seconds: float) -> Problem:
        allowed = f"{self._per_second:g} {self._what} a second and {self._burst} at once"
        detail = f"more than {allowed}, which {self._whose} may send"
        return Problem(
            429,
            "Too Many Requests",
            detail,
            [Fault(None, RATE, detail)],
            retry_after_seconds=max(1, math.ceil(missing_seconds)),
        )
