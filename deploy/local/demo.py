"""Plays the scenario on a scaled clock and checks that every goal status and alert that it provokes comes through."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import urlencode

from rich.console import Console

from deploy.local import demo_report as report
from deploy.local import http
from deploy.local.anchor import ScaledTime
from deploy.local.expectations import Arrival, Awaited, arrival_of, awaited, missing
from deploy.local.faults import Cancelled
from deploy.local.growing import GrowingFile
from deploy.local.ports import OFFSETS, Ports, is_free
from deploy.local.progress import shown
from deploy.local.simulate import STATE_FILE
from deploy.local.simulator.data import Scenario, load
from deploy.local.simulator.telling import told_so_far
from deploy.local.stack import Stack, StackOptions
from deploy.local.supervisor import STOPPED_BY
from shared.clock import ScaledClock, parse_clock

SCENARIO: Final = "vietnam"
SECONDS_A_DAY: Final = 86_400.0
POLL_SECONDS: Final = 0.4
HISTORY_TIMEOUT_SECONDS: Final = 150.0
GRACE_SECONDS: Final = 15.0
SETTLE_SECONDS: Final = 15.0
SAY_EVERY_SECONDS: Final = 3.0
PORT_BASE_STEP: Final = 200
PORT_BASES_TRIED: Final = 40
RECORDED: Final = "supply_watch_supply_records_total"
NATIONAL: Final = {"volume": "domestic_share_volume", "value": "domestic_share_value"}
REMINDER: Final = "reminder"  # told again of what still holds: nothing new to show
COMPLETE: Final = 0
INCOMPLETE: Final = 1
STOPPED: Final = 130


def main(run_dir: Path, port_base: int) -> int:
    """Runs the demo in `run_dir`; 0 if everything came, 1 if something is missing, 130 if it was stopped.

    Raises CannotStart if the stack does not start. Ports from `port_base` on, or the next free ones.
    """
    scenario, console = load(), report.console_for_report()
    began = time.monotonic()
    live = scenario.story.live
    clock = ScaledTime(scenario.story.live_start, live.demo_days_per_second * SECONDS_A_DAY, live.demo_hold_seconds)
    stack = Stack(StackOptions(run_dir, free_port_base(port_base), SCENARIO, clock))
    _stop_on_signals(stack)
    try:
        with shown(console) as steps:
            stack.show_on(steps)
            stack.start()
        code = Demo(stack, scenario, console, began).run()
    except (Cancelled, Stopped):
        code = STOPPED
    finally:
        _on_signals(signal.SIG_IGN)
        stack.stop()
    return code


class Stopped(Exception):
    """Ctrl-C or SIGTERM while the demo was watching."""


def _stop_on_signals(stack: Stack) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        stack.cancel()
        raise Stopped

    _on_signals(stop)


def _on_signals(action: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in STOPPED_BY:
        signal.signal(number, action)


def free_port_base(wanted: int) -> int:
    """The first base from `wanted` on whose ports are all free."""
    bases = (wanted + step * PORT_BASE_STEP for step in range(PORT_BASES_TRIED))
    free = (base for base in bases if all(is_free(Ports(base).of(name)) for name in OFFSETS))
    return next(free, wanted)


class Demo:
    """Watches one running stack until the story has come through."""

    def __init__(self, stack: Stack, scenario: Scenario, console: Console, began: float) -> None:
        self._stack = stack
        self._story = scenario.story
        self._console = console
        self._began = began
        clock = parse_clock(stack.clock)
        assert isinstance(clock, ScaledClock)
        self._clock = clock
        self._log = GrowingFile(stack.run_dir.webhooks)
        self._arrivals: list[Arrival] = []
        self._statuses: dict[str, list[str]] = {}
        self._goals: dict[str, dict[str, Any]] = {}
        self._recorded_at_checkpoint: int | None = None
        self._said_at = 0.0
        self._last_counts = report.Counts(sent=0, recorded=0, again=0)

    def run(self) -> int:
        """The exit code."""
        if not self._wait(self._history_is_recorded, HISTORY_TIMEOUT_SECONDS):
            self._console.print(f"the history is not in the ledger after {HISTORY_TIMEOUT_SECONDS:.0f} s")
            self._tell_end([], ["the history in the ledger"])
            return INCOMPLETE
        self._tell_start()
        days = timedelta(days=self._story.live.days)
        live_seconds = self._clock.real_seconds_until(self._clock.start + days) + GRACE_SECONDS
        complete = self._wait(self._everything_came, live_seconds)
        lacking = [] if complete else self._lacking()
        if not self._wait(self._all_is_recorded, SETTLE_SECONDS):
            lacking.append("events of the live days in the ledger")
        self._tell_end(self._changes(), lacking)
        return INCOMPLETE if lacking else COMPLETE

    # What it waits for.

    def _wait(self, reached: Callable[[], bool], timeout_seconds: float) -> bool:
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            try:
                if reached():
                    return True
            except (http.Refused, OSError):  # a service that restarts; the time is bounded
                pass
            time.sleep(POLL_SECONDS)
        return False

    def _history_is_recorded(self) -> bool:
        """Everything that was due is in the ledger, and a checkpoint has been taken since, which answers rest on."""
        if self._recorded_at_checkpoint is None:
            counts = self._counts()
            self._say_now_and_then(f"history: {counts.sent:,} events sent, {counts.recorded:,} recorded in the ledger")
            caught_up = told_so_far(self._stack.run_dir / STATE_FILE).caught_up
            if caught_up and counts.recorded >= counts.sent > 0:
                self._recorded_at_checkpoint = self._checkpoint()
            return False
        return self._checkpoint() > self._recorded_at_checkpoint + 1

    def _all_is_recorded(self) -> bool:
        """A moment between two events, which the producers go on sending: each that was sent is in the ledger."""
        before, after = self._counts(), self._counts()
        return before.sent == after.sent == before.recorded == after.recorded

    def _everything_came(self) -> bool:
        self._read_log()
        self._read_goals()
        return not self._lacking() and self._alerts_agree()

    def _lacking(self) -> list[str]:
        return missing(self._story.expected, self._changes(), self._statuses)

    def _alerts_agree(self) -> bool:
        """Every expected alert is in GET /alerts too, and none that ended is still shown as firing."""
        for alert in self._story.expected.alerts:
            held = self._alerts(alert.rule, alert.subject)
            if not held or (alert.resolved is None) != any(item["state"] == "firing" for item in held):
                return False
        return True

    # Where it looks.

    def _counts(self) -> report.Counts:
        told = told_so_far(self._stack.run_dir / STATE_FILE)
        metrics = http.text(f"{self._stack.credentials['supply']}/metrics")
        recorded = sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(RECORDED))
        self._last_counts = report.Counts(sent=told.events, recorded=int(recorded), again=told.again)
        return self._last_counts

    def _checkpoint(self) -> int:
        return int(self._supply(f"/indicators?{urlencode({'name': NATIONAL['volume'], 'scope': 'all'})}")["checkpoint"])

    def _supply(self, path: str) -> Any:
        found = self._stack.credentials
        return http.call("GET", found["supply"] + path, found["keys"]["viewer"])

    def _alerts(self, rule: str, subject: str) -> list[dict[str, Any]]:
        found = self._stack.credentials
        path = f"/alerts?{urlencode({'rule': rule, 'subject': subject, 'limit': 100})}"
        items: list[dict[str, Any]] = http.call("GET", found["alerts"] + path, found["keys"]["viewer"])["items"]
        return items

    def _read_goals(self) -> None:
        """Notes each new status of a goal."""
        for item in self._supply("/goals?limit=100")["items"]:
            self._goals[item["goal"]] = item
            seen = self._statuses.setdefault(item["goal"], [])
            if not seen or seen[-1] != item["status"]:
                if seen:
                    self._console.print(report.turn_line(self._clock.today(), item, seen[-1]), markup=False)
                seen.append(item["status"])

    def _read_log(self) -> None:
        """Takes up the webhooks that have arrived since, and tells those of the live days."""
        for arrival in (arrival_of(json.loads(line)) for line in self._log.lines()):
            if arrival is not None:
                self._arrivals.append(arrival)
                if arrival.told_at > self._clock.start and arrival.transition != REMINDER:
                    self._console.print(report.arrival_line(arrival), markup=False)

    def _changes(self) -> list[Awaited]:
        return awaited(self._story.expected, self._arrivals, self._clock.start)

    def _shares(self) -> dict[str, str | None]:
        shares = {}
        for name, indicator in NATIONAL.items():
            items = self._supply(f"/indicators?{urlencode({'name': indicator, 'scope': 'all'})}")["items"]
            shares[name] = items[0]["value"] if items else None
        return shares

    # What it tells.

    def _say_now_and_then(self, line: str) -> None:
        if time.monotonic() - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._console.print(line, markup=False)

    def _tell_start(self) -> None:
        self._console.print()
        report.show_events(self._console, self._counts(), time.monotonic() - self._began)
        report.show_shares(self._console, f"on {self._clock.today()}", self._shares())
        waits = self._clock.real_seconds_until(self._clock.start)
        self._console.print(
            f"the live days begin in {waits:.0f} s, {self._story.live.demo_days_per_second:g} days a second"
        )

    def _tell_end(self, changes: list[Awaited], lacking: list[str]) -> None:
        self._console.print()
        report.show_events(self._console, self._last_counts, time.monotonic() - self._began)
        report.show_shares(self._console, f"on {self._clock.today()}", self._shares())
        self._console.print()
        report.show_goals(self._console, self._statuses, self._goals)
        report.show_alerts(self._console, changes, self._clock)
        unverified = sum(not arrival.verified for arrival in self._arrivals)
        self._console.print(f"webhooks received {len(self._arrivals)}, not verified {unverified}")
        for line in lacking:
            self._console.print(f"missing: {line}", markup=False)
        self._console.print("everything came through" if not lacking else "the demo is incomplete")
