"""Lets the loops of one process know at once that there is work; what they miss they find at their next poll."""

from __future__ import annotations

import asyncio
from typing import Final

LOOPS: Final = ("timers", "deliveries", "relay")


class Wakeups:
    """An event for each loop."""

    def __init__(self) -> None:
        self._events = {name: asyncio.Event() for name in LOOPS}

    def changed(self, *loops: str) -> None:
        """There is something new for `loops`, or for any of them."""
        for loop in loops or LOOPS:
            self._events[loop].set()

    async def wait(self, loop: str, timeout_seconds: float) -> None:
        """Returns when something changed, or after the timeout."""
        event = self._events[loop]
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            event.clear()
