"""Watches a consumer move its positions from the first claim to the last commit: time, processor and memory.

The clock starts when the consumer's first positions stand in the database (that is when it knows where to begin), and
stops when the positions have reached the end of the topic: what it takes to start an interpreter and to join a group
is not in it, for any of the contestants.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import psutil

from bench.ground import Ground
from services.supply.fold import MOVEMENTS_TOPIC_ID

POLL_SECONDS: Final = 0.02
START_TIMEOUT_SECONDS: Final = 60.0
STALL_TIMEOUT_SECONDS: Final = 60.0
SERVERS: Final = ("postgres", "kafka")
_POSITIONS: Final = (
    "SELECT coalesce(sum(next_offset), 0)::bigint, count(DISTINCT holder) FROM positions WHERE topic_id = $1"
)


class Failed(Exception):
    """A consumer ended, or stood still."""


class TooShort(Exception):
    """Half of the topic was through before every consumer had joined: it is too short to say anything."""


class Measured(msgspec.Struct):
    """One run: `records` in `seconds`; processor seconds by process; the peak of resident memory of the consumers."""

    records: int
    seconds: float
    cpu_seconds: dict[str, float]
    peak_memory_mb: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


async def watch(
    ground: Ground, names: Sequence[str], end: int, *, start: int = 0, advanced: Callable[[int], None] | None = None
) -> Measured:
    """Waits until the positions add up to `end`. They stood at `start`, and the clock runs once all of `names` hold
    a partition. Raises Failed."""
    async with ground.connected() as connection:
        claimed = await _claimed(connection, ground, names, start)
        if len(names) > 1 and claimed > end // 2:
            raise TooShort(f"one process had {claimed:,} of {end:,} before the others had joined")
        began, cpu = time.monotonic(), cpu_seconds(ground, names)
        await _reached(connection, ground, names, end, advanced)
        seconds = time.monotonic() - began
    spent = {name: round(used - cpu[name], 2) for name, used in cpu_seconds(ground, names).items()}
    return Measured(end - claimed, seconds, spent, sum(peak_memory_mb(ground, name) for name in names))


async def _claimed(connection: asyncpg.Connection, ground: Ground, names: Sequence[str], start: int) -> int:
    """Waits until as many consumers as there are hold partitions; where the positions stand then."""
    limit = time.monotonic() + START_TIMEOUT_SECONDS
    before = await connection.fetchval("SELECT coalesce(max(epoch), 0) FROM positions")
    while time.monotonic() < limit:
        stands, holders = await _positions(connection)
        epoch = await connection.fetchval("SELECT coalesce(max(epoch), 0) FROM positions")
        if holders == len(names) and (epoch > before or before == 0):
            return max(stands, start)
        all_alive(ground, names)
        await asyncio.sleep(POLL_SECONDS)
    raise Failed(f"{', '.join(names)}: no partition claimed within {START_TIMEOUT_SECONDS:.0f} s")


async def _positions(connection: asyncpg.Connection) -> tuple[int, int]:
    """The sum of the next offsets, and how many consumers hold partitions."""
    row = await connection.fetchrow(_POSITIONS, MOVEMENTS_TOPIC_ID)
    return (row[0], row[1]) if row is not None else (0, 0)


async def _reached(
    connection: asyncpg.Connection,
    ground: Ground,
    names: Sequence[str],
    end: int,
    advanced: Callable[[int], None] | None,
) -> None:
    last, moved_at = -1, time.monotonic()
    while True:
        stands, _ = await _positions(connection)
        if stands >= end:
            return
        if stands != last:
            last, moved_at = stands, time.monotonic()
            if advanced is not None:
                advanced(stands)
        elif time.monotonic() - moved_at > STALL_TIMEOUT_SECONDS:
            raise Failed(f"{', '.join(names)}: the positions stand at {stands} of {end}")
        all_alive(ground, names)
        await asyncio.sleep(POLL_SECONDS)


def all_alive(ground: Ground, names: Sequence[str]) -> None:
    """Raises Failed, with why, if one of these has ended."""
    for name in names:
        if ground.stack.children.deaths(name):
            raise Failed(f"{name} ended: {_last_line(ground, name)}")


def _last_line(ground: Ground, name: str) -> str:
    """Why it ended, as its log has it."""
    lines = (ground.stack.run_dir.logs / f"{name}.log").read_text("utf-8", "replace").strip().splitlines()
    reasons = [line for line in lines if "critical" in line] or lines[-1:]
    return reasons[-1][:600] if reasons else "it said nothing"


def cpu_seconds(ground: Ground, names: Sequence[str]) -> dict[str, float]:
    """What these and the servers have used so far."""
    return {name: cpu_of(ground.stack.pid(name)) for name in (*names, *SERVERS)}


def cpu_of(pid: int | None) -> float:
    """User and system time of a process, of its children that live, and of those that ended."""
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return float(total)


def peak_memory_mb(ground: Ground, name: str) -> float:
    """The most resident memory that the process ever had, as the kernel counts it."""
    status = Path(f"/proc/{ground.stack.pid(name)}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)
