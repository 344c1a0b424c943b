"""What a key may spend: a burst at once, then a rate; each key for itself, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Problem
from shared.rate import Rate


@dataclass
class Time:
    """A clock that moves when told."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def taken(rate: Rate, key: str = "a", amount: int = 1) -> bool:
    try:
        rate.spend(key, amount)
    except Problem:
        return False
    return True


def refusal(rate: Rate, amount: int = 1) -> Problem:
    with pytest.raises(Problem) as error:
        rate.spend("a", amount)
    return error.value


def test_a_burst_goes_through_at_once_and_no_more() -> None:
    rate = Rate("requests", 10, 5, now_seconds=Time())
    assert [taken(rate) for _ in range(6)] == [True] * 5 + [False]


def test_afterwards_it_goes_on_at_the_rate() -> None:
    time = Time()
    rate = Rate("requests", 10, 5, now_seconds=time)
    rate.spend("a", 5)
    time.seconds += 0.5
    assert [taken(rate) for _ in range(6)] == [True] * 5 + [False]


def test_a_pause_saves_no_more_than_a_burst() -> None:
    time = Time()
    rate = Rate("requests", 10, 5, now_seconds=time)
    rate.spend("a", 5)
    time.seconds += 3_600
    assert [taken(rate) for _ in range(6)] == [True] * 5 + [False]


def test_a_refusal_is_429_and_says_when_to_come_again() -> None:
    time = Time()
    rate = Rate("events", 10, 50, now_seconds=time)
    rate.spend("a", 50)
    problem = refusal(rate, 25)
    assert (problem.status, [fault.code for fault in problem.faults]) == (429, ["rate"])
    assert problem.headers == {"Retry-After": "3"}
    time.seconds += int(problem.headers["Retry-After"])
    assert taken(rate, amount=25)


def test_what_is_refused_is_not_counted() -> None:
    rate = Rate("events", 10, 50, now_seconds=Time())
    assert not taken(rate, amount=51)
    assert taken(rate, amount=50)


def test_keys_do_not_wait_for_one_another() -> None:
    rate = Rate("requests", 10, 5, now_seconds=Time())
    rate.spend("a", 5)
    assert not taken(rate, "a")
    assert taken(rate, "b", 5)


def test_no_more_than_so_many_keys_are_remembered_and_those_that_call_are() -> None:
    time = Time()
    rate = Rate("requests", 10, 5, now_seconds=time, max_keys=100)
    rate.spend("busy", 5)
    for number in range(10_000):
        rate.spend(f"key-{number}")
        assert not taken(rate, "busy")
    assert len(rate) == 100


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 8)), max_size=60))
def test_over_any_stretch_no_more_is_taken_than_burst_and_rate_allow(calls: list[tuple[float, int]]) -> None:
    time = Time(0.0)
    rate = Rate("requests", 3, 8, now_seconds=time)
    spent = [(time.seconds, 0)]
    for pause, amount in calls:
        time.seconds += pause
        spent.append((time.seconds, amount if taken(rate, amount=amount) else 0))
    for start in range(len(spent)):
        total = 0
        for at, amount in spent[start:]:
            total += amount
            assert total <= 8 + 3 * (at - spent[start][0]) + 1e-6
