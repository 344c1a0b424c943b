"""Work beside a loop, one piece at a time: the loop goes on, and is told of the failure when it next asks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Beside:
    """One kind of work."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and no failure is waiting to be told."""
        done = self._task
        return done is None or (done.done() and not done.cancelled() and done.exception() is None)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self.idle
        self._task = asyncio.create_task(work, name=self._name)

    def failure(self) -> BaseException | None:
        """What the last piece of work failed with, told once."""
        if self._task is None or not self._task.done():
            return None
        done, self._task = self._task, None
        return done.exception()

    async def stop(self, timeout_seconds: float) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=timeout_seconds)
