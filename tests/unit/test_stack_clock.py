"""Domain time goes on where it stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.anchor import ScaledTime, anchored, keep, parse_wanted
from deploy.local.faults import CannotStart
from shared.clock import ScaledClock, parse_clock

START = datetime(2026, 11, 1, tzinfo=UTC)
HOURLY = ScaledTime(START, 3600.0)


def read(setting: str) -> ScaledClock:
    clock = parse_clock(setting)
    assert isinstance(clock, ScaledClock)
    return clock


def test_the_first_run_begins_at_the_start_that_was_asked_for(tmp_path: Path) -> None:
    clock = read(anchored(tmp_path / "clock.json", HOURLY, real_now=1000.0))
    assert (clock.start, clock.rate, clock.epoch.timestamp()) == (START, 3600.0, 1000.0)


def test_time_stands_still_while_the_past_is_sent(tmp_path: Path) -> None:
    wanted = ScaledTime(START, 3600.0, hold_seconds=30.0)
    clock = read(anchored(tmp_path / "clock.json", wanted, real_now=1000.0))
    assert clock.epoch.timestamp() == 1030.0


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    anchored(file, HOURLY, real_now=1000.0)
    stopped = START + timedelta(days=3)
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "stopped_at": stopped.isoformat()}))
    clock = read(anchored(file, ScaledTime(START, 60.0, hold_seconds=30.0), real_now=9000.0))
    assert (clock.start, clock.rate, clock.epoch.timestamp()) == (stopped, 60.0, 9000.0)


def test_what_is_kept_is_how_far_domain_time_has_come(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    before = datetime.now(UTC)
    keep(file, f"{START.isoformat()}@2@{(before - timedelta(seconds=100)).timestamp()}")
    stopped = datetime.fromisoformat(json.loads(file.read_bytes())["stopped_at"])
    assert timedelta(seconds=200) <= stopped - START <= timedelta(seconds=220)


@pytest.mark.parametrize(("first", "second"), [(None, HOURLY), (HOURLY, None)])
def test_a_directory_keeps_to_its_kind_of_clock(
    tmp_path: Path, first: ScaledTime | None, second: ScaledTime | None
) -> None:
    anchored(tmp_path / "clock.json", first, real_now=1000.0)
    with pytest.raises(CannotStart, match="clock"):
        anchored(tmp_path / "clock.json", second, real_now=2000.0)


def test_a_clock_is_asked_for_as_real_or_as_start_and_rate() -> None:
    assert parse_wanted("real") is None
    assert parse_wanted("2026-11-01T07:00:00+07:00@3600") == HOURLY
    for wrong in ("tomorrow", "2026-11-01@0", "2026-11-01T00:00:00@60"):
        with pytest.raises(CannotStart):
            parse_wanted(wrong)
