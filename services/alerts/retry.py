"""Decides what the answer to a delivery means: delivered, tried again when, given up, or the endpoint is gone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

# The waits after the first, second, … failed attempt, as Standard Webhooks recommends; after the last it has failed.
SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
MAX_ATTEMPTS: Final = len(SCHEDULE) + 1
JITTER: Final = 0.1  # of the wait, added at most: many lanes that failed together come back apart
RETRY_AFTER_MAX: Final = timedelta(hours=24)
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try brought: a status, or an error when there was no answer. `at` is real time."""

    at: datetime
    seconds: float
    status: int | None = None
    response_head: str | None = None
    error: str | None = None
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """It is tried again at `at`, real time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """It is not tried again; the next message of its lane goes."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants nothing more (410): the endpoint is disabled."""


Outcome = Delivered | Again | Failed | Gone


def outcome(attempt: Attempt, number: int, chance: float, now: datetime) -> Outcome:
    """What follows from the `number`-th attempt (from 1); `chance` in [0, 1) is the jitter's die."""
    if attempt.succeeded:
        return Delivered()
    if attempt.status == GONE:
        return Gone()
    if number >= MAX_ATTEMPTS:
        return Failed()
    wait = SCHEDULE[number - 1] * (1 + JITTER * chance)
    asked = retry_after(attempt.retry_after, now)
    return Again(now + (wait if asked is None else max(wait, asked)))


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """How long a `Retry-After` of seconds or of an HTTP date asks to wait, bounded; None if it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), RETRY_AFTER_MAX)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    until = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(until, timedelta()), RETRY_AFTER_MAX)
