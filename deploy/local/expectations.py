"""Decides which of the goal statuses and alerts that the story expects have come, and which are missing. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.local.simulator.story import Expected, ExpectedAlert, Turn
from shared.clock import start_of

# Supply judges a day before it is over, so a status may turn somewhat earlier than at the end of the day's last event.
EARLY_DAYS: Final = 6
FIRING: Final = "firing"
RESOLVED: Final = "resolved"
_TYPE_PREFIX: Final = "supply.alert."


@dataclass(frozen=True, slots=True)
class Arrival:
    """A webhook that reached the receiver: which change of which alert, when in domain time, when in real time."""

    rule: str
    subject: str
    transition: str
    verified: bool
    told_at: datetime
    received_at: datetime
    summary: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Awaited:
    """One change of an alert that the story expects, and the webhook that told it."""

    alert: ExpectedAlert
    transition: str
    turn: Turn
    arrival: Arrival | None

    @property
    def name(self) -> str:
        return f"{self.alert.rule} of {self.alert.subject} {self.transition}"


def arrival_of(line: Mapping[str, Any]) -> Arrival | None:
    """A line of the receiver's log as an arrival; None if it is about no alert (a test of the endpoint)."""
    body = line["body"]
    if not isinstance(body, dict) or not str(body.get("type")).startswith(_TYPE_PREFIX):
        return None
    alert = body["data"]
    return Arrival(
        rule=alert["rule"],
        subject=alert["subject"],
        transition=body["type"].removeprefix(_TYPE_PREFIX).removesuffix(".v1"),
        verified=line["verified"],
        told_at=datetime.fromisoformat(body["time"]),
        received_at=datetime.fromisoformat(line["received_at"]),
        summary=str(alert.get("resolution") or alert["summary"]),
        link=_link(alert.get("links") or {}),
    )


def _link(links: Mapping[str, Any]) -> str:
    """Where the first event behind the alert is, or the figure that is made of them."""
    events = links.get("events") or []
    return str(next(iter([*events, *(link for link in links.values() if isinstance(link, str))]), ""))


def awaited(expected: Expected, arrivals: Iterable[Arrival], live_start: datetime) -> list[Awaited]:
    """Every change that is expected, in the order of the story, with the first webhook that fits it."""
    by_alert: defaultdict[tuple[str, str], list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        if arrival.verified:
            by_alert[arrival.rule, arrival.subject].append(arrival)
    found: list[Awaited] = []
    for alert in expected.alerts:
        found.extend(_changes(alert, by_alert[alert.rule, alert.subject], live_start))
    return sorted(found, key=lambda change: (change.turn.day, change.transition))


def _changes(alert: ExpectedAlert, arrivals: list[Arrival], live_start: datetime) -> Iterator[Awaited]:
    """What came for one alert, its beginning before its end."""
    firing = _came(alert.firing, FIRING, arrivals, live_start)
    yield Awaited(alert, FIRING, alert.firing, firing)
    if alert.resolved is not None:
        later = [item for item in arrivals if firing is None or item.told_at > firing.told_at]
        yield Awaited(alert, RESOLVED, alert.resolved, _came(alert.resolved, RESOLVED, later, live_start))


def _came(turn: Turn, transition: str, arrivals: list[Arrival], live_start: datetime) -> Arrival | None:
    """The first that fits; the last of what held when the live days began: it may have come and gone before."""
    about = sorted((item for item in arrivals if item.transition == transition), key=lambda item: item.received_at)
    early = timedelta(days=EARLY_DAYS)
    if start_of(turn.day) <= live_start:
        return next((item for item in reversed(about) if item.told_at <= live_start + early), None)
    earliest = max(start_of(turn.day) - early, live_start + timedelta(microseconds=1))
    return next((item for item in about if item.told_at >= earliest), None)


def passed_through(expected: tuple[str, ...], seen: Iterable[str]) -> bool:
    """True if `seen` holds the expected statuses in their order; others may lie between."""
    statuses = iter(seen)
    return all(status in statuses for status in expected)


def missing(expected: Expected, changes: Iterable[Awaited], statuses: Mapping[str, list[str]]) -> list[str]:
    """What has not come, a line each."""
    lines = [f"no verified webhook: {change.name}" for change in changes if change.arrival is None]
    for goal in expected.goals:
        seen = statuses.get(goal.goal, [])
        if not passed_through(goal.statuses, seen):
            lines.append(f"goal {goal.goal}: {' → '.join(seen) or 'nothing'} instead of {' → '.join(goal.statuses)}")
    return lines
