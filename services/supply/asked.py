"""What every question carries: who may ask, a read-only snapshot at one checkpoint, the day, the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeVar

import asyncpg
from fastapi import Depends, Query, Request
from msgspec import Meta

from services.supply import checkpoints
from services.supply.asof import Cut
from services.supply.goals import Goal, goals_hash
from services.supply.known_facts import KnownFacts
from services.supply.origin import Origins
from services.supply.registry import Registry
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
NO_NUL: Final = r"^[^\x00]*$"  # no text of the database holds one
FIRST_MOMENT: Final = datetime(1, 1, 2, tzinfo=UTC)

Effective = Annotated[date | None, Query(description="the day on which figures are to hold; default today")]
Known = Annotated[datetime | None, Query(description="the moment of knowledge; default the newest checkpoint")]
Cursor = Annotated[str | None, Query(max_length=1_024)]
OfScope = Annotated[str, Query(max_length=300, pattern=NO_NUL)]
OfInput = Annotated[str | None, Query(alias="input", max_length=100, pattern=NO_NUL)]

# What a route that takes `known` can answer.
NOT_FINAL: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "`known` lies after the newest checkpoint: wait for Retry-After"}
}

# What a cursor may hold.
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Small = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]


def items_of(default: int) -> Any:
    """A dependency that gives how many items a page has: those asked for, else `default`; at most the setting."""

    def limit(request: Request, limit: Annotated[int | None, Query(ge=1, description=_LIMIT)] = None) -> int:
        most: int = request.app.state.settings.page_limit
        if limit is not None and limit > most:
            raise Invalid([Fault("limit", "range", f"at most {most} items in one answer")])
        return min(default, most) if limit is None else limit

    return Depends(limit)


_LIMIT: Final = "items in this page; at most the setting page_limit"
Limit = Annotated[int, items_of(100)]


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

    def origins(self, registry: Registry) -> Origins:
        """Where lots come from, by what is known at the checkpoint of `registry`."""
        return Origins(registry, frozenset(self.settings.domestic_local_steps))

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
