"""Remembers the children by pid and start time, so that a stack whose supervisor was killed can be cleared away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from deploy.local.rundir import read_json, write_private

LEFTOVER_WAIT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """One process, told from a later one with the same pid by its start time and the boot of the machine."""

    pid: int
    started_ticks: int
    boot: str
    signal: int


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def record_of(pid: int, death_signal: int) -> Record | None:
    """The record of a running process; None if it has ended already."""
    ticks = started_ticks(pid)
    return None if ticks is None else Record(pid, ticks, boot_id(), death_signal)


def is_alive(record: Record) -> bool:
    return record.boot == boot_id() and started_ticks(record.pid) == record.started_ticks


def save(file: Path, records: dict[str, Record]) -> None:
    write_private(file, {name: asdict(record) for name, record in records.items()})


def end_leftovers(file: Path) -> list[str]:
    """Ends what an earlier supervisor of this RUN_DIR left running; the names of what was found alive."""
    found = {name: Record(**fields) for name, fields in (read_json(file) or {}).items()}
    alive = {name: record for name, record in found.items() if is_alive(record)}
    for record in alive.values():
        _send(record, record.signal)
    if not _wait(lambda: not any(is_alive(record) for record in alive.values()), LEFTOVER_WAIT_SECONDS):
        for record in alive.values():
            _send(record, signal.SIGKILL)
        _wait(lambda: not any(is_alive(record) for record in alive.values()), LEFTOVER_WAIT_SECONDS)
    file.unlink(missing_ok=True)
    return sorted(alive)


def _send(record: Record, number: int) -> None:
    with suppress(ProcessLookupError):
        if is_alive(record):
            os.kill(record.pid, number)
            os.kill(record.pid, signal.SIGCONT)


def _wait(done: Callable[[], bool], timeout_seconds: float) -> bool:
    end = time.monotonic() + timeout_seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
