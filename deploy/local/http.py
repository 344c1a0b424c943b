"""Asks the stack's own parts whether they are up, and what their open pages say; every wait bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shared.json_http import DIRECT, TIMEOUT_SECONDS, Refused, call

__all__ = ["Refused", "call", "text", "wait_for_200"]

PROBE_TIMEOUT_SECONDS: Final = 2.0
PROBE_EVERY_SECONDS: Final = 0.05


def text(url: str) -> str:
    """What an open page says. Raises OSError if it does not answer."""
    with DIRECT.open(url, timeout=TIMEOUT_SECONDS) as answer:
        return str(answer.read().decode())


def wait_for_200(url: str, timeout_seconds: float, gives_up: Callable[[], bool]) -> bool:
    """Waits until `url` answers 200; False if it does not in time or `gives_up` says so."""
    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end and not gives_up():
        try:
            with DIRECT.open(url, timeout=PROBE_TIMEOUT_SECONDS) as answer:
                if answer.status == 200:
                    return True
        except OSError:  # refused, reset, timed out, or an answer that is no success
            pass
        time.sleep(PROBE_EVERY_SECONDS)
    return False
