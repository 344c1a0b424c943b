"""Runs deliveries: claims due heads of lanes, sends them side by side, records what came of each."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from services.alerts import metrics, payload, retry, signature
from services.alerts.claim import Claimed, Result
from services.alerts.endpoint import Endpoint
from services.alerts.rate import Bucket
from services.alerts.retry import Attempt
from services.alerts.sender import Request
from services.alerts.store.deliveries import DeliveryStore
from services.alerts.wakeups import Wakeups
from shared.clock import Clock
from shared.patience import patiently

RESULTS_BATCH: Final = 500
# An endpoint that fails now is sent less at once: several that hang would take all requests there may be in flight.
FAILING_CONCURRENCY: Final = 4
# Work is claimed once so much of the bound is free, not one by one: each claim is a transaction.
FREE_SHARE: Final = 1 / 8


class Sends(Protocol):
    """What makes an attempt: the sender, or one that a test can watch."""

    async def post(self, request: Request) -> Attempt: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the loop."""

    concurrency: int
    endpoint_concurrency: int
    poll_seconds: float
    lease: timedelta


class Deliveries:
    """One loop a process. An endpoint that hangs holds only its own share of the requests in flight."""

    def __init__(
        self,
        store: DeliveryStore,
        sender: Sends,
        clock: Clock,
        limits: Limits,
        wakeups: Wakeups,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._limits = limits
        self._wakeups = wakeups
        self._chance = chance
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._in_flight: Counter[uuid.UUID] = Counter()
        self._buckets: dict[uuid.UUID, Bucket] = {}
        self._results: asyncio.Queue[Result] = asyncio.Queue()
        self._recording = asyncio.Lock()
        self._stopping = False
        self._claims_nothing = asyncio.Event()

    async def run(self) -> None:
        """Claims until `stop`, records until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._record_forever(), name="delivery-results")
            while not self._stopping:
                started = await patiently("deliveries to claim", self._start_due)
                if not started:
                    await self._wakeups.wait("deliveries", self._limits.poll_seconds)
            self._claims_nothing.set()

    async def once(self) -> int:
        """One round from claim to record; how many attempts it made."""
        started = await self._start_due()
        while self._running:
            await asyncio.wait(self._running)
        await self._record()
        return started

    async def stop(self, timeout_seconds: float) -> None:
        """Claims nothing more, lets attempts under way end, records them, and gives back those that did not."""
        self._stopping = True
        self._wakeups.changed("deliveries")
        async with asyncio.timeout(timeout_seconds):
            await self._claims_nothing.wait()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_seconds)
        unfinished = dict(self._running)
        for task in unfinished:
            task.cancel()
        await self._record()
        if unfinished:
            await self._store.release(unfinished.values(), self._clock.real_now())

    async def _start_due(self) -> int:
        endpoints = {endpoint.id: endpoint for endpoint in await self._store.receivers()}
        rooms = self._rooms(endpoints, self._clock.real_now())
        if not rooms:
            return 0
        left = self._limits.concurrency - len(self._running)
        claimed = await self._store.claim(endpoints, rooms, left, self._clock.real_now(), self._limits.lease)
        for item in claimed:
            self._start(item)
        return len(claimed)

    def _rooms(self, endpoints: dict[uuid.UUID, Endpoint], now: datetime) -> dict[uuid.UUID, int]:
        """How many deliveries each endpoint may be sent now at most."""
        left = self._limits.concurrency - len(self._running)
        rooms: dict[uuid.UUID, int] = {}
        if left < self._limits.concurrency * FREE_SHARE:
            return rooms
        for endpoint in endpoints.values():
            most = self._limits.endpoint_concurrency if endpoint.failing_since is None else FAILING_CONCURRENCY
            room = min(left, most - self._in_flight[endpoint.id])
            if room < most * FREE_SHARE:
                continue
            if endpoint.rate is not None:
                room = min(room, self._bucket(endpoint.id, endpoint.rate, now).room(now))
            if room > 0:
                rooms[endpoint.id] = room
        return rooms

    def _bucket(self, endpoint: uuid.UUID, rate: float, now: datetime) -> Bucket:
        bucket = self._buckets.get(endpoint)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[endpoint] = Bucket.full(rate, now)
        return bucket

    def _start(self, claimed: Claimed) -> None:
        endpoint = claimed.endpoint.id
        if endpoint in self._buckets:
            self._buckets[endpoint].take(1)
        self._in_flight[endpoint] += 1
        metrics.IN_FLIGHT.inc()
        task = asyncio.create_task(self._deliver(claimed), name="delivery")
        self._running[task] = claimed
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        claimed = self._running.pop(task)
        self._in_flight[claimed.endpoint.id] -= 1
        metrics.IN_FLIGHT.dec()
        busy = max(
            len(self._running) / self._limits.concurrency,
            self._in_flight[claimed.endpoint.id] / self._limits.endpoint_concurrency,
        )
        if busy <= 1 - FREE_SHARE:
            self._wakeups.changed("deliveries")
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a bug: the loop's exception handler ends the process

    async def _deliver(self, claimed: Claimed) -> None:
        request = prepare(claimed, self._clock.real_now())
        attempt = await self._sender.post(request)
        outcome = retry.outcome(attempt, claimed.round_number, self._chance(), self._clock.real_now())
        metrics.ATTEMPTS.labels(type(outcome).__name__.lower()).inc()
        metrics.ATTEMPT_SECONDS.observe(attempt.seconds)
        if claimed.number > 1:
            metrics.RETRIES.inc()
        self._results.put_nowait(Result(claimed, attempt, outcome))

    async def _record_forever(self) -> None:
        while True:
            first = await self._results.get()
            self._results.put_nowait(first)
            await self._record()

    async def _record(self) -> None:
        """Writes every result there is, as many at once as fit one transaction; none is lost when it is cancelled."""
        async with self._recording:
            while not self._results.empty():
                batch = [self._results.get_nowait() for _ in range(min(RESULTS_BATCH, self._results.qsize()))]
                try:
                    await patiently("results to record", partial(self._finish, batch))
                except asyncio.CancelledError:
                    for result in batch:
                        self._results.put_nowait(result)
                    raise
                self._wakeups.changed("deliveries")

    async def _finish(self, batch: list[Result]) -> None:
        await self._store.finish(batch, self._clock.real_now())


def prepare(claimed: Claimed, now: datetime) -> Request:
    """The signed request of one attempt. The body is the same for every attempt, the signature's time is not."""
    identity = str(claimed.id)
    body = payload.body(claimed.message, claimed.endpoint.format, identity)
    headers = {**claimed.endpoint.headers, "content-type": payload.CONTENT_TYPE}
    headers |= signature.headers(claimed.endpoint.secrets(now), identity, now, body)
    return Request(claimed.endpoint.url, headers, body)
