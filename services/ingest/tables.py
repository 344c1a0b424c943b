"""The tables of the schema `ingest`, as SQLModel classes. The migrations make them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Identity, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


def _moment(nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class Producer(SQLModel, table=True):
    """Who may send events. Never deleted: a name is never reused."""

    __tablename__ = "producers"

    name: str = Field(sa_type=Text, primary_key=True)
    roles: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime = _moment()
    country: str = Field(default="VN", sa_type=Text)


class Gln(SQLModel, table=True):
    """A GLN belongs to one producer."""

    __tablename__ = "glns"

    gln: str = Field(sa_type=Text, primary_key=True)
    producer: str = Field(sa_type=Text, foreign_key="producers.name", index=True)


class Key(SQLModel, table=True):
    """An API key, as a hash. `name` is the producer's, or what the key is for; revoked keys are kept.

    `announced` is false until supply.access.v1, and Kafka's own users, have been told of the key's present state.
    """

    __tablename__ = "keys"

    key_id: str = Field(sa_type=Text, primary_key=True)
    sha256: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    label: str = Field(sa_type=Text)
    kafka_username: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = _moment()
    created_by: str = Field(sa_type=Text)
    revoked_at: datetime | None = _moment(nullable=True)
    announced: bool = Field(default=False)


class Rejection(SQLModel, table=True):
    """What was refused or could not be used yet, with what was sent.

    `kind` is `rejected` (a Kafka record, known by its place) or `incomplete` (an event stored for later). `code` and
    `detail` say why, as of the last time it was judged. `state` is `open`, or `replayed` once it has been accepted.
    `at` is when Kafka took the record, `received_at` when we did. `raw_headers` is MessagePack: [[name, value or nil]],
    both bytes. `truncated`: more was sent than is kept. `captured` is the captured event that is incomplete; its JSON
    is `raw_value`, and its place that of the record that it came in, if it came in one.
    """

    __tablename__ = "rejections"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    kind: str = Field(sa_type=Text)
    producer: str = Field(sa_type=Text)
    event_id: str | None = Field(default=None, sa_type=Text)
    topic: str | None = Field(default=None, sa_type=Text)
    partition: int | None = Field(default=None)
    offset: int | None = Field(default=None, sa_type=BigInteger)
    at: datetime | None = _moment(nullable=True)
    code: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    received_at: datetime = _moment()
    state: str = Field(default="open", sa_type=Text)
    replayed_at: datetime | None = _moment(nullable=True)
    truncated: bool = Field(default=False)
    raw_key: bytes | None = Field(default=None)
    raw_value: bytes | None = Field(default=None)
    raw_headers: bytes = Field(default=b"\x90")
    captured: int | None = Field(default=None, sa_type=BigInteger, foreign_key="captured_events.number", unique=True)


class Party(SQLModel, table=True):
    """In which country (ISO 3166 alpha-2) a GLN is; it holds over the country of the producer that it belongs to."""

    __tablename__ = "parties"

    gln: str = Field(sa_type=Text, primary_key=True)
    country: str = Field(sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    changed_at: datetime = _moment()
    changed_by: str = Field(sa_type=Text)


class Capture(SQLModel, table=True):
    """An EPCIS document that was sent, and how far we are with it: `running`, then `success` or `errors`.

    `number` is the order of coming. `document` is there until it is done; `frame`, what its events share, from then on.
    `errors` and `frame` are JSON. `mapped` and so on count its events by what became of them. While an instance works
    on it, `holder` is that instance and `leased_until` when others may take it over; `attempts` is how often it was
    taken up.
    """

    __tablename__ = "captures"

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    number: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), unique=True))
    producer: str = Field(sa_type=Text)
    behaviour: str = Field(sa_type=Text)
    state: str = Field(default="running", sa_type=Text)
    created_at: datetime = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )
    finished_at: datetime | None = _moment(nullable=True)
    errors: str = Field(default="[]", sa_type=Text)
    document: bytes | None = Field(default=None)
    size_bytes: int
    frame: str | None = Field(default=None, sa_type=Text)
    mapped: int = Field(default=0)
    incomplete: int = Field(default=0)
    not_applicable: int = Field(default=0)
    refused: int = Field(default=0)
    attempts: int = Field(default=0)
    holder: str | None = Field(default=None, sa_type=Text)
    leased_until: datetime | None = _moment(nullable=True)


class CapturedEvent(SQLModel, table=True):
    """An EPCIS event as it was captured (`event` is JSON), one by `producer`, `id_hash` and `content` (SHA-256).

    `capture` is the document it came in first. `became` are the catalogue's events that it is, as
    [{source, id, type, key, topic, partition, offset}]. `declared`: it declares an error.
    """

    __tablename__ = "captured_events"

    number: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    id_hash: bytes
    producer: str = Field(sa_type=Text)
    content: bytes
    event_id: str = Field(sa_type=Text)
    capture: UUID = Field(sa_type=Uuid, foreign_key="captures.id")
    event: str = Field(sa_type=Text)
    declared: bool
    outcome: str = Field(sa_type=Text)
    became: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    recorded_at: datetime = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )


class Serial(SQLModel, table=True):
    """The lot of a serial of a product (GTIN), as a producer told it last; `told_at` is the time of its event."""

    __tablename__ = "serials"

    gtin: str = Field(sa_type=Text, primary_key=True)
    serial: str = Field(sa_type=Text, primary_key=True)
    producer: str = Field(sa_type=Text, primary_key=True)
    lot: str = Field(sa_type=Text)
    told_at: datetime = _moment()
