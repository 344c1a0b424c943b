"""Waits for what is away, as long as it takes, with longer and longer pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from prometheus_client import Counter

from shared.errors import Transient
from shared.telemetry import logger

RETRY_FIRST_SECONDS: Final = 0.2
RETRY_MAX_SECONDS: Final = 2.0

log = logger(__name__)
T = TypeVar("T")


async def patiently(work: Callable[[], Awaitable[T]], retries: Counter) -> T:
    """What `work` comes to, tried again while something it needs is away; `retries` counts how often."""
    delay = RETRY_FIRST_SECONDS
    while True:
        try:
            return await work()
        except Transient as error:
            retries.inc()
            log.warning("waiting", error=error.detail, retry_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_SECONDS)
