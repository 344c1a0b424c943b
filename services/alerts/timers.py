"""Keeps the clock: looks again at subjects when something comes due or mutes no more, and has groups told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.alerts.store.alerts import AlertStore
from services.alerts.wakeups import Wakeups
from shared.clock import Clock
from shared.patience import patiently


class Timers:
    """Deadlines are rows; each is acted on in the transaction that moves it, by whichever instance has it first.

    They wait after a start until `caught_up`: what was signalled while nobody listened may have ended what fell due.
    """

    def __init__(
        self,
        store: AlertStore,
        clock: Clock,
        wakeups: Wakeups,
        caught_up: Callable[[], Awaitable[object]],
        *,
        poll_seconds: float,
        batch: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wakeups = wakeups
        self._caught_up = caught_up
        self._poll_seconds = poll_seconds
        self._batch = batch

    async def run(self) -> None:
        await self._caught_up()
        while True:
            if await patiently("deadlines", self.once) == 0:
                await self._wakeups.wait("timers", await patiently("the next deadline", self._pause_seconds))

    async def once(self) -> int:
        """Acts on what is due; how much that was."""
        return await self._store.unmute() + await self._store.wake(self._batch) + await self._store.flush()

    async def _pause_seconds(self) -> float:
        """Bounded, because another instance may write an earlier deadline."""
        deadline = await self._store.next_wake()
        if deadline is None:
            return self._poll_seconds
        return min(self._poll_seconds, self._clock.real_seconds_until(deadline))
