"""Runs tests of rules written in YAML: signals over time in, the alerts expected at moments out. Pure: time is played.

Deadlines are kept as the service keeps them: whatever falls due between two moments happens at its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.alerts import evaluation
from services.alerts.alert import Alert, Change, Severity, State
from services.alerts.facts import Signal
from services.alerts.lifecycle import NotAcknowledgeable, Plan, acknowledge
from services.alerts.muting import Muting, muting
from services.alerts.rule_files import duration
from services.alerts.rule_samples import KNOWN
from services.alerts.rule_yaml import Item, items
from services.alerts.rules import RuleSet
from services.alerts.telling import settle
from shared.errors import Fault, Invalid

START: Final = datetime(2027, 3, 1, 2, 0, tzinfo=UTC)
SUPPLY_URL: Final = "http://supply.example"
DEADLINES_MAX: Final = 100_000  # a test that would play more goes round in circles


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SignalDocument(_Strict):
    """A signal at a time after the start; what `data` leaves out is as in the sample of its kind."""

    at: str
    subject: str
    data: dict[str, Any] = {}


class AcknowledgedDocument(_Strict):
    """Somebody acknowledges the alert of a rule on a subject."""

    at: str
    rule: str
    subject: str


class AlertDocument(_Strict):
    """What an alert must show; only what is given is compared."""

    rule: str
    subject: str | None = None
    state: State | None = None
    severity: Severity | None = None
    summary: str | None = None
    description: str | None = None
    value: str | None = None
    threshold: str | None = None
    level: int | None = None
    muted: bool | None = None
    labels: dict[str, str] = {}


class MomentDocument(_Strict):
    """All open alerts at a moment, in any order, and what was told since the moment before, in order."""

    at: str
    alerts: tuple[AlertDocument, ...] | None = None
    told: tuple[str, ...] | None = None  # "<rule> <name of the change>"


class TestDocument(_Strict):
    """One test."""

    test: str = Field(min_length=1)
    start: AwareDatetime = START
    signals: tuple[SignalDocument, ...]
    acknowledge: tuple[AcknowledgedDocument, ...] = ()
    expect: tuple[MomentDocument, ...] = Field(min_length=1)


class Play:
    """The life of all alerts while time is moved."""

    def __init__(self, rules: RuleSet, start: datetime) -> None:
        self._rules = rules
        self._signals: dict[str, Signal] = {}
        self._alerts: dict[str, dict[str, Alert]] = {}  # by subject, by rule
        self._wake_at: dict[str, datetime] = {}
        self._now = start
        self.changes: list[Change] = []

    def open_alerts(self) -> list[Alert]:
        return [alert for held in self._alerts.values() for alert in held.values() if alert.is_open]

    def move_to(self, moment: datetime) -> None:
        """Does whatever falls due up to `moment`, each at its time."""
        for _ in range(DEADLINES_MAX):
            subject = min(self._wake_at, key=lambda name: self._wake_at[name], default=None)
            if subject is None or self._wake_at[subject] > moment:
                self._now = moment
                return
            self._now = self._wake_at[subject]
            self._look(subject)
        raise ValueError(f"more than {DEADLINES_MAX} deadlines")

    def tell(self, subject: str, data: dict[str, Any]) -> None:
        """A signal now."""
        version = self._signals[subject].version + 1 if subject in self._signals else 1
        self._signals[subject] = Signal(subject, version, self._now, data)
        self._look(subject)
        for other in [alert.subject for alert in self.open_alerts() if alert.muted_by and alert.subject != subject]:
            self._look(other)

    def acknowledge(self, rule: str, subject: str) -> None:
        """Raises NotAcknowledgeable; KeyError when there is no such alert."""
        held = self._alerts[subject][rule]
        done = acknowledge(held, "somebody", "", self._now)
        if done.alert is not None:
            muted = Muting(held.muted_by)
            settled = settle(done.alert, held.told_at, done.changes, Plan(), muted, self._now)
            self._alerts[subject][rule] = settled.alert
            self.changes += settled.changes

    def _look(self, subject: str) -> None:
        held = self._alerts.get(subject, {})
        done = evaluation.evaluate(self._rules, self._signals[subject], held, SUPPLY_URL, self._now, self._muted)
        if done.errors:
            raise ValueError("; ".join(f"{rule} cannot read {subject}: {why}" for rule, why in done.errors.items()))
        self._alerts[subject] = done.alerts
        self.changes += done.changes
        self._wake_at.pop(subject, None)
        if done.wake_at is not None:
            self._wake_at[subject] = done.wake_at

    def _muted(self, alert: Alert) -> Muting:
        inhibitors: dict[str, set[uuid.UUID]] = {}
        for other in self.open_alerts():
            for inhibition in self._rules.inhibitions:
                for covered in inhibition.covered_by(other):
                    inhibitors.setdefault(covered, set()).add(other.id)
        keys = [key for one in self._rules.inhibitions if (key := one.key_of(alert)) is not None]
        return muting(alert, (), inhibitors, keys, self._now)


def run_tests(rules: RuleSet, texts: Mapping[str, str]) -> tuple[int, list[Fault]]:
    """How many tests there are in `texts` (by file name), and what is not as they expect."""
    faults: list[Fault] = []
    count = 0
    for file, text in texts.items():
        for item in items(file, text, faults):
            count += 1
            try:
                faults += _run(rules, item.validated(TestDocument), item)
            except Invalid as error:
                faults += error.faults
            except (ValueError, KeyError, NotAcknowledgeable) as error:
                faults.append(item.fault((), "test", f"{type(error).__name__}: {error}"))
    return count, faults


def _run(rules: RuleSet, test: TestDocument, item: Item) -> list[Fault]:
    play = Play(rules, test.start)
    steps: list[tuple[timedelta, int, Any]] = []
    steps += [(duration(one.at), 0, one) for one in test.signals]
    steps += [(duration(one.at), 1, one) for one in test.acknowledge]
    steps += [(duration(one.at), 2, (index, one)) for index, one in enumerate(test.expect)]
    faults = []
    for at, kind, what in sorted(steps, key=lambda step: step[:2]):
        play.move_to(test.start + at)
        if kind == 0:
            play.tell(what.subject, _data(what))
        elif kind == 1:
            play.acknowledge(what.rule, what.subject)
        else:
            index, moment = what
            faults += [item.fault(("expect", index), "differs", said) for said in _differences(moment, play)]
            play.changes.clear()
    return faults


def _data(signal: SignalDocument) -> dict[str, Any]:
    kind = signal.subject.partition("/")[0]
    if kind not in KNOWN:
        raise ValueError(f"no signal has the subject {signal.subject}")
    given = {name: value.isoformat() if isinstance(value, date) else value for name, value in signal.data.items()}
    return {**KNOWN[kind], **given}


def _differences(moment: MomentDocument, play: Play) -> Iterable[str]:
    if moment.told is not None:
        told = [f"{change.alert.rule} {change.name}" for change in play.changes if change.is_told]
        if told != list(moment.told):
            yield f"at {moment.at} told were {told}, expected {list(moment.told)}"
    if moment.alerts is None:
        return
    left = play.open_alerts()
    for expected in moment.alerts:
        found = next((alert for alert in left if not _unlike(expected, alert)), None)
        if found is not None:
            left.remove(found)
            continue
        nearest = next((alert for alert in left if alert.rule == expected.rule), None)
        detail = "there is none" if nearest is None else "; ".join(_unlike(expected, nearest))
        yield f"at {moment.at} an alert of {expected.rule} is expected: {detail}"
    for other in left:
        yield f"at {moment.at} an alert of {other.rule} on {other.subject} is open ({other.state}): not expected"


def _unlike(expected: AlertDocument, alert: Alert) -> list[str]:
    """What `alert` shows otherwise than expected."""
    shown = {**alert.as_json(), "muted": bool(alert.muted_by)}
    wanted = expected.model_dump(exclude_none=True, exclude={"labels"}, mode="json")
    differing = [f"{name} is {shown[name]!r}, not {value!r}" for name, value in wanted.items() if shown[name] != value]
    labels = alert.finding.labels
    return differing + [
        f"label {name} is {labels.get(name)!r}, not {value!r}"
        for name, value in expected.labels.items()
        if labels.get(name) != value
    ]
