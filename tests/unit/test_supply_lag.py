"""When the watchdog ends the process: there is work, and no position moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from services.supply.claims import Place
from services.supply.lag import Stall
from shared import topics

ONE, OTHER = (topics.MOVEMENTS, 0), (topics.MOVEMENTS, 1)
AFTER_SECONDS = 60.0


@dataclass
class Seen:
    """What `Lag` has seen: where positions stand, and how many records wait."""

    positions: dict[Place, int] = field(default_factory=dict)
    by_place: dict[Place, int] = field(default_factory=dict)


class Watched:
    def __init__(self) -> None:
        self.stall = Stall(AFTER_SECONDS)

    def at(self, now: float, stands: int, waiting: int, assigned: list[Place] | None) -> int:
        lag = Seen({ONE: stands, OTHER: 0}, {ONE: waiting, OTHER: 0})
        return self.stall.records(cast(Any, lag), assigned, now)


@pytest.mark.parametrize("assigned", [[ONE], None])
def test_records_that_wait_while_nothing_moves_are_told_after_a_while(assigned: list[Place] | None) -> None:
    watched = Watched()
    assert watched.at(0, 7, 3, assigned) == 0
    assert watched.at(60, 7, 3, assigned) == 0
    assert watched.at(61, 7, 3, assigned) == 3


def test_a_position_that_moves_is_progress_whoever_moves_it() -> None:
    watched = Watched()
    assert watched.at(0, 7, 3, None) == 0
    assert watched.at(50, 8, 3, None) == 0
    assert watched.at(100, 8, 3, None) == 0
    assert watched.at(111, 8, 3, None) == 3


def test_without_work_nothing_is_stalled() -> None:
    watched = Watched()
    assert watched.at(0, 7, 0, [ONE]) == 0
    assert watched.at(1000, 7, 0, [ONE]) == 0
    assert watched.at(1001, 7, 5, [ONE]) == 0


def test_what_waits_in_the_partitions_of_others_is_theirs() -> None:
    watched = Watched()
    assert watched.at(0, 7, 3, [OTHER]) == 0
    assert watched.at(1000, 7, 3, [OTHER]) == 0
