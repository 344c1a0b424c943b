"""Bounds how much of something heavy is under way at once in one instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import Problem


class Slots:
    """At most `most` of `what` (a plural) at once; who comes later is told to come again."""

    def __init__(self, what: str, most: int, retry_after_seconds: int) -> None:
        self._what = what
        self._most = most
        self._retry_after_seconds = retry_after_seconds
        self._free = most

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises Problem 429 with Retry-After while all are taken."""
        if self._free == 0:
            raise self.taken()
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    def taken(self) -> Problem:
        detail = f"as many {self._what} as may be at once are under way ({self._most})"
        return Problem(429, "Too Many at Once", detail, retry_after_seconds=self._retry_after_seconds)
