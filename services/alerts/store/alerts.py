"""Writes signals and the alerts that rules make of them: when a signal comes, a deadline passes, a person acts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col

from services.alerts import lifecycle
from services.alerts.alert import Alert, Change, State, Transition
from services.alerts.evaluation import evaluate
from services.alerts.facts import Signal
from services.alerts.patience import transaction
from services.alerts.rows import alert_of, alert_row, signal_of
from services.alerts.rules import RuleSet
from services.alerts.store.changes import tell
from services.alerts.tables import AlertRow, PositionRow, RulesRow, SubjectRow, UnreadableRow
from services.alerts.wakeups import Wakeups
from shared.clock import Clock

# A subject that is only now seen has this version: every signal is above it.
NO_VERSION: Final = -1
RULES_ROW: Final = "rules"


class NotFound(Exception):
    """There is no such alert, endpoint or delivery."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record of the signals topic that is no signal."""

    partition: int
    offset: int
    why: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read of the topic brought: signals in their order, and how far each partition has been read."""

    topic: str
    signals: tuple[Signal, ...]
    positions: Mapping[int, int]  # partition: next offset
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(slots=True)
class _Board:
    """The subjects of one transaction as they are being changed."""

    signals: dict[str, Signal]
    alerts: dict[str, dict[str, Alert]]  # by subject, by rule
    loaded: dict[uuid.UUID, Alert]
    wake_at: dict[str, datetime | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


class AlertStore:
    """Keeps one open alert per rule and subject. Every call is one transaction that locks its subjects first."""

    def __init__(
        self, engine: AsyncEngine, rules: RuleSet, clock: Clock, supply_url: str, wakeups: Wakeups | None = None
    ) -> None:
        self.rules = rules
        self.rule_errors: dict[str, str] = {}  # by rule: why it could last not read a signal
        self._engine = engine
        self._clock = clock
        self._supply_url = supply_url
        self._wakeups = wakeups or Wakeups()

    async def apply(self, batch: Batch) -> None:
        """Applies signals above the held versions and moves the positions, all or nothing."""
        async with transaction(self._engine) as connection:
            await self.apply_within(connection, batch.signals)
            await _keep_unreadable(connection, batch, self._clock.real_now())
            await _move(connection, batch)
        self._wakeups.changed()

    async def apply_within(self, connection: AsyncConnection, signals: Sequence[Signal]) -> None:
        """Applies signals in the caller's transaction. A version not above the held one changes nothing."""
        if not signals:
            return
        now = self._clock.now()
        board = await _load(connection, await _lock(connection, signals, now))
        for signal in signals:
            if signal.version > board.signals[signal.subject].version:
                board.signals[signal.subject] = signal
                self._evaluate(board, signal.subject, now)
        await self._write(connection, board)

    async def wake(self, limit: int) -> int:
        """Looks again at subjects whose deadline has come; how many there were. Other instances take others."""
        now = self._clock.now()
        async with transaction(self._engine) as connection:
            due = select(SubjectRow).where(col(SubjectRow.wake_at) <= now).order_by(col(SubjectRow.wake_at))
            rows = (await connection.execute(due.limit(limit).with_for_update(skip_locked=True))).mappings().all()
            board = await _load(connection, [signal_of(row) for row in rows])
            for subject in board.signals:
                self._evaluate(board, subject, now)
            await self._write(connection, board)
        if rows:
            self._wakeups.changed()
        return len(rows)

    async def next_wake(self) -> datetime | None:
        """The next deadline, domain time."""
        async with transaction(self._engine) as connection:
            found: datetime | None = await connection.scalar(select(func.min(SubjectRow.wake_at)))
            return found

    async def adopt_rules(self) -> bool:
        """Has every subject looked at again if it was last evaluated by other rules; whether it was."""
        digest = self.rules.digest
        kept = insert(RulesRow).values(name=RULES_ROW, digest=digest)
        replaced = kept.on_conflict_do_update(
            index_elements=["name"], set_={"digest": digest}, where=col(RulesRow.digest) != digest
        ).returning(col(RulesRow.name))
        async with transaction(self._engine) as connection:
            changed = (await connection.execute(replaced)).first() is not None
            if changed:
                await connection.execute(update(SubjectRow).values(wake_at=self._clock.now()))
        return changed

    async def acknowledge(self, alert: uuid.UUID, by: str, why: str) -> Alert:
        """The alert, acknowledged. Raises NotFound, lifecycle.NotAcknowledgeable."""
        async with transaction(self._engine) as connection:
            subject = await connection.scalar(select(col(AlertRow.subject)).where(col(AlertRow.id) == alert))
            await connection.execute(select(SubjectRow).where(col(SubjectRow.subject) == subject).with_for_update())
            found = (await connection.execute(select(AlertRow).where(col(AlertRow.id) == alert))).mappings().first()
            if found is None:
                raise NotFound
            step = lifecycle.acknowledge(alert_of(found), by, why, self._clock.now())
            assert step.alert is not None
            await _write_alerts(connection, [step.alert])
            await tell(connection, step.changes, self._clock)
        self._wakeups.changed()
        return step.alert

    def _evaluate(self, board: _Board, subject: str, now: datetime) -> None:
        signal = board.signals[subject]
        done = evaluate(self.rules, signal, board.alerts.get(subject, {}), self._supply_url, now)
        board.alerts[subject] = done.alerts
        board.changes.extend(done.changes)
        board.wake_at[subject] = done.wake_at
        self.rule_errors.update(done.errors)

    async def _write(self, connection: AsyncConnection, board: _Board) -> None:
        await _write_subjects(connection, board)
        withdrawn = {change.alert.id for change in board.changes if _is_gone(change, board)}
        if withdrawn:
            await connection.execute(delete(AlertRow).where(col(AlertRow.id).in_(withdrawn)))
        after = {change.alert.id: change.alert for change in board.changes}
        after |= {alert.id: alert for alerts in board.alerts.values() for alert in alerts.values()}
        differing = [alert for key, alert in after.items() if key not in withdrawn and board.loaded.get(key) != alert]
        await _write_alerts(connection, differing)
        await tell(connection, board.changes, self._clock)


