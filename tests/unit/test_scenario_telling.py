"""The story is told by the clock, each event once, also when the telling was broken off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from deploy.local.simulator.saying import Said
from deploy.local.simulator.telling import CHUNK_EVENTS, tell_on, told_so_far
from shared.clock import FixedClock
from tests.unit.scenario_told import told

PART = 5_000


class Heard:
    """Takes events as ingest would; loses the connection after `chunks`."""

    def __init__(self, chunks: int = 10**6) -> None:
        self.said: list[Said] = []
        self.chunks = chunks

    async def send(self, said: Iterable[Said]) -> None:
        if self.chunks == 0:
            raise ConnectionError
        self.chunks -= 1
        self.said += said


def story() -> Iterator[Said]:
    return iter(told())


class NothingDue(Exception):
    """The telling would wait now."""


class StandingClock(FixedClock):
    """Ends the telling instead of letting it wait."""

    def real_seconds_until(self, instant: datetime) -> float:
        raise NothingDue


async def listen(heard: Heard, clock: FixedClock, file: Path) -> None:
    with suppress(NothingDue, ConnectionError):
        await tell_on(story(), clock, heard, file, lambda line: None)


async def test_what_is_due_is_told_at_once_and_nothing_before_its_moment(tmp_path: Path) -> None:
    heard, clock = Heard(), StandingClock(told()[PART].due)
    await listen(heard, clock, tmp_path / "state.json")
    assert heard.said == [said for said in told() if said.due <= clock.now()]
    assert told_so_far(tmp_path / "state.json").caught_up
    clock.advance(timedelta(days=3))
    await listen(heard, clock, tmp_path / "state.json")
    assert heard.said == [said for said in told() if said.due <= clock.now()]


async def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    first, second, clock = Heard(chunks=1), Heard(), StandingClock(told()[PART].due)
    await listen(first, clock, tmp_path / "state.json")
    assert CHUNK_EVENTS <= len(first.said) < CHUNK_EVENTS + 10
    await listen(second, clock, tmp_path / "state.json")
    assert first.said + second.said == [said for said in told() if said.due <= clock.now()]


async def test_it_counts_what_it_has_told_and_what_it_said_twice(tmp_path: Path) -> None:
    heard, clock = Heard(chunks=2), StandingClock(told()[PART].due)
    await listen(heard, clock, tmp_path / "state.json")
    await listen(Heard(), clock, tmp_path / "state.json")
    due = [said for said in told() if said.due <= clock.now()]
    counted = told_so_far(tmp_path / "state.json")
    assert counted.events == len(due)
    assert counted.again == len(due) - len({(said.producer, said.id) for said in due})
