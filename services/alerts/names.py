"""Finds the addresses of a host: one lookup of a name at a time, so that one whose servers hang holds up no other."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from services.alerts.destination import Address

# Names that are looked up side by side. The loop's own getaddrinfo has four threads for everything: the attempts at one
# endpoint whose name does not resolve would take them all, and every other endpoint would wait.
LOOKUPS: Final = 64
TIMEOUT_SECONDS: Final = 2.0


def by_the_system(host: str) -> list[str]:
    """The addresses of `host` as texts. Raises OSError, or UnicodeError for what cannot be a name."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Names:
    """One for the process. Nothing is remembered: who asks when no lookup of the name is under way starts a new one."""

    def __init__(self, look_up: Callable[[str], Iterable[str]] = by_the_system) -> None:
        self._look_up = look_up
        self._under_way: dict[str, asyncio.Task[list[Address]]] = {}
        self._room = asyncio.Semaphore(LOOKUPS)

    async def addresses(self, host: str) -> list[Address]:
        """Every address of `host`, each once. Raises OSError."""
        task = self._under_way.get(host)
        if task is None:
            task = self._under_way[host] = asyncio.create_task(self._looked_up(host), name="lookup")
            task.add_done_callback(lambda done: self._ended(host, done))
        return await asyncio.shield(task)

    async def addresses_or_none(self, host: str) -> list[Address] | None:
        """None when the name cannot be resolved now."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self.addresses(host)
        except (OSError, TimeoutError):
            return None

    async def _looked_up(self, host: str) -> list[Address]:
        async with self._room:
            try:
                found = await _in_a_thread(lambda: list(self._look_up(host)))
                return list(dict.fromkeys(ip_address(text) for text in found))
            except UnicodeError as error:
                raise OSError(f"no name of the DNS: {error}") from None

    def _ended(self, host: str, done: asyncio.Task[list[Address]]) -> None:
        del self._under_way[host]
        if not done.cancelled():
            done.exception()  # whoever waited has been told


async def _in_a_thread(call: Callable[[], list[str]]) -> list[str]:
    """What `call` comes to. A thread that hangs does not keep the process from ending, as those of an executor do."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def run() -> None:
        try:
            found, error = call(), None
        except Exception as failure:  # noqa: BLE001 - raised again where it is awaited
            found, error = [], failure
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, future, found, error)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return await future


def _settle(future: asyncio.Future[list[str]], found: list[str], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(found)
    else:
        future.set_exception(error)
