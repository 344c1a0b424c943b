"""Plays the producers of a scenario: sends what they would have said so far, then goes on by the clock."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deploy.local.firms import MARKETS
from deploy.local.rundir import read_json
from deploy.local.simulator.data import load
from deploy.local.simulator.sender import Refused, Sender, client
from deploy.local.simulator.telling import tell_on
from deploy.local.simulator.timeline import tell
from shared.clock import Clock, parse_clock

STATE_FILE: Final = "simulator.json"
CANNOT_START: Final = 2
STOPPED: Final = 0
REFUSED: Final = 1


async def play(directory: Path, run_dir: Path, credentials: dict[str, Any], clock: Clock) -> None:
    """Sends until it is cancelled. Raises an ExceptionGroup of Refused if ingest will not take an event."""
    keys = {name: producer["key"] for name, producer in credentials["producers"].items()}
    scenario = load(directory)
    async with client() as session:
        sender = Sender(session, credentials["ingest"], keys, scenario.firm, _say)
        await tell_on(tell(scenario), clock, sender, run_dir / STATE_FILE, _say)


def _say(line: str) -> None:
    print(line, flush=True)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> int:
    playing = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, playing.cancel)
    code = STOPPED
    try:
        with suppress(asyncio.CancelledError):
            await playing
    except* Refused as refused:
        print(f"refused: {refused.exceptions[0]}", file=sys.stderr)
        code = REFUSED
    return code


def main() -> int:
    """0 when stopped, 1 if ingest refused an event, 2 if it cannot start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="where the stack keeps credentials.json")
    parser.add_argument("--scenario", choices=sorted(MARKETS), default="vietnam")
    parser.add_argument("--clock", default="real", help="the clock of the stack, as the services get it")
    arguments = parser.parse_args()
    credentials: dict[str, Any] | None = read_json(arguments.run_dir / "credentials.json")
    if credentials is None:
        print(f"cannot start: there is no stack running in {arguments.run_dir}", file=sys.stderr)
        return CANNOT_START
    directory, clock = MARKETS[arguments.scenario].parent, parse_clock(arguments.clock)
    return asyncio.run(_until_stopped(play(directory, arguments.run_dir, credentials, clock)))


if __name__ == "__main__":
    raise SystemExit(main())
