"""Declares the tables of schema `alerts`. They hold; they decide nothing."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

metadata: Final = MetaData(schema="alerts")


class Row(SQLModel, registry=registry(metadata=metadata)):
    """The base of every table here."""


def _instant(*, nullable: bool = False) -> Any:
    return Field(sa_type=DateTime(timezone=True), nullable=nullable)


def _text(*, nullable: bool = False, primary_key: bool = False) -> Any:
    return Field(sa_type=Text, nullable=nullable, primary_key=primary_key)


def _json() -> Any:
    return Field(sa_type=JSONB, nullable=False)


def _texts() -> Any:
    return Field(sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")))


def _counter() -> Any:
    return Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))


def _false() -> Any:
    return Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))


def _big(*, primary_key: bool = False) -> Any:
    return Field(sa_type=BigInteger, nullable=False, primary_key=primary_key)


class SubjectRow(Row, table=True):
    """The newest signal of a subject, and when its alerts must be looked at again (domain time)."""

    __tablename__ = "subjects"
    __table_args__ = (Index("subjects_wake", "wake_at", postgresql_where=text("wake_at IS NOT NULL")),)

    subject: str = _text(primary_key=True)
    version: int = _big()
    at: datetime = _instant()
    data: dict[str, Any] = _json()
    wake_at: datetime | None = _instant(nullable=True)


class PositionRow(Row, table=True):
    """How far a partition of the signals has been applied; written with the state it stands for."""

    __tablename__ = "positions"

    topic: str = _text(primary_key=True)
    partition: int = Field(primary_key=True)
    next_offset: int = _big()


class UnreadableRow(Row, table=True):
    """A record on the signals topic that is no signal, kept as it came."""

    __tablename__ = "unreadable_signals"

    topic: str = _text(primary_key=True)
    partition: int = Field(primary_key=True)
    offset: int = _big(primary_key=True)
    why: str = _text()
    value: bytes | None = Field(sa_type=LargeBinary, nullable=True)
    recorded_at: datetime = _instant()


class RulesRow(Row, table=True):
    """The digest of the rules that every subject was last evaluated with; one row."""

    __tablename__ = "rules_in_force"

    name: str = _text(primary_key=True)
    digest: str = _text()


class AlertRow(Row, table=True):
    """An alert; at most one of a rule and subject is not resolved.

    `muted_by` holds what keeps it from being told, `covers` the keys of what it keeps from being told while it fires.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index("alerts_one_open", "rule", "subject", unique=True, postgresql_where=text("state <> 'resolved'")),
        Index("alerts_of_subject", "subject", "rule", text("opened_version DESC")),
        Index("alerts_newest", text("started_at DESC"), text("id DESC")),
        Index("alerts_by_state", "state", text("started_at DESC"), text("id DESC")),
        Index("alerts_by_rule", "rule", text("started_at DESC"), text("id DESC")),
        Index("alerts_by_severity", "severity", text("started_at DESC"), text("id DESC")),
        Index("alerts_covers", "covers", postgresql_using="gin", postgresql_where=text("covers <> '{}'")),
        Index("alerts_muted", "muted_by", postgresql_using="gin", postgresql_where=text("muted_by <> '{}'")),
    )

    id: uuid.UUID = Field(primary_key=True)
    rule: str = _text()
    subject: str = _text()
    state: str = _text()
    severity: str = _text()
    opened_version: int = _big()
    opening: int
    started_at: datetime = _instant()
    fired_at: datetime | None = _instant(nullable=True)
    acknowledged_at: datetime | None = _instant(nullable=True)
    acknowledged_by: str | None = _text(nullable=True)
    resolved_at: datetime | None = _instant(nullable=True)
    told_at: datetime | None = _instant(nullable=True)
    reminders: int = _counter()
    level: int = _counter()
    muted_by: list[str] = _texts()
    covers: list[str] = _texts()
    group: str | None = _text(nullable=True)
    summary: str = _text()
    description: str = _text()
    resolution: str = _text()
    value: str | None = _text(nullable=True)
    threshold: str | None = _text(nullable=True)
    labels: dict[str, Any] = _json()
    evidence: dict[str, Any] = _json()
    links: dict[str, Any] = _json()


