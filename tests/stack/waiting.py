"""Waits for an outcome, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

import aiohttp

T = TypeVar("T")
TIMEOUT_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.05


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, timeout_seconds: float = ...) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, timeout_seconds: float = ...) -> T: ...
async def eventually(check: Callable[[], Any], *, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """The first true answer of `check` (plain or async), which may also fail an assert or a connection meanwhile.

    After `timeout_seconds` its last assertion or connection error is raised, or AssertionError with its last answer.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_seconds
    while True:
        failure: Exception | None = None
        answer: Any = None
        try:
            answer = check()
            if isinstance(answer, Awaitable):
                answer = await answer
        except (AssertionError, aiohttp.ClientError, OSError) as error:
            failure = error
        if failure is None and answer:
            return answer
        if loop.time() > end:
            raise failure or AssertionError(f"not within {timeout_seconds} s; the last answer was {answer!r}")
        await asyncio.sleep(POLL_SECONDS)
