"""Keeps the business gauges: what was told last, read from the database by every instance, so that all say the same.

Whoever asks Prometheus takes `max by`: replicas and restarts change nothing. What is not known has no series.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, get_args

import asyncpg
import msgspec
import orjson

from services.supply import metrics, told
from shared.database import AWAY
from shared.signals import GoalStatus
from shared.telemetry import logger

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
EVERY_SECONDS: Final = 2.0
# A duty is counted with the first of these that it is due within; what is due before the day is overdue.
DUE_WITHIN_DAYS: Final = (30, 90)
OVERDUE: Final = "overdue"
LATER: Final = "later"
UNDATED: Final = "undated"
STOCK_MONTHS: Final = (0.5, 1, 2, 3, 6, 12, 24)
SHARES: Final = {f"indicator/domestic_share_{measure}/all": measure for measure in ("volume", "value", "use")}

_CHECKPOINT = "SELECT n, at FROM checkpoints ORDER BY n DESC LIMIT 1"
_EVALUATION = "SELECT checkpoint, \"on\", (body->'goals')::text FROM evaluations WHERE name = 'newest'"
_SHARES = """
SELECT subject, data->>'value', data->>'coverage' FROM signals WHERE subject = ANY($1::text[])
"""
_OBLIGATIONS = """
SELECT data->>'kind', (data->>'due_on')::date, count(*) FROM signals
WHERE starts_with(subject, 'obligation/') AND data->>'state' = 'open' GROUP BY 1, 2
"""
_STOCK = """
SELECT (data->>'value')::float8 FROM signals WHERE starts_with(subject, 'indicator/months_of_stock/gtin:')
"""

log = logger(__name__)


class Business(msgspec.Struct, frozen=True):
    """What one evaluation told, in figures. `shares` are value and coverage by measure, `obligations` those open by
    kind and when they are due, `anomalies` those open by kind, `months` how long the stock of each product lasts
    (None: not known)."""

    checkpoint: int
    on: date
    goals: Sequence[Mapping[str, Any]] = ()
    shares: Mapping[str, tuple[float | None, float | None]] = {}
    obligations: Mapping[tuple[str, str], int] = {}
    anomalies: Mapping[str, int] = {}
    months: Sequence[float | None] = ()


def due(due_on: date | None, on: date) -> str:
    """When a duty is due, in words that a label may hold."""
    if due_on is None:
        return UNDATED
    if due_on < on:
        return OVERDUE
    days = (due_on - on).days
    return next((f"within_{most}_days" for most in DUE_WITHIN_DAYS if days <= most), LATER)


def up_to(months: Iterable[float | None]) -> dict[str, int]:
    """How many products have stock for at most so many months, by upper bound; those not known are left out."""
    known = [value for value in months if value is not None]
    below = {f"{most:g}": sum(value <= most for value in known) for most in STOCK_MONTHS}
    return {**below, "+Inf": len(known)}


async def newest_checkpoint(connection: Connection) -> tuple[int, datetime] | None:
    """Number and moment of the newest checkpoint, whoever took it."""
    row = await connection.fetchrow(_CHECKPOINT)
    return None if row is None else (row[0], row[1])


async def read(connection: Connection, held: Business | None = None) -> Business | None:
    """What the newest evaluation told; `held` if that is it, None if there was none yet."""
    row = await connection.fetchrow(_EVALUATION)
    if row is None or (held is not None and (held.checkpoint, held.on) == (row[0], row[1])):
        return held
    checkpoint, on, goals = row
    obligations: Counter[tuple[str, str]] = Counter()
    for kind, due_on, count in await connection.fetch(_OBLIGATIONS):
        obligations[kind, due(due_on, on)] += count
    return Business(
        checkpoint=checkpoint,
        on=on,
        goals=orjson.loads(goals),
        shares={
            SHARES[subject]: (_number(value), _number(coverage))
            for subject, value, coverage in await connection.fetch(_SHARES, list(SHARES))
        },
        obligations=obligations,
        anomalies=await told.count_open(connection),
        months=[months for (months,) in await connection.fetch(_STOCK)],
    )


def show(seen: Business) -> None:
    """Sets the gauges. Nothing is awaited meanwhile, so no scrape sees half of it."""
    _show_shares(seen.shares)
    _show_goals(seen.goals)
    metrics.OBLIGATIONS.clear()
    for (kind, when), count in seen.obligations.items():
        metrics.OBLIGATIONS.labels(kind, when).set(count)
    metrics.ANOMALIES.clear()
    for kind, count in seen.anomalies.items():
        metrics.ANOMALIES.labels(kind).set(count)
    for bound, count in up_to(seen.months).items():
        metrics.STOCK.labels(bound).set(count)
    metrics.STOCK_UNKNOWN.set(sum(months is None for months in seen.months))


def _show_shares(shares: Mapping[str, tuple[float | None, float | None]]) -> None:
    metrics.SHARE.clear()
    metrics.SHARE_COVERAGE.clear()
    for measure, (value, coverage) in shares.items():
        if value is not None:
            metrics.SHARE.labels(measure).set(value)
        if coverage is not None:
            metrics.SHARE_COVERAGE.labels(measure).set(coverage)


def _show_goals(goals: Sequence[Mapping[str, Any]]) -> None:
    statuses = Counter(goal["status"] for goal in goals)
    for status in get_args(GoalStatus):
        metrics.GOALS.labels(status).set(statuses[status])
    for name, gauge in metrics.OF_GOALS.items():
        gauge.clear()
        for goal in goals:
            if (number := _number(goal[name])) is not None:
                gauge.labels(goal["goal"]).set(number)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


async def follow(pool: asyncpg.Pool) -> None:
    """Run as a task. While the database is away the gauges stand; the checkpoint's moment tells how old they are."""
    held: Business | None = None
    while True:
        try:
            async with pool.acquire() as connection:
                newest = await newest_checkpoint(connection)
                seen = await read(connection, held)
        except AWAY as error:
            log.warning("business gauges wait", error=str(error) or type(error).__name__, retry_seconds=EVERY_SECONDS)
        else:
            if newest is not None:
                metrics.CHECKPOINT_AT.set(newest[1].timestamp())
            if seen is not None and seen is not held:
                show(seen)
                held = seen
        await asyncio.sleep(EVERY_SECONDS)
