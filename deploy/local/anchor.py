"""Anchors domain time for a run: real, or scaled from where the last run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from deploy.local.faults import CannotStart
from deploy.local.rundir import read_json, write_private
from shared.clock import ScaledClock, parse_clock, rfc3339

REAL: Final = "real"


@dataclass(frozen=True, slots=True)
class ScaledTime:
    """Domain time from `start` (aware) at `rate` domain seconds a real second.

    It stands still for `hold_seconds` first: time to send what is to lie in the past. A RUN_DIR that has a clock
    already goes on from where it stopped, at this rate.
    """

    start: datetime
    rate: float
    hold_seconds: float = 0.0


def parse_wanted(text: str) -> ScaledTime | None:
    """`real`, or `<domain start, RFC 3339>@<domain seconds a real second>`. Raises CannotStart for anything else."""
    if text == REAL:
        return None
    try:
        clock = parse_clock(f"{text}@0")
    except ValueError as error:
        raise CannotStart(f"CLOCK {text!r}: {error} (here without the epoch: '<domain start>@<rate>')") from None
    assert isinstance(clock, ScaledClock)
    return ScaledTime(clock.start, clock.rate)


def anchored(file: Path, wanted: ScaledTime | None, real_now: float) -> str:
    """The setting of the clock for this run, kept in `file`. None is real time.

    Raises CannotStart where the directory holds the other kind: its data would jump in time.
    """
    kept: dict[str, Any] | None = read_json(file)
    if kept is not None and (kept["clock"] == REAL) != (wanted is None):
        kind = "real" if kept["clock"] == REAL else "scaled"
        raise CannotStart(f"{file.parent} has run on a {kind} clock: choose that or another RUN_DIR")
    if wanted is None:
        _note(file, REAL, datetime.fromtimestamp(real_now, UTC))
        return REAL
    start = wanted.start if kept is None else datetime.fromisoformat(kept["stopped_at"])
    hold_seconds = wanted.hold_seconds if start <= wanted.start else 0.0
    setting = f"{start.astimezone(UTC).isoformat()}@{wanted.rate}@{real_now + hold_seconds:.3f}"
    _note(file, setting, start)
    return setting


def keep(file: Path, setting: str) -> None:
    """Notes how far domain time has come; called now and then while the stack runs, and when it stops."""
    _note(file, setting, parse_clock(setting).now())


def _note(file: Path, setting: str, reached: datetime) -> None:
    write_private(file, {"clock": setting, "stopped_at": rfc3339(reached)})
