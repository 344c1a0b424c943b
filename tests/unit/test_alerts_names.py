"""How names are looked up: side by side, and no name in the way of another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from services.alerts.names import LOOKUPS, Names

HERE = ip_address("192.0.2.1")


class System:
    """Stands in for the system's resolver: names that begin with `dead` hang until the end of the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()

    def look_up(self, host: str) -> list[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.over.wait()
        if host == "unknown.example":
            raise OSError("no such name")
        if host == "odd":
            raise UnicodeError("label too long")
        return ["192.0.2.1", "192.0.2.1"]


@pytest.fixture
def system() -> Iterator[System]:
    made = System()
    yield made
    made.over.set()


async def test_a_name_that_hangs_is_looked_up_once_and_holds_up_no_other(system: System) -> None:
    names = Names(system.look_up)
    waiting = [asyncio.create_task(names.addresses("dead.example")) for _ in range(10 * LOOKUPS)]
    async with asyncio.timeout(5):
        assert await names.addresses("living.example") == [HERE]
    assert sorted(system.asked) == ["dead.example", "living.example"]
    waiting.pop().cancel()
    system.over.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [[HERE]] * len(waiting)


async def test_each_question_is_asked_anew(system: System) -> None:
    names = Names(system.look_up)
    assert await names.addresses("a.example") == await names.addresses("a.example") == [HERE]
    assert system.asked == ["a.example", "a.example"]


@pytest.mark.parametrize("host", ["unknown.example", "odd"])
async def test_a_name_that_leads_nowhere_is_an_os_error(system: System, host: str) -> None:
    names = Names(system.look_up)
    with pytest.raises(OSError):
        await names.addresses(host)
    assert await names.addresses_or_none(host) is None
