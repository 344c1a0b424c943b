"""Measures `supply-watch ledger rebuild`: the journal folded anew, compared, and put in the place of what was lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any, Final

from bench.expected import Expected, Wrong, check
from bench.ground import SERVICE, Ground
from deploy.local.specs import ROOT

COMMAND: Final = (sys.executable, "-m", "deploy.local.cli", "ledger", "rebuild")
URL: Final = "SUPPLY_WATCH_SUPPLY_DATABASE_URL"
TIMEOUT_SECONDS: Final = 1_800.0


def rebuild(ground: Ground, wanted: Expected) -> dict[str, Any]:
    """Of a ledger in which nothing differs, and of one without lots and flows. Raises Wrong."""
    seconds = _rebuilt(ground)
    asyncio.run(_check(ground, wanted))
    asyncio.run(_lose(ground))
    from_nothing = _rebuilt(ground)
    asyncio.run(_check(ground, wanted))
    return {
        "what": "supply-watch ledger rebuild, the whole command",
        "movements": wanted.records,
        "seconds": round(seconds, 2),
        "seconds_without_lots_and_flows": round(from_nothing, 2),
    }


def _rebuilt(ground: Ground) -> float:
    """Seconds of the whole command."""
    environment = {**os.environ, URL: ground.stack.postgres.url(SERVICE)}
    began = time.monotonic()
    ended = subprocess.run(
        COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    seconds = time.monotonic() - began
    if ended.returncode != 0:
        raise Wrong(f"rebuild ended with exit code {ended.returncode}: {(ended.stdout + ended.stderr)[-500:]}")
    return seconds


async def _lose(ground: Ground) -> None:
    async with ground.connected() as connection:
        await connection.execute("TRUNCATE lots, flows")


async def _check(ground: Ground, wanted: Expected) -> None:
    async with ground.connected() as connection:
        await check(connection, wanted)
