"""Prints what the demo has seen: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.local.expectations import Arrival, Awaited
from shared.clock import ScaledClock, day_of, start_of

PLAIN_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Counts:
    """How far history and story have come."""

    sent: int
    recorded: int
    again: int


def console_for_report() -> Console:
    """Wide enough that a pipe gets whole lines."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def seconds_after(change: Awaited, clock: ScaledClock) -> float | None:
    """Real seconds from the moment that provoked the change to its webhook; None for what held before the live days."""
    if change.arrival is None or start_of(change.turn.day) <= clock.start:
        return None
    provoked_at = min(start_of(change.turn.day), change.arrival.told_at)
    return (change.arrival.received_at - real_moment(provoked_at, clock)).total_seconds()


def real_moment(instant: datetime, clock: ScaledClock) -> datetime:
    """When domain time was, or will be, `instant`."""
    return clock.epoch + timedelta(seconds=(instant - clock.start).total_seconds() / clock.rate)


def turn_line(day: date, goal: Mapping[str, Any], before: str) -> str:
    """A goal (an item of GET /goals) got another status."""
    value, expected = (_figure(goal, name) for name in ("value", "expected"))
    return f"{day}  goal     {goal['goal']}: {before} → {goal['status']} ({value} where {expected} is expected)"


def arrival_line(arrival: Arrival) -> str:
    """A webhook arrived."""
    signature = "verified" if arrival.verified else "NOT VERIFIED"
    return (
        f"{day_of(arrival.told_at)}  webhook  {arrival.rule} of {arrival.subject}: {arrival.transition} ({signature})"
    )


def show_events(console: Console, counts: Counts, seconds: float) -> None:
    console.print(
        f"events sent {counts.sent:,} (of these {counts.again:,} twice), recorded in the ledger {counts.recorded:,},"
        f" after {seconds:.1f} s"
    )


def show_shares(console: Console, title: str, shares: Mapping[str, str | None]) -> None:
    told = ", ".join(f"by {name} {_percent(value)}" for name, value in shares.items())
    console.print(f"{title}: domestic share {told}")


def show_goals(console: Console, statuses: Mapping[str, list[str]], goals: Mapping[str, Mapping[str, Any]]) -> None:
    """`goals`: each as GET /goals told it last."""
    table = _table("goal", "statuses in the live days", "now", "expected", "gap", "target", "by", "projected")
    for name, seen in sorted(statuses.items()):
        goal = goals[name]
        figures = (_figure(goal, field) for field in ("value", "expected", "gap", "target"))
        days = (goal["by"] or "undated", goal["projected_on"] or "not at this pace")
        table.add_row(name, " → ".join(seen), *figures, *days)
    console.print(table)


def _figure(goal: Mapping[str, Any], name: str) -> str:
    """A share as percent, anything else as a number."""
    value = goal[name]
    if value is None:
        return "unknown"
    if float(goal["target"]) < 1:
        return _percent(value)
    return f"{float(value):,.2f}".removesuffix(".00")


def show_alerts(console: Console, changes: Iterable[Awaited], clock: ScaledClock) -> None:
    table = _table("day", "alert", "change", "webhook after", "signature", "what it says, and what is behind it")
    table.caption = "webhook after: real seconds from the beginning of the day that provokes it"
    table.caption_justify = "left"
    for change in changes:
        arrival, after = change.arrival, seconds_after(change, clock)
        if arrival is None:
            table.add_row(str(change.turn.day), _alert(change), change.transition, "missing", "", change.turn.because)
            continue
        when = "before" if after is None else f"{after:.1f} s"
        signature = "verified" if arrival.verified else "WRONG"
        said = "\n".join(part for part in (arrival.summary, arrival.link) if part)
        table.add_row(str(day_of(arrival.told_at)), _alert(change), change.transition, when, signature, said)
    console.print(table)


def _alert(change: Awaited) -> str:
    return f"{change.alert.rule}\n{change.alert.subject}"


def _table(*columns: str) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    return table


def _percent(value: str | None) -> str:
    return "unknown" if value is None else f"{float(value):.1%}"