async def _lock(connection: AsyncConnection, signals: Sequence[Signal], now: datetime) -> list[Signal]:
    """The held signals of the same subjects, locked in one order everywhere; a new subject has NO_VERSION."""
    subjects = sorted({signal.subject for signal in signals})
    new = [{"subject": subject, "version": NO_VERSION, "at": now, "data": {}} for subject in subjects]
    await connection.execute(insert(SubjectRow).on_conflict_do_nothing(), new)
    chosen = select(SubjectRow).where(col(SubjectRow.subject).in_(subjects)).order_by(col(SubjectRow.subject))
    rows = (await connection.execute(chosen.with_for_update())).mappings()
    return [signal_of(row) for row in rows]


async def _load(connection: AsyncConnection, signals: Iterable[Signal]) -> _Board:
    """The newest alert of every rule of the subjects."""
    board = _Board({signal.subject: signal for signal in signals}, {}, {})
    if not board.signals:
        return board
    newest = (
        select(AlertRow)
        .where(col(AlertRow.subject).in_(board.signals))
        .ext(distinct_on(col(AlertRow.subject), col(AlertRow.rule)))
        .order_by(col(AlertRow.subject), col(AlertRow.rule), col(AlertRow.opened_version).desc())
    )
    for row in (await connection.execute(newest)).mappings():
        alert = alert_of(row)
        board.alerts.setdefault(alert.subject, {})[alert.rule] = alert
        board.loaded[alert.id] = alert
    return board


async def _write_subjects(connection: AsyncConnection, board: _Board) -> None:
    rows = []
    for subject, wake_at in board.wake_at.items():
        signal = board.signals[subject]
        row = {"subject": subject, "version": signal.version, "at": signal.at, "data": signal.data, "wake_at": wake_at}
        rows.append(row)
    if rows:
        new = insert(SubjectRow)
        taken = {name: new.excluded[name] for name in ("version", "at", "data", "wake_at")}
        await connection.execute(new.on_conflict_do_update(index_elements=["subject"], set_=taken), rows)


async def _write_alerts(connection: AsyncConnection, alerts: Iterable[Alert]) -> None:
    """Resolved ones first: the next of the same rule and subject may only then be open."""
    rows = [alert_row(alert) for alert in sorted(alerts, key=lambda alert: alert.state is not State.RESOLVED)]
    if rows:
        new = insert(AlertRow)
        taken = {name: new.excluded[name] for name in rows[0] if name not in ("id", "rule", "subject")}
        await connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=taken), rows)


def _is_gone(change: Change, board: _Board) -> bool:
    """Whether the alert of `change` ended before it fired and has not been opened again since."""
    held = board.alerts.get(change.alert.subject, {}).get(change.alert.rule)
    return change.transition is Transition.WITHDRAWN and (held is None or held.id != change.alert.id)


async def _move(connection: AsyncConnection, batch: Batch) -> None:
    rows: list[dict[str, Any]] = [
        {"topic": batch.topic, "partition": partition, "next_offset": offset}
        for partition, offset in sorted(batch.positions.items())
    ]
    if rows:
        new = insert(PositionRow)
        taken = {"next_offset": new.excluded.next_offset}
        moved = new.on_conflict_do_update(index_elements=["topic", "partition"], set_=taken)
        await connection.execute(moved, rows)


async def _keep_unreadable(connection: AsyncConnection, batch: Batch, now: datetime) -> None:
    rows = [
        {
            "topic": batch.topic,
            "partition": record.partition,
            "offset": record.offset,
            "why": record.why,
            "value": record.value,
            "recorded_at": now,
        }
        for record in batch.unreadable
    ]
    if rows:
        await connection.execute(insert(UnreadableRow).on_conflict_do_nothing(), rows)
