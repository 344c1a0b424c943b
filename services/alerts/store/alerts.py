"""Writes signals and the alerts that rules make of them: when a signal comes, a deadline passes, a person acts."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col

from services.alerts import lifecycle
from services.alerts.alert import Alert, Change, State, Transition
from services.alerts.evaluation import Evaluation, observe
from services.alerts.evaluation import tell as tell_of
from services.alerts.facts import Signal
from services.alerts.lifecycle import Plan
from services.alerts.muting import Muting
from services.alerts.rows import alert_of, alert_row, signal_of
from services.alerts.rules import RuleSet
from services.alerts.store.changes import flush_groups, tell
from services.alerts.store.muting import covers, look_again, mutings, wake_unmuted
from services.alerts.tables import AlertRow, GroupRow, PositionRow, RulesRow, SubjectRow, UnreadableRow
from services.alerts.telling import settle
from services.alerts.wakeups import Wakeups
from shared import audit
from shared.audit import Author
from shared.clock import Clock
from shared.transactions import transaction

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


@dataclass(frozen=True, slots=True)
class Grouping:
    """How long the first of a group waits for others, and how long then until they are told again (domain time)."""

    wait: timedelta = timedelta(seconds=10)
    interval: timedelta = timedelta(minutes=5)


@dataclass(slots=True)
class _Board:
    """The subjects of one transaction as they are being changed."""

    signals: dict[str, Signal]
    alerts: dict[str, dict[str, Alert]]  # by subject, by rule
    loaded: dict[uuid.UUID, Alert]
    covered: dict[uuid.UUID, frozenset[str]]  # by alert as loaded
    seen: dict[str, Evaluation] = field(default_factory=dict)  # by subject, of all its signals together
    wake_at: dict[str, datetime | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    after: dict[uuid.UUID, Alert] = field(default_factory=dict)


class AlertStore:
    """Keeps one open alert per rule and subject. Every call is one transaction that locks its subjects first."""

    def __init__(
        self,
        engine: AsyncEngine,
        rules: RuleSet,
        clock: Clock,
        supply_url: str,
        wakeups: Wakeups | None = None,
        grouping: Grouping = Grouping(),
    ) -> None:
        self.rules = rules
        self.rule_errors: dict[str, str] = {}  # by rule: why it could last not read a signal
        self._engine = engine
        self._clock = clock
        self._supply_url = supply_url
        self._wakeups = wakeups or Wakeups()
        self._grouping = grouping

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
                self._observe(board, signal.subject, now)
        await self._tell(connection, board, now)

    async def signal(self, subject: str, data: dict[str, Any]) -> None:
        """What alerts itself has found out about `subject`."""
        async with transaction(self._engine) as connection:
            await self.signal_within(connection, subject, data)
        self._wakeups.changed()

    async def signal_within(self, connection: AsyncConnection, subject: str, data: dict[str, Any]) -> None:
        """The same in the caller's transaction."""
        held = await connection.scalar(select(col(SubjectRow.version)).where(col(SubjectRow.subject) == subject))
        version = max((held or 0) + 1, int(self._clock.real_now().timestamp() * 1_000_000))
        await self.apply_within(connection, [Signal(subject, version, self._clock.now(), data)])

    async def wake(self, limit: int) -> int:
        """Looks again at subjects whose deadline has come; how many there were. Other instances take others."""
        now = self._clock.now()
        async with transaction(self._engine) as connection:
            due = select(SubjectRow).where(col(SubjectRow.wake_at) <= now).order_by(col(SubjectRow.wake_at))
            rows = (await connection.execute(due.limit(limit).with_for_update(skip_locked=True))).mappings().all()
            board = await _load(connection, [signal_of(row) for row in rows])
            for subject in board.signals:
                self._observe(board, subject, now)
            await self._tell(connection, board, now)
        if rows:
            self._wakeups.changed()
        return len(rows)

    async def unmute(self) -> int:
        """Has those alerts looked at again whose muting has ended; how many ends there were."""
        async with transaction(self._engine) as connection:
            return await wake_unmuted(connection, self._clock.now())

    async def flush(self) -> int:
        """Tells what waits in groups whose time has come; how many groups. Other instances take others."""
        async with transaction(self._engine) as connection:
            flushed = await flush_groups(connection, self._clock, self._grouping.interval)
        if flushed:
            self._wakeups.changed("deliveries")
        return flushed

    async def next_wake(self) -> datetime | None:
        """The next deadline, domain time."""
        earliest = select(func.min(SubjectRow.wake_at)), select(func.min(GroupRow.flush_at))
        async with transaction(self._engine) as connection:
            found = [await connection.scalar(one) for one in earliest]
        return min((at for at in found if at is not None), default=None)

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

    async def change_rules(self, rules: RuleSet) -> None:
        """Puts `rules` in force and has every subject looked at again: others may have judged by the old ones since."""
        self.rules = rules
        self.rule_errors.clear()
        kept = insert(RulesRow).values(name=RULES_ROW, digest=rules.digest)
        replaced = kept.on_conflict_do_update(index_elements=["name"], set_={"digest": rules.digest})
        async with transaction(self._engine) as connection:
            await connection.execute(replaced)
            await connection.execute(update(SubjectRow).values(wake_at=self._clock.now()))
        self._wakeups.changed("timers")

    async def acknowledge(self, alert: uuid.UUID, author: Author) -> Alert:
        """The alert, acknowledged; again changes nothing. Raises NotFound, lifecycle.NotAcknowledgeable."""
        async with transaction(self._engine) as connection:
            subject = await connection.scalar(select(col(AlertRow.subject)).where(col(AlertRow.id) == alert))
            await connection.execute(select(SubjectRow).where(col(SubjectRow.subject) == subject).with_for_update())
            found = (await connection.execute(select(AlertRow).where(col(AlertRow.id) == alert))).mappings().first()
            if found is None:
                raise NotFound
            held = alert_of(found)
            step = lifecycle.acknowledge(held, author.name, author.reason, self._clock.now())
            assert step.alert is not None
            muted = Muting(held.muted_by)
            settled = settle(step.alert, held.told_at, step.changes, Plan(), muted, self._clock.now())
            await _write_alerts(connection, [alert_row(settled.alert, found["covers"])])
            await tell(connection, settled.changes, self._clock, self._grouping.wait)
            if step.changes:
                states = ({"state": one.state.value} for one in (held, settled.alert))
                await audit.record(connection, author, audit.Change("alert_acknowledged", str(alert), *states))
        self._wakeups.changed()
        return settled.alert

    def _observe(self, board: _Board, subject: str, now: datetime) -> None:
        signal = board.signals[subject]
        done = observe(self.rules, signal, board.alerts.get(subject, {}), self._supply_url, now)
        board.alerts[subject] = done.alerts
        before = board.seen.get(subject)
        if before is not None:
            done.changes = before.changes + done.changes
        board.seen[subject] = done
        self.rule_errors.update(done.errors)

    async def _tell(self, connection: AsyncConnection, board: _Board, now: datetime) -> None:
        """Decides for everything that was observed what is told, and writes it all."""
        changed = {change.alert.id: change.alert for done in board.seen.values() for change in done.changes}
        concerned = changed | {alert.id: alert for done in board.seen.values() for alert in done.alerts.values()}
        muted = await mutings(connection, list(concerned.values()), changed.keys(), self.rules.inhibitions, now)
        known = {alert.id: alert.told_at for alert in board.loaded.values()}
        for subject, done in board.seen.items():
            told = tell_of(done, known, muted, now)
            board.after |= told.alerts
            board.alerts[subject] = {rule: told.alerts[alert.id] for rule, alert in done.alerts.items()}
            board.changes += told.changes
            board.wake_at[subject] = told.wake_at
        await self._write(connection, board)

    async def _write(self, connection: AsyncConnection, board: _Board) -> None:
        await _write_subjects(connection, board)
        withdrawn = {change.alert.id for change in board.changes if _is_gone(change, board)}
        if withdrawn:
            await connection.execute(delete(AlertRow).where(col(AlertRow.id).in_(withdrawn)))
        left, rows = set[str](), []
        for key, alert in board.after.items():
            covered, before = covers(alert, self.rules.inhibitions), board.covered.get(key, frozenset())
            left |= before - covered
            if key not in withdrawn and (board.loaded.get(key) != alert or covered != before):
                rows.append(alert_row(alert, covered))
        await _write_alerts(connection, rows)
        await look_again(connection, left)
        await tell(connection, board.changes, self._clock, self._grouping.wait)


