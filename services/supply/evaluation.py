"""Evaluates: one instance at a time takes checkpoints, has them kept outside, and has what they hold measured and told.

A checkpoint is taken every second, whatever it takes to measure one: beside the checkpoints one at a time is measured,
the newest when the one before is done, from the very snapshot in which it was taken. While history is being caught up
with, checkpoints go on and nothing is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from copy import copy
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError

from services.supply import checkpoints, metrics
from services.supply.beside import Beside
from services.supply.catching_up import CatchingUp
from services.supply.course_keeper import CourseKeeper
from services.supply.goals import Goal
from services.supply.known_facts import KnownFacts
from services.supply.measurement import Measurement
from services.supply.outside import Outside
from services.supply.relay import Relay
from services.supply.settings import SupplySettings
from services.supply.signing import Signer
from services.supply.told import Outdated
from services.supply.view import View, same_snapshot
from shared.clock import Clock
from shared.database import AWAY
from shared.errors import Transient
from shared.lease import Lease, LeaseLost
from shared.telemetry import logger

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LEASE: Final = "evaluation"
RETRY_SECONDS: Final = 1.0
# While Kafka is away nothing new is read: what was known of the lag before still holds, and checkpoints go on.
LAG_TIMEOUT_SECONDS: Final = 2.0
# What is waited for. Two writers that meet are told so by PostgreSQL in several ways, and one of them tries again.
TRANSIENT: Final = (Transient, KafkaError, LeaseLost, Outdated, asyncpg.TransactionRollbackError, *AWAY)


class Evaluation:
    """One instance's part in evaluating; `lag` tells how many records are not yet in the ledger (all partitions)."""

    def __init__(
        self,
        settings: SupplySettings,
        pool: asyncpg.Pool,
        clock: Clock,
        signer: Signer,
        goals: list[Goal],
        facts: KnownFacts,
        lag: Callable[[], Awaitable[int]],
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._clock = clock
        self._signer = signer
        self._lag = lag
        self._lease = Lease(LEASE, settings.instance, settings.evaluation_lease_seconds)
        self._catching_up = CatchingUp(settings)
        self._measurement = Measurement(settings, pool, clock, goals, facts)
        self._relay = Relay(settings)
        self._outside = Outside(settings)
        self._measuring = Beside("measure")
        self._publishing = Beside("publish")
        self._courses = CourseKeeper(settings, pool)
        self._coursing = Beside("course")
        self._view: View | None = None
        self._lag_records = 0

    async def run(self) -> None:
        """Evaluates for ever; what is away is waited for."""
        while True:
            started = time.monotonic()
            beside = (self._measuring, self._publishing, self._coursing)
            failures = [*(work.failure() for work in beside), await self._turn()]
            wait = self._settings.checkpoint_every_seconds - (time.monotonic() - started)
            for error in failures:
                if error is None:
                    continue
                if not isinstance(error, TRANSIENT):
                    raise error
                log.warning("evaluation waits", error=str(error) or type(error).__name__, retry_seconds=RETRY_SECONDS)
                wait = RETRY_SECONDS
            await asyncio.sleep(max(0.0, wait))

    async def stop(self) -> None:
        """Hands the lease on."""
        for work in (self._measuring, self._publishing, self._coursing):
            await work.stop(self._settings.shutdown_timeout_seconds / 4)
        if self._view is not None:
            await self._view.held.aclose()  # where it was cancelled before it began
        await self._relay.stop()
        await self._outside.stop()
        if self._lease.epoch:
            async with self._pool.acquire() as connection:
                await self._lease.release(connection)

    async def _turn(self) -> Exception | None:
        """One checkpoint; what has to be published is, beside the next ones. Gives back what has to be waited for."""
        try:
            async with self._pool.acquire() as connection:
                if not await self._lease.hold(connection):
                    return None
                if await self._outside.agrees(connection, self._lease):
                    await self._checkpoint(connection)
        except TRANSIENT as error:
            return error
        if self._publishing.idle:
            self._publishing.start(self._publish())
        return None

    async def _publish(self) -> None:
        async with self._pool.acquire() as connection:
            await self._relay.run(connection)
            await self._outside.publish(connection)

    async def _checkpoint(self, connection: Connection) -> None:
        lag_records = await self._known_lag()
        now, real_now = self._clock.now(), self._clock.real_now()
        seen = None
        async with AsyncExitStack() as held:
            async with connection.transaction(isolation="repeatable_read"):
                await self._lease.guard(connection)
                before = await checkpoints.newest(connection)
                cut, signed = await checkpoints.take(connection, before, real_now, self._signer)
                quiet = not await self._catching_up.still(connection, before, cut, lag_records, now, real_now)
                if quiet and self._measuring.idle and self._measurement.is_news(cut, now):
                    seen = await held.enter_async_context(same_snapshot(self._pool, connection))
            self._outside.took(signed)
            metrics.CHECKPOINT.set(cut.n)
            if seen is not None:
                self._view = View(cut, now, copy(self._lease), seen, held.pop_all())
                self._measuring.start(self._measure(self._view))

    async def _measure(self, view: View) -> None:
        """What was found is published at once, not at the next turn."""
        cut, on = view.cut, view.on
        await self._measurement.run(view)
        if self._publishing.idle:
            self._publishing.start(self._publish())
        if self._coursing.idle and self._courses.is_due(cut.n, on):
            self._coursing.start(self._courses.run(copy(self._lease), on))

    async def _known_lag(self) -> int:
        try:
            self._lag_records = await asyncio.wait_for(self._lag(), LAG_TIMEOUT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.info("lag not known", error=str(error) or type(error).__name__)
        return self._lag_records


log = logger(__name__)
