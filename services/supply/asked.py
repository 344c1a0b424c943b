"""What every question carries: who may ask, a read-only snapshot at one checkpoint, the day, the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeVar

import asyncpg
from fastapi import Query, Request
from msgspec import Meta

from services.supply import checkpoints
from services.supply.asof import Cut
from services.supply.goals import Goal, goals_hash
from services.supply.known_facts import KnownFacts
from services.supply.settings import SupplySettings
from shared.access import require
from shared.clock import Clock
from shared.database import AWAY
from shared.errors import Fault, Invalid, Transient
from shared.keys import ADMIN, OPERATOR, PRODUCER, VIEWER
from shared.web import while_connected

T = TypeVar("T")
BUSY_RETRY_SECONDS: Final = 30

reader = require(VIEWER, OPERATOR, ADMIN)
reader_or_producer = require(PRODUCER, VIEWER, OPERATOR, ADMIN)
GTIN: Final = r"^[0-9]{8,14}$"
FIRST_MOMENT: Final = datetime(1, 1, 2, tzinfo=UTC)

Effective = Annotated[date | None, Query(description="the day on which figures are to hold; default today")]
Known = Annotated[datetime | None, Query(description="the moment of knowledge; default the newest checkpoint")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str | None, Query(max_length=1_024)]

# What a cursor may hold.
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Small = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]


async def bounded(request: Request, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to, if its caller stays and it does not take longer. Raises Problem 499, Transient."""
    try:
        async with asyncio.timeout(seconds):
            return await while_connected(request, work)
    except TimeoutError:
        raise Transient(f"no answer within {seconds:.0f} s: ask for less at once", BUSY_RETRY_SECONDS) from None


class Asked:
    """What every question carries: a read-only snapshot, the checkpoint that it rests on, and the day."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.settings: SupplySettings = state.settings
        self.clock: Clock = state.clock
        self.goals: list[Goal] = state.goals
        self.facts: KnownFacts = state.facts
        self._pool: asyncpg.Pool = state.readers

    @asynccontextmanager
    async def at(self, known: datetime | None) -> AsyncIterator[tuple[Any, Cut]]:
        """A snapshot and the checkpoint for `known`. Raises Transient while the database is away."""
        if known is not None and known.tzinfo is None:
            raise Invalid([Fault("known", "offset", "a moment needs an offset, e.g. 2026-11-23T10:00:00Z")])
        if known is not None:
            known = max(known, FIRST_MOMENT)  # before that some moments have no date in UTC
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection, await checkpoints.known_at(connection, known)
        except AWAY as error:
            raise Transient("the database does not answer") from error

    def day(self, effective: date | None) -> date:
        return effective or self.clock.today()

    def head(self, cut: Cut, **more: Any) -> dict[str, Any]:
        """What every answer carries."""
        return {
            **more,
            "checkpoint": cut.n,
            "known": cut.at.isoformat() if cut.n else None,
            "goals_hash": goals_hash(self.goals),
        }
