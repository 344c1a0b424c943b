"""Waits for what is away, as long as it takes, with longer and longer pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from prometheus_client import Counter

from shared.errors import Transient
from shared.telemetry import logger

WAIT_FIRST_SECONDS: Final = 0.2
WAIT_MAX_SECONDS: Final = 2.0

T = TypeVar("T")
log = logger(__name__)


async def patiently(what: str, call: Callable[[], Awaitable[T]], retries: Counter | None = None) -> T:
    """The result of `call`, made again as long as it raises Transient. For work that is the same when made twice.

    `what` is waited for; `retries` counts how often `call` was made again.
    """
    wait_seconds = WAIT_FIRST_SECONDS
    while True:
        try:
            return await call()
        except Transient as error:
            if retries is not None:
                retries.inc()
            log.warning("waiting", what=what, why=error.detail, cause=str(error.__cause__), retry_seconds=wait_seconds)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, WAIT_MAX_SECONDS)
