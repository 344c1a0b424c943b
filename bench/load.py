"""Loads an HTTP service from a process of its own: so many connections, each with one request under way. `python -m`.

Reads its orders as JSON from standard input and answers what it measured as JSON. Requests are bytes made before, and
of an answer no more is read than where it ends: it is there to be light.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Final, cast

import msgspec
import uvloop

from bench.sent import SEED, Sender, requests

EVENTS_PREPARED: Final = 10_000
# How long an answer may take before the run has failed.
ANSWER_TIMEOUT_SECONDS: Final = 30.0
EXPECTED: Final = b"HTTP/1.1 202"
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Orders(msgspec.Struct, frozen=True):
    """What is to be sent: `connections` of each sender, requests of `events`, for `seconds`."""

    host: str
    port: int
    senders: tuple[Sender, ...]
    connections: int
    events: int
    seconds: float


class Loaded(msgspec.Struct, frozen=True):
    """What came of it: `refused` is the beginning of an answer that was not 202, if there was one."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    refused: str | None


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the one before is complete, until the end."""

    def __init__(self, sent: Iterator[bytes], end: float) -> None:
        self._sent, self._end = sent, end
        self._transport: asyncio.Transport | None = None
        self._began = 0.0
        self._answer = bytearray()
        self._wanted_bytes = 0
        self.seconds: list[float] = []
        self.refused: str | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        if self._began >= self._end:
            self._finish()
            return
        self._transport.write(next(self._sent))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._wanted_bytes:
            head = self._answer.find(_HEAD_END)
            if head < 0:
                return
            at = self._answer.lower().find(_LENGTH, 0, head) + len(_LENGTH)
            self._wanted_bytes = head + len(_HEAD_END) + int(self._answer[at : self._answer.find(b"\r\n", at)])
        if len(self._answer) < self._wanted_bytes:
            return
        if not self._answer.startswith(EXPECTED):
            self.refused = self._answer[:600].decode(errors="replace")
            self._finish()
            return
        self.seconds.append(time.perf_counter() - self._began)
        self._answer.clear()
        self._wanted_bytes = 0
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.refused = f"the connection was lost: {error}"
            self._finish()

    def _finish(self) -> None:
        assert self._transport is not None
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def load(orders: Orders) -> Loaded:
    host = f"{orders.host}:{orders.port}"
    count = max(1, EVENTS_PREPARED // orders.events // len(orders.senders))
    prepared = [
        requests(sender, host, orders.events, count, SEED + number) for number, sender in enumerate(orders.senders)
    ]
    loop = asyncio.get_running_loop()
    cpu, began = time.process_time(), time.perf_counter()
    end = began + orders.seconds
    connections = []
    for number in range(orders.connections):
        sent = prepared[number % len(prepared)]
        start = number * len(sent) // orders.connections
        one = _Connection(itertools.cycle([*sent[start:], *sent[:start]]), end)
        await loop.create_connection(lambda one=one: one, orders.host, orders.port)  # type: ignore[misc]
        connections.append(one)
    async with asyncio.timeout(orders.seconds + ANSWER_TIMEOUT_SECONDS):
        await asyncio.wait([one.done for one in connections])
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    taken = sorted(took for one in connections for took in one.seconds)
    refused = next((one.refused for one in connections if one.refused), None)
    return Loaded(len(taken), seconds, cpu_seconds, percentile(taken, 0.5), percentile(taken, 0.99), refused)


def percentile(taken: list[float], share: float) -> float:
    """In milliseconds."""
    return round(taken[min(len(taken) - 1, int(len(taken) * share))] * 1000, 2) if taken else 0.0


if __name__ == "__main__":
    loaded = uvloop.run(load(msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)))
    sys.stdout.buffer.write(msgspec.json.encode(loaded))