class ChangeRow(Row, table=True):
    """One step in an alert's life, with the alert after it: history, outbox of supply.alerts.v1, what is delivered."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("changes_of_alert", "alert", "id"),
        Index("changes_unpublished", "id", postgresql_where=text("public AND published_at IS NULL")),
        Index("changes_waiting", "group", "id", postgresql_where=text("waiting")),
        Index("changes_recorded", "recorded_at", postgresql_where=text("told")),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    alert: uuid.UUID
    transition: str = _text()
    name: str = _text()
    at: datetime = _instant()
    recorded_at: datetime = _instant()
    by: str = _text()
    why: str = _text()
    snapshot: dict[str, Any] = _json()
    public: bool
    published_at: datetime | None = _instant(nullable=True)
    told: bool = _false()
    group: str | None = _text(nullable=True)
    waiting: bool = _false()


class GroupRow(Row, table=True):
    """A group of alerts that are told together: when what waits is told, and when the next at the earliest."""

    __tablename__ = "groups"
    __table_args__ = (Index("groups_due", "flush_at", postgresql_where=text("flush_at IS NOT NULL")),)

    group: str = _text(primary_key=True)
    flush_at: datetime | None = _instant(nullable=True)
    not_before: datetime | None = _instant(nullable=True)


class SilenceRow(Row, table=True):
    """Alerts that match are not told from start to end (domain time). A deleted one ended when it was deleted."""

    __tablename__ = "silences"
    __table_args__ = (
        Index("silences_end", "ends_at"),
        Index("silences_newest", text("created_at DESC"), text("id DESC")),
    )

    id: uuid.UUID = Field(primary_key=True)
    matchers: list[dict[str, str]] = _json()
    starts_at: datetime = _instant()
    ends_at: datetime = _instant()
    reason: str = _text()
    created_by: str = _text()
    created_at: datetime = _instant()
    deleted_at: datetime | None = _instant(nullable=True)
    deleted_by: str | None = _text(nullable=True)


class MuteCheckRow(Row, table=True):
    """Something that muted alerts is gone: those that it muted are looked at again."""

    __tablename__ = "mute_checks"

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    token: str = _text()


class EndpointRow(Row, table=True):
    """A receiver of alerts. A deleted one stays, so that its deliveries can be read."""

    __tablename__ = "endpoints"

    id: uuid.UUID = Field(primary_key=True)
    url: str = _text()
    format: str = _text()
    severities: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    rules: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    scopes: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    rate: float | None
    level: int = _counter()
    headers: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    description: str = _text()
    secret: str = _text()
    former_secret: str | None = _text(nullable=True)
    former_secret_until: datetime | None = _instant(nullable=True)
    enabled: bool
    disabled_reason: str | None = _text(nullable=True)
    failing_since: datetime | None = _instant(nullable=True)
    created_at: datetime = _instant()
    created_by: str = _text()
    deleted_at: datetime | None = _instant(nullable=True)


class DeliveryRow(Row, table=True):
    """One change to be told to one endpoint; `id` is the webhook-id. All instants are real time.

    `changes` are those that a group tells together, `change` the last of them. `tries` counts attempts, those before
    `first_try` were made before it was last sent again.
    While an attempt runs, next_attempt_at is when its lease ends: an attempt that never reports is made again then.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_due", "endpoint", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("deliveries_lane", "endpoint", "lane", "change", postgresql_where=text("state = 'pending'")),
        Index("deliveries_newest", text("change DESC"), text("id DESC")),
        Index("deliveries_of_alert", "alert", "change"),
        Index("deliveries_of_endpoint", "endpoint", text("created_at DESC")),
        Index("deliveries_of_group", "changes", postgresql_using="gin", postgresql_where=text("changes IS NOT NULL")),
    )

    id: uuid.UUID = Field(primary_key=True)
    endpoint: uuid.UUID
    lane: uuid.UUID
    alert: uuid.UUID
    change: int = _big()
    changes: list[int] | None = Field(sa_type=ARRAY(BigInteger), nullable=True)
    transition: str = _text()
    state: str = _text()
    tries: int
    first_try: int = _counter()
    next_attempt_at: datetime | None = _instant(nullable=True)
    created_at: datetime = _instant()
    finished_at: datetime | None = _instant(nullable=True)


class AttemptRow(Row, table=True):
    """One attempt at a delivery and what came of it."""

    __tablename__ = "attempts"

    delivery: uuid.UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    at: datetime = _instant()
    status: int | None
    seconds: float
    response_head: str | None = _text(nullable=True)
    error: str | None = _text(nullable=True)


class LeaseRow(Row, table=True):
    """Who relays changes to Kafka."""

    __tablename__ = "leases"

    name: str = _text(primary_key=True)
    holder: str = _text()
    epoch: int = _big()
    expires_at: datetime = _instant()
