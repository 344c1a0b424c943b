"""How late the ledger is, in steps, and that it is signalled when that changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.alerts.pipeline import SUBJECT, Pipeline, state_of
from services.alerts.settings import AlertsSettings
from shared.clock import FixedClock
from tests.unit.alerts_given import NOW


@pytest.mark.parametrize(("seconds", "late"), [(-5, 0), (0, 0), (59, 0), (60, 60), (359, 300), (3600, 3600)])
def test_lateness_is_told_in_whole_steps(seconds: int, late: int) -> None:
    assert state_of(NOW - timedelta(seconds=seconds), NOW) == {
        "stage": "ledger",
        "newest_at": (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
        "late_seconds": late,
    }


async def test_a_signal_comes_for_each_step_and_when_it_is_late_no_more() -> None:
    told: list[tuple[str, int]] = []

    async def tell(subject: str, state: dict[str, Any]) -> None:
        told.append((subject, state["late_seconds"]))

    given = {"database_url": "postgresql://nobody@127.0.0.1/none", "kafka_password": "none", "session_secret": "none"}
    clock = FixedClock(NOW)
    pipeline = Pipeline(AlertsSettings.load(**given), clock, tell)
    for _ in range(10):
        await pipeline.look(NOW)
        clock.advance(timedelta(seconds=15))
    await pipeline.look(clock.real_now())
    assert told == [(SUBJECT, late) for late in (0, 60, 120, 0)]
