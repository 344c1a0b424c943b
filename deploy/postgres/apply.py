"""Sets up roles and schemas on a server: `python -m deploy.postgres.apply --url-file … --roles …`; again is safe."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import stamina

from deploy.postgres.roles import set_up
from shared.database import AWAY

RETRY_MAX_SECONDS = 2.0


async def apply(url: str, passwords: dict[str, str], wait_seconds: float) -> None:
    """Waits that long for a server that is away or starting."""
    async for attempt in stamina.retry_context(
        on=AWAY, timeout=wait_seconds, wait_max=RETRY_MAX_SECONDS, attempts=None if wait_seconds else 1
    ):
        with attempt:
            await set_up(url, passwords)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.postgres.apply", description=__doc__)
    parser.add_argument("--url-file", type=Path, required=True, help="holds the administrator's postgresql://…")
    parser.add_argument("--roles", type=Path, required=True, help="JSON file: name of a role to its password")
    parser.add_argument("--wait-seconds", type=float, default=0.0, help="how long to wait for a server that is away")
    chosen = parser.parse_args()
    url, passwords = chosen.url_file.read_text().strip(), json.loads(chosen.roles.read_bytes())
    try:
        asyncio.run(apply(url, passwords, chosen.wait_seconds))
    except KeyError as missing:
        sys.exit(f"cannot apply: {chosen.roles} has no password for the role {missing}")
    except (*AWAY, asyncpg.PostgresError) as error:
        sys.exit(f"cannot apply: {error or type(error).__name__}")


if __name__ == "__main__":
    main()
