"""Measures a checkpoint: reads exactly what it holds, works out the figures off the event loop, tells what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import asyncpg

from services.supply import metrics, told
from services.supply.anomalies import comes_before
from services.supply.asof import Cut
from services.supply.figures import Measured
from services.supply.goals import Goal, goals_hash
from services.supply.indicators import needs
from services.supply.kept import Kept
from services.supply.known_facts import KnownFacts
from services.supply.measure import Ledger, Picture, deadlines_before, measured, picture, windows_of
from services.supply.odd import RECORD_KINDS, odd_since
from services.supply.reading import Reading
from services.supply.reads import sales_now
from services.supply.registry import Registry
from services.supply.settings import SupplySettings
from services.supply.view import View
from shared.clock import Clock, day_of
from shared.telemetry import logger

log = logger(__name__)


class Measurement:
    """One instance's measuring, of one checkpoint at a time."""

    def __init__(
        self, settings: SupplySettings, pool: asyncpg.Pool, clock: Clock, goals: list[Goal], facts: KnownFacts
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._goals = goals
        self._hash = goals_hash(goals)
        self._facts = facts
        self._steps = frozenset(settings.domestic_local_steps)
        self._seen: tuple[tuple[int, ...], date] | None = None
        self._reading = Reading()
        self._kept = Kept(frozenset(settings.domestic_local_steps), windows_of(goals))
        self._untold: frozenset[int] | None = None  # products that changed since what was told last; None: all may have
        self._at_deadline: dict[str, tuple[tuple[int, ...], Measured]] = {}

    def is_news(self, cut: Cut, now: datetime) -> bool:
        """Whether anything was recorded, or a day has begun, since what was told last."""
        return self._seen != (cut.next_offsets, day_of(now))

    async def run(self, view: View) -> None:
        """Measures what `view` shows and writes it in one transaction; closes the view.

        Raises LeaseLost and Outdated where another instance has gone on, and asyncpg's errors: nothing is written then.
        """
        async with view.held, self._pool.acquire() as writer:
            with metrics.EVALUATION_SECONDS.time():
                drawn, subjects = await self._draw(view)
                async with writer.transaction():
                    changed = await self._write(writer, view, drawn, subjects)
        self._seen = (view.cut.next_offsets, view.on)
        self._untold = frozenset()
        metrics.EVALUATED.set(view.cut.n)
        log.debug("evaluated", checkpoint=view.cut.n, on=view.on.isoformat(), changed=changed)

    async def _draw(self, view: View) -> tuple[Picture, dict[str, dict[str, Any]]]:
        registry = await self._facts.registry(view.connection, view.cut)
        ledger = await self._reading.ledger(view.connection, view.cut, view.on, registry)
        deadlines = await self._deadlines(view, registry)
        return await asyncio.to_thread(self._drawn, ledger, deadlines)

    def _drawn(self, ledger: Ledger, deadlines: Mapping[str, Measured]) -> tuple[Picture, dict[str, dict[str, Any]]]:
        untold, self._untold = self._untold, None  # whatever goes wrong from here on
        drawn = picture(ledger, self._goals, deadlines, self._kept, untold)
        self._untold = None if drawn.fresh is None or untold is None else drawn.fresh | untold
        return drawn, drawn.subjects()

    async def _deadlines(self, view: View, registry: Registry) -> dict[str, Measured]:
        """By goal whose date has passed, what was measured on its last day, as known now."""
        found = {}
        passed = deadlines_before(self._goals, view.on)
        for goal in (goal for goal in self._goals if goal.goal in passed):
            held = self._at_deadline.get(goal.goal)
            if held is None or held[0] != view.cut.next_offsets:
                sold = await sales_now(view.connection, passed[goal.goal], registry, needs([goal.indicator]))
                then = await asyncio.to_thread(measured, goal, sold, self._steps)
                held = self._at_deadline[goal.goal] = (view.cut.next_offsets, then)
            found[goal.goal] = held[1]
        return found

    async def _write(
        self, writer: told.Connection, view: View, drawn: Picture, subjects: dict[str, dict[str, Any]]
    ) -> int:
        """How many signals are new. The lease is compared last: a long write must not keep the next checkpoint from
        renewing it."""
        told_at = (view.now, int(self._clock.real_now().timestamp() * 1_000_000))
        subjects |= await told.cancelled(writer, subjects)
        changed = await told.put(writer, subjects, *told_at)
        async for odd in odd_since(view.connection, await told.odd_until(view.connection), view.cut):
            shown = {f"anomaly/{key}": item.as_json() for key, item in odd.open.items()}
            over = {f"anomaly/{key}": day for key, day in odd.over.items()}
            changed += await told.put(writer, shown, *told_at, news=_odd_news)
            changed += await told.end(writer, over, *told_at)
        still_open = await told.count_open(writer)
        await told.put_evaluation(writer, view.cut, view.on, self._body(view.cut, drawn, still_open))
        await view.lease.guard(writer)
        return changed

    def _body(self, cut: Cut, drawn: Picture, still_open: Mapping[str, int]) -> dict[str, Any]:
        return {
            "known": cut.at.isoformat(),
            "goals_hash": self._hash,
            "goals": [item.as_json() for item in drawn.goals],
            "anomalies": dict(still_open),
        }


def _odd_news(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether to tell what is odd about an event: of several records that contradict it the earliest is told."""
    return comes_before(new, old) if new["kind"] in RECORD_KINDS else told.is_news(new, old)
