"""The tables of the schema `supply`, as SQLModel classes. The migrations make them; a test compares the two."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, DateTime, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from services.supply.places import NAMES


def _big(**more: Any) -> Any:
    return Field(sa_type=BigInteger, **more)


def _small(**more: Any) -> Any:
    return Field(sa_type=SmallInteger, **more)


def _moment() -> Any:
    return Field(sa_type=DateTime(timezone=True))


class Position(SQLModel, table=True):
    """Where the consumer stands in one partition: its next offset, who may write (epoch), and the chain's head."""

    __tablename__ = "positions"

    topic_id: int = _small(primary_key=True)
    partition: int = _small(primary_key=True)
    next_offset: int = _big()
    epoch: int = _big()
    chain: bytes = Field(sa_type=LargeBinary)
    holder: str = Field(sa_type=Text)


class JournalRow(SQLModel, table=True):
    """One entry of the journal. Entry 0 of a record carries its raw bytes, chain hash and verdict; never updated.

    A record without a transfer has an entry 0 whose `debit` is null; `gtin` is 0 where no product is concerned.
    """

    __tablename__ = "journal"

    gtin: int = _big(primary_key=True)
    lot: str = Field(sa_type=Text, primary_key=True)
    topic_id: int = _small(primary_key=True)
    partition: int = _small(primary_key=True)
    kafka_offset: int = _big(primary_key=True)
    seq: int = _small(primary_key=True)
    recorded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    verdict: int | None = _small()
    debit: int | None = _small()
    credit: int | None = _small()
    packs: int | None = _big()
    effective_on: date | None
    reversal: bool | None
    expires_on: date | None
    period_start: date | None
    cause: bytes | None = Field(sa_type=LargeBinary)
    event_key: bytes | None = Field(sa_type=LargeBinary)
    said_at: datetime | None = _moment()
    record_key: bytes | None = Field(sa_type=LargeBinary)
    headers: bytes | None = Field(sa_type=LargeBinary)
    value: bytes | None = Field(sa_type=LargeBinary)
    chain: bytes | None = Field(sa_type=LargeBinary)


class EventId(SQLModel, table=True):
    """The identity of every event: the first record of it, and a hash of its content."""

    __tablename__ = "event_ids"

    event_key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)
    topic_id: int = _small()
    partition: int = _small()
    kafka_offset: int = _big()


class CorrectionRow(SQLModel, table=True):
    """Every event.corrected; `target` is the event key of what it corrects."""

    __tablename__ = "corrections"

    event_key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    target: bytes = Field(sa_type=LargeBinary, index=True)
    source: str = Field(sa_type=Text)
    id: str = Field(sa_type=Text)
    time: datetime = _moment()
    topic_id: int = _small()
    partition: int = _small()
    kafka_offset: int = _big()
    data: dict[str, Any] = Field(sa_type=JSONB)


class FactRow(SQLModel, table=True):
    """Every registry fact and every mark of a lot (recall, its closing, a count), insert-only, with its place.

    `by_regulator` is what ingest wrote of its sender into the record's headers.
    """

    __tablename__ = "facts"

    event_key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    type: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text, index=True)
    source: str = Field(sa_type=Text)
    id: str = Field(sa_type=Text)
    time: datetime = _moment()
    topic_id: int = _small()
    partition: int = _small()
    kafka_offset: int = _big()
    data: dict[str, Any] = Field(sa_type=JSONB)
    by_regulator: bool


class Lot(SQLModel, table=True):
    """What the journal says of one lot, kept up to date: net packs a place and its earliest dates. '' is unnamed."""

    __tablename__ = "lots"

    gtin: int = _big(primary_key=True)
    lot: str = Field(sa_type=Text, primary_key=True)
    produced: int = _big()
    imported: int = _big()
    quarantine: int = _big()
    available: int = _big()
    rejected: int = _big()
    exported: int = _big()
    consumed: int = _big()
    destroyed: int = _big()
    transformed: int = _big()
    adjusted: int = _big()
    produced_count: int = _big()
    imported_count: int = _big()
    introduced_on: date | None
    expires_on: date | None
    supplied_on: date | None


class Flow(SQLModel, table=True):
    """Net packs that moved from `debit` to `credit` of one lot on one day of effect."""

    __tablename__ = "flows"

    gtin: int = _big(primary_key=True)
    lot: str = Field(sa_type=Text, primary_key=True)
    effective_on: date = Field(sa_column=Column(Date, primary_key=True))
    debit: int = _small(primary_key=True)
    credit: int = _small(primary_key=True)
    packs: int = _big()


class Generation(SQLModel, table=True):
    """One row: how often a rebuild has put something right. What was kept in memory before is not to be relied on."""

    __tablename__ = "generation"

    one: int = _small(primary_key=True)
    number: int = _big()


class Checkpoint(SQLModel, table=True):
    """A moment at which every answer is fixed: the next offset and the chain's head of every partition.

    Signed ones also go outside; `previous` is the digest of the signed one before (services.supply.signing).
    """

    __tablename__ = "checkpoints"

    n: int = _big(primary_key=True)
    at: datetime = Field(sa_type=DateTime(timezone=True), unique=True)
    places: list[dict[str, Any]] = Field(sa_type=JSONB)
    previous: str | None = Field(sa_type=Text)
    key_id: str | None = Field(sa_type=Text)
    signature: str | None = Field(sa_type=Text)


class SignalRow(SQLModel, table=True):
    """The newest state of every subject that alerts are told of; `published` is the version Kafka acknowledged."""

    __tablename__ = "signals"

    subject: str = Field(sa_type=Text, primary_key=True)
    version: int = _big()
    published: int = _big()
    at: datetime = _moment()
    data: dict[str, Any] = Field(sa_type=JSONB)


class Evaluated(SQLModel, table=True):
    """The last evaluation: its checkpoint, its day, and what GET /goals answers from."""

    __tablename__ = "evaluations"

    name: str = Field(sa_type=Text, primary_key=True)
    checkpoint: int = _big()
    on: date
    body: dict[str, Any] = Field(sa_type=JSONB)


class CourseRow(SQLModel, table=True):
    """How the goals came to where they are, as worked out last, for pages (services.supply.course)."""

    __tablename__ = "courses"

    name: str = Field(sa_type=Text, primary_key=True)
    checkpoint: int = _big()
    body: dict[str, Any] = Field(sa_type=JSONB)


class LeaseRow(SQLModel, table=True):
    """See shared.lease."""

    __tablename__ = "leases"

    name: str = Field(sa_type=Text, primary_key=True)
    holder: str = Field(sa_type=Text)
    epoch: int = _big()
    expires_at: datetime = _moment()


PLACE_COLUMNS = NAMES