async def _lock(connection: AsyncConnection, signals: Sequence[Signal], now: datetime) -> list[Signal]:
    """The held signals of the same subjects, locked in one order everywhere; a new subject has NO_VERSION."""
    subjects = {signal.subject for signal in signals}
    held = await _locked(connection, subjects)
    unknown = sorted(subjects - {signal.subject for signal in held})
    if unknown:
        new = [{"subject": subject, "version": NO_VERSION, "at": now, "data": {}} for subject in unknown]
        await connection.execute(insert(SubjectRow).on_conflict_do_nothing(), new)
        held += await _locked(connection, unknown)
    return held


async def _locked(connection: AsyncConnection, subjects: Collection[str]) -> list[Signal]:
    chosen = select(SubjectRow).where(col(SubjectRow.subject).in_(subjects)).order_by(col(SubjectRow.subject))
    rows = (await connection.execute(chosen.with_for_update())).mappings()
    return [signal_of(row) for row in rows]


async def _load(connection: AsyncConnection, signals: Iterable[Signal]) -> _Board:
    """The newest alert of every rule of the subjects."""
    board = _Board({signal.subject: signal for signal in signals}, {}, {}, {})
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
        board.covered[alert.id] = frozenset(row["covers"])
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


async def _write_alerts(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Resolved ones first: the next of the same rule and subject may only then be open."""
    if rows:
        rows.sort(key=lambda row: row["state"] != State.RESOLVED.value)
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
