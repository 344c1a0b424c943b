"""Evaluates: one instance at a time takes checkpoints, has them kept outside, and writes what changed as signals.

Checkpoint, measurement and signals are one repeatable-read transaction, so that what is told is exactly what the
checkpoint holds. While history is being caught up with, checkpoints go on and nothing is told.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import orjson
from aiokafka.errors import KafkaError

from services.supply import checkpoints, metrics
from services.supply.asof import Cut
from services.supply.catching_up import CatchingUp
from services.supply.goals import Goal, goals_hash
from services.supply.indicators import INDICATORS, Measured
from services.supply.known_facts import KnownFacts
from services.supply.measure import Picture, market, picture
from services.supply.outside import Outside
from services.supply.reads import Connection, ledger_now, sales_now
from services.supply.registry import Registry
from services.supply.relay import Relay
from services.supply.settings import SupplySettings
from services.supply.signing import Signer
from shared.clock import Clock, day_of
from shared.database import AWAY
from shared.lease import Lease, LeaseLost
from shared.telemetry import logger

LEASE: Final = "evaluation"
RETRY_SECONDS: Final = 1.0
# While Kafka is away nothing new is read: what was known of the lag before still holds, and checkpoints go on.
LAG_TIMEOUT_SECONDS: Final = 2.0

_HELD = "SELECT subject, version, data::text FROM signals"
_PUT = """
INSERT INTO signals AS held (subject, version, published, at, data)
SELECT subject, version, 0, $4, data::jsonb
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (subject, version, data)
ON CONFLICT (subject) DO UPDATE SET version = excluded.version, at = excluded.at, data = excluded.data
"""
_EVALUATED = """
INSERT INTO evaluations (name, checkpoint, "on", body) VALUES ('newest', $1, $2, $3)
ON CONFLICT (name) DO UPDATE SET checkpoint = excluded.checkpoint, "on" = excluded."on", body = excluded.body
"""


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
        self._goals = goals
        self._hash = goals_hash(goals)
        self._facts = facts
        self._lag = lag
        self._lease = Lease(LEASE, settings.instance, settings.evaluation_lease_seconds)
        self._steps = frozenset(settings.domestic_local_steps)
        self._seen: tuple[tuple[int, ...], date] | None = None
        self._at_deadline: dict[str, tuple[tuple[int, ...], Measured]] = {}
        self._catching_up = CatchingUp(settings)
        self._relay = Relay(settings)
        self._outside = Outside(settings)
        self._telling: asyncio.Task[None] | None = None
        self._lag_records = 0

    async def run(self) -> None:
        """Evaluates for ever; what is away is waited for."""
        while True:
            started = time.monotonic()
            try:
                await self._turn()
                wait = self._settings.checkpoint_every_seconds - (time.monotonic() - started)
            except (KafkaError, LeaseLost, asyncpg.SerializationError, *AWAY) as error:
                log.warning("evaluation waits", error=str(error) or type(error).__name__, retry_seconds=RETRY_SECONDS)
                wait = RETRY_SECONDS
            await asyncio.sleep(max(0.0, wait))

    async def stop(self) -> None:
        """Hands the lease on."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling], timeout=self._settings.shutdown_timeout_seconds / 4)
        await self._relay.stop()
        await self._outside.stop()
        if self._lease.epoch:
            async with self._pool.acquire() as connection:
                await self._lease.release(connection)

    async def _turn(self) -> None:
        async with self._pool.acquire() as connection:
            if not await self._lease.hold(connection):
                return
            if await self._outside.agrees(connection, self._lease):
                await self._checkpoint(connection)
        self._tell()

    def _tell(self) -> None:
        """Publishes beside the next turns: a Kafka that does not answer holds no checkpoint up. One at a time; what it
        fails with is raised by the turn after."""
        if self._telling is not None and not self._telling.done():
            return
        before, self._telling = self._telling, asyncio.create_task(self._publish(), name="publish")
        if before is not None:
            before.result()

    async def _publish(self) -> None:
        async with self._pool.acquire() as connection:
            await self._relay.run(connection)
            await self._outside.publish(connection)

    async def _checkpoint(self, connection: Connection) -> None:
        lag_records = await self._known_lag()
        now, real_now = self._clock.now(), self._clock.real_now()
        async with connection.transaction(isolation="repeatable_read"):
            await self._lease.guard(connection)
            before = await checkpoints.newest(connection)
            cut, signed = await checkpoints.take(connection, before, real_now, self._signer)
            metrics.CHECKPOINT.set(cut.n)
            if not await self._catching_up.still(connection, before, cut, lag_records, now, real_now):
                await self._evaluate(connection, cut, now)
        self._outside.took(signed)

    async def _known_lag(self) -> int:
        try:
            self._lag_records = await asyncio.wait_for(self._lag(), LAG_TIMEOUT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.info("lag not known", error=str(error) or type(error).__name__)
        return self._lag_records

    async def _evaluate(self, connection: Connection, cut: Cut, now: datetime) -> None:
        """Measures when something was recorded, a day began, or the definitions changed."""
        on = day_of(now)
        if self._seen == (cut.next_offsets, on):
            return
        with metrics.EVALUATION_SECONDS.time():
            registry = await self._facts.registry(connection, cut)
            ledger = await ledger_now(connection, cut, on, registry)
            deadlines = await self._deadlines(connection, cut, on, registry)
            drawn = picture(ledger, self._goals, deadlines, self._steps)
        changed = await self._write_signals(connection, drawn, now)
        body = self._body(cut, drawn)
        await connection.execute(_EVALUATED, cut.n, on, orjson.dumps(body).decode())
        self._seen = (cut.next_offsets, on)
        _show(drawn)
        log.debug("evaluated", checkpoint=cut.n, on=on.isoformat(), changed=changed)

    async def _deadlines(self, connection: Connection, cut: Cut, on: date, registry: Registry) -> dict[str, Measured]:
        """By goal whose date has passed, what was measured on its last day, as known now."""
        found = {}
        for goal in self._goals:
            by = goal.target.by
            if by is None or by >= on:
                continue
            held = self._at_deadline.get(goal.goal)
            if held is None or held[0] != cut.next_offsets:
                sold = await sales_now(connection, by, registry)
                measured = INDICATORS[goal.indicator](goal.scope, market(sold, goal.window, self._steps))
                held = self._at_deadline[goal.goal] = (cut.next_offsets, measured)
            found[goal.goal] = held[1]
        return found

    async def _write_signals(self, connection: Connection, drawn: Picture, now: datetime) -> int:
        """The subjects whose state is new, each with a version above its last; ended anomalies get their `until`."""
        held = {row[0]: (row[1], orjson.loads(row[2])) for row in await connection.fetch(_HELD)}
        told = drawn.subjects()
        for subject, (_, data) in held.items():
            if subject.startswith("anomaly/") and subject not in told:
                told[subject] = data if data["until"] else {**data, "until": drawn.on.isoformat()}
            elif subject.startswith("obligation/") and subject not in told:
                told[subject] = {**data, "state": "cancelled"}
        fresh = [
            (subject, data) for subject, data in told.items() if subject not in held or _news(held[subject][1], data)
        ]
        if fresh:
            floor = int(self._clock.real_now().timestamp() * 1_000_000)
            versions = [max(held.get(subject, (0,))[0] + 1, floor) for subject, _ in fresh]
            texts = [orjson.dumps(data).decode() for _, data in fresh]
            await connection.execute(_PUT, [subject for subject, _ in fresh], versions, texts, now)
        return len(fresh)

    def _body(self, cut: Cut, drawn: Picture) -> dict[str, Any]:
        return {
            "known": cut.at.isoformat(),
            "goals_hash": self._hash,
            "goals": [item.as_json() for item in drawn.goals],
            "indicators": [item.as_json() for item in drawn.indicators],
        }


def _news(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a subject's state differs; the day on which it was looked at is no news by itself."""
    return {**old, "on": None} != {**new, "on": None}


def _show(drawn: Picture) -> None:
    """The business gauges; a value that is not known shows as no number."""
    for item in drawn.indicators:
        if item.scope == "all":
            measure = item.name.removeprefix("domestic_share_")
            metrics.SHARE.labels(measure).set(float("nan") if item.value is None else float(item.value))
    statuses = Counter(item.status for item in drawn.goals)
    for status in ("on_track", "at_risk", "off_track", "met", "missed", "no_data"):
        metrics.GOALS.labels(status).set(statuses[status])
    metrics.ANOMALIES.clear()
    for kind, count in Counter(item.kind for item in drawn.anomalies).items():
        metrics.ANOMALIES.labels(kind).set(count)


log = logger(__name__)
