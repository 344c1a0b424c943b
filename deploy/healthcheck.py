"""Says by its exit code whether the service of this container lives: 0 if one of the three answers /health/live.

For a container, where one service runs, at the port that its own settings say. Small: it runs every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SERVICES: Final = ("ingest", "supply", "alerts")
TIMEOUT_SECONDS: Final = 3.0
ROOT: Final = Path(__file__).resolve().parent.parent


def port(service: str, environment: Mapping[str, str]) -> int:
    """Where the service listens, by its environment or its defaults."""
    told = environment.get(f"SUPPLY_WATCH_{service.upper()}_HTTP_PORT")
    if told:
        return int(told)
    defaults = (ROOT / "services" / service / "defaults.toml").read_text(encoding="utf-8")
    return int(tomllib.loads(defaults)["http_port"])


def lives(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    sys.exit(0 if any(lives(port(service, os.environ)) for service in SERVICES) else "no service answers /health/live")


if __name__ == "__main__":
    main()
