"""The tables of the schema `ingest`, as SQLModel classes. The migrations make them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Text, text
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
    both bytes. `truncated`: more was sent than is kept.
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


class Audit(SQLModel, table=True):
    """What a person changed: who (key id), when, what."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    at: datetime = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )
    by: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
