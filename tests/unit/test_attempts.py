"""How often somebody may fail to sign in, with time moved."""

from __future__ import annotations

import pytest

from shared.attempts import Attempts, network_of
from shared.errors import Problem

MINUTE = 60.0


class Door:
    """Attempts with a clock of their own."""

    def __init__(self, max_keys: int = 100) -> None:
        self.now = 0.0
        self.attempts = Attempts(6, 3, now_seconds=lambda: self.now, max_keys=max_keys)

    def fails(self, address: str, key_id: str | None = None) -> int | None:
        """None if the attempt was let through, else the seconds to wait."""
        try:
            self.attempts.begin(address, key_id)
        except Problem as problem:
            return int(problem.headers["Retry-After"]) if problem.status == 429 else -1
        return None


def test_failures_of_an_address_are_bounded_and_come_back_with_time() -> None:
    door = Door()
    assert [door.fails("10.0.0.1") for _ in range(3)] == [None] * 3
    assert door.fails("10.0.0.1") == 10
    assert door.fails("10.0.0.2") is None
    door.now += 10
    assert [door.fails("10.0.0.1"), door.fails("10.0.0.1")] == [None, 10]
    door.now += 60 * MINUTE
    assert [door.fails("10.0.0.1") for _ in range(4)] == [None, None, None, 10]


def test_a_key_is_guessed_from_many_addresses_no_faster() -> None:
    door = Door()
    assert [door.fails(f"10.0.0.{n}", "abcdefghijkl") for n in range(4)] == [None, None, None, 10]
    assert door.fails("10.0.0.9", "another00000") is None


def test_who_is_held_back_by_a_key_spends_nothing_of_the_address() -> None:
    door = Door()
    for n in range(3):
        door.fails(f"10.0.0.{n}", "abcdefghijkl")
    for _ in range(10):
        assert door.fails("10.0.1.1", "abcdefghijkl") == 10
    assert door.fails("10.0.1.1") is None


def test_success_counts_no_attempt() -> None:
    door = Door()
    for _ in range(50):
        assert door.fails("10.0.0.1", "abcdefghijkl") is None
        door.attempts.succeeded("10.0.0.1", "abcdefghijkl")


def test_success_does_not_pay_for_failures() -> None:
    door = Door()
    for _ in range(3):
        door.fails("10.0.0.1")
    door.attempts.succeeded("10.0.0.1", None)
    assert [door.fails("10.0.0.1"), door.fails("10.0.0.1")] == [None, 10]


def test_memory_is_bounded_however_many_try() -> None:
    door = Door(max_keys=100)
    for n in range(5_000):
        door.fails(f"10.{n // 250}.0.{n % 250}", f"key{n:09d}")
    assert len(door.attempts) <= 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_an_ipv6_network_is_one_address(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
