"""Tells the story by the clock: what is due at once, what is not when its moment comes; remembers how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final, Protocol

from deploy.local.rundir import read_json, write_private
from deploy.local.simulator.saying import Said
from shared.clock import Clock, day_of

CHUNK_EVENTS: Final = 2_000
SHORTEST_NAP_SECONDS: Final = 0.2
LONGEST_NAP_SECONDS: Final = 1.0


class Sends(Protocol):
    """Hands events to ingest; returns when every one is acknowledged."""

    async def send(self, said: Iterable[Said]) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """How far the story has been told: every event due up to `until` is acknowledged, `events` in number.

    `again` of them were sent before, the very same. `caught_up`: everything that was due has been told.
    """

    until: str | None = None
    events: int = 0
    again: int = 0
    caught_up: bool = False

    @property
    def day(self) -> date | None:
        """The day of the last event."""
        return None if self.until is None else day_of(datetime.fromisoformat(self.until))


def told_so_far(file: Path) -> Told:
    kept = read_json(file)
    return Told() if kept is None else Told(**kept)


async def tell_on(story: Iterator[Said], clock: Clock, sender: Sends, file: Path, say: Callable[[str], None]) -> None:
    """Sends for ever what is due, from where `file` says that an earlier run stopped. Raises Refused."""
    told = told_so_far(file)
    names: set[tuple[str, str]] = set()
    coming = _after(story, told, names)
    while True:
        now = clock.now()
        chunk = _due(story, coming, now)
        if chunk:
            coming = chunk.pop()
            await sender.send(chunk)
            before, told = told, _count(told, chunk, names)
            if not told.caught_up or before.day != told.day:
                say(f"{told.events:,} events sent, up to {told.day}")
        if coming.due > now and not told.caught_up:
            told = Told(told.until, told.events, told.again, caught_up=True)
            say(f"history is told: {told.events:,} events; the next is due on {day_of(coming.due)}")
        write_private(file, asdict(told))
        if coming.due > now:
            nap_seconds = clock.real_seconds_until(coming.due)
            await asyncio.sleep(max(SHORTEST_NAP_SECONDS, min(nap_seconds, LONGEST_NAP_SECONDS)))


def _after(story: Iterator[Said], told: Told, names: set[tuple[str, str]]) -> Said:
    """The first event that has not been told; the names of those before it are noted."""
    until = None if told.until is None else datetime.fromisoformat(told.until)
    for said in story:
        if until is None or said.due > until:
            return said
        names.add(_name(said))
    raise AssertionError("the story has no end")


def _due(story: Iterator[Said], first: Said, now: datetime) -> list[Said]:
    """The events due by `now` from `first` on, at most a chunk and those due at its last moment; and the next one."""
    if first.due > now:
        return []
    chunk = [first]
    for said in story:
        full = len(chunk) >= CHUNK_EVENTS and said.due > chunk[-1].due
        chunk.append(said)
        if said.due > now or full:
            return chunk
    raise AssertionError("the story has no end")


def _count(told: Told, chunk: list[Said], names: set[tuple[str, str]]) -> Told:
    again = 0
    for said in chunk:
        again += _name(said) in names
        names.add(_name(said))
    return Told(chunk[-1].due.isoformat(), told.events + len(chunk), told.again + again, told.caught_up)


def _name(said: Said) -> tuple[str, str]:
    return said.producer, said.id
