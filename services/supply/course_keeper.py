"""Keeps the course of the goals up to date: the lease holder has it worked out beside everything else, now and then."""

from __future__ import annotations

import time
from datetime import date
from typing import Final

import asyncpg
import msgspec

from services.supply.child import outcome_of
from services.supply.course import Course, is_due
from services.supply.course_child import Order, Outcome
from services.supply.settings import SupplySettings
from shared.database import dsn
from shared.errors import Transient
from shared.lease import Lease
from shared.settings import ROOT
from shared.telemetry import logger

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
MODULE: Final = "services.supply.course_child"
MOST_OF_THE_TIME: Final = 0.1  # it may take this part of one core

_NEWEST = "SELECT body::text FROM courses WHERE name = 'newest'"
_PUT = """
INSERT INTO courses AS held (name, checkpoint, body) VALUES ('newest', $1, $2)
ON CONFLICT (name) DO UPDATE SET checkpoint = excluded.checkpoint, body = excluded.body
WHERE held.checkpoint <= excluded.checkpoint
"""

log = logger(__name__)


async def kept_course(connection: Connection) -> Course | None:
    """The course as it was worked out last; None before the first time."""
    text = await connection.fetchval(_NEWEST)
    return None if text is None else msgspec.json.decode(text, type=Course)


class CourseKeeper:
    """One instance's part in it."""

    def __init__(self, settings: SupplySettings, pool: asyncpg.Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._last: Course | None = None
        self._done_at = 0.0
        self._took_seconds = 0.0

    def is_due(self, checkpoint: int, today: date) -> bool:
        """Whether what is kept is too old, and enough time has passed since the last try."""
        since = time.monotonic() - self._done_at
        rest = self._took_seconds / MOST_OF_THE_TIME
        return since >= rest and is_due(self._last, checkpoint, today, since, self._settings.course_every_seconds)

    async def run(self, lease: Lease, today: date) -> None:
        """Works it out and keeps it. Raises LeaseLost where another has gone on, Transient, asyncpg's errors."""
        began = time.monotonic()
        try:
            found = await self._worked_out(today)
        finally:
            self._done_at = time.monotonic()
            self._took_seconds = self._done_at - began
        async with self._pool.acquire() as connection, connection.transaction():
            await lease.guard(connection)
            await connection.execute(_PUT, found.checkpoint, msgspec.json.encode(found).decode())
        self._last = found
        log.info("course kept", checkpoint=found.checkpoint, seconds=round(self._took_seconds, 1))

    async def _worked_out(self, today: date) -> Course:
        settings = self._settings
        timeout_seconds = settings.course_timeout_seconds
        order = Order(
            database_url=dsn(settings),
            goals_dir=str(ROOT / settings.goals_dir),
            domestic_local_steps=list(settings.domestic_local_steps),
            today=today,
            timeout_seconds=timeout_seconds,
        )
        try:
            told = msgspec.json.decode(await outcome_of(MODULE, order, timeout_seconds), type=Outcome)
        except TimeoutError:
            raise Transient(f"the course of the goals took more than {timeout_seconds:.0f} s") from None
        if told.course is None:
            raise Transient(f"the database does not answer: {told.away}")
        return told.course
