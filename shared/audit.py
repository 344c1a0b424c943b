"""Keeps what people change: who, what, before, after, why and when, in the transaction that changes it.

The same table `audit` is in the schema of every service. No secret is ever put there, nor a hash of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import asyncpg
import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    RowMapping,
    Table,
    Text,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.clock import rfc3339
from shared.keys import Principal

State = Mapping[str, Any] | None
# Opens a transaction of the service; raises Transient while its database is away.
Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

SHELL: Final = "shell"  # stands in for a key id where somebody changed something from a command line
OWNER: Final = "owner"  # the role of whoever has the database itself
SETTINGS: Final = "settings"  # and where a changed setting took effect at a start

AUDIT: Final = Table(
    "audit",
    MetaData(),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("by", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSONB(none_as_null=True)),
    # Its name is of a time when only this side was kept: versions that run beside a newer one write it still.
    Column("detail", JSONB(none_as_null=True), key="after"),
    Column("reason", Text, nullable=False),
    Index("audit_of_subject", "subject", "id"),
)
_SHOWN: Final = ("id", "by", "name", "role", "action", "subject", "before", "after", "reason")
_BARE: Final = (
    "INSERT INTO audit (by, name, role, reason, action, subject, before, detail)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb)"
)


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, by which key and in which role, and why (empty if nobody said)."""

    key_id: str
    name: str
    role: str
    reason: str = ""

    @classmethod
    def of(cls, principal: Principal, reason: str = "") -> Self:
        return cls(principal.key_id, principal.name, principal.role, reason)


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to what. `before` and `after` are JSON of the parts that matter; None: it was, or is, not there."""

    action: str
    subject: str
    before: State = None
    after: State = None


async def record(connection: AsyncConnection, author: Author, *changes: Change) -> None:
    """Writes `changes` within the caller's transaction. The time is that of the database."""
    who = {"by": author.key_id, "name": author.name, "role": author.role, "reason": author.reason}
    rows = [
        {**who, "action": one.action, "subject": one.subject, "before": _json(one.before), "after": _json(one.after)}
        for one in changes
    ]
    if rows:
        await connection.execute(insert(AUDIT), rows)


async def record_bare(connection: asyncpg.Connection, author: Author, *changes: Change) -> None:
    """The same on a bare connection to the service's schema."""
    who = (author.key_id, author.name, author.role, author.reason)
    rows = [(*who, one.action, one.subject, _text(one.before), _text(one.after)) for one in changes]
    await connection.executemany(_BARE, rows)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes are meant; None for all. `who` is a key id or a name; `since` is within, `until` is not."""

    who: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLog:
    """Reads the audit of one service. Raises Transient while its database is away."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def page(self, wanted: Wanted, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Changes as in GET /audit, newest first, older than the id `before`."""
        conditions = [condition for condition in _conditions(wanted, before) if condition is not None]
        query = select(AUDIT).where(*conditions).order_by(AUDIT.c.id.desc()).limit(limit)
        async with self._transaction() as connection:
            return [_item(row) for row in (await connection.execute(query)).mappings()]


def _conditions(wanted: Wanted, before: int | None) -> tuple[Any, ...]:
    columns = AUDIT.c
    return (
        None if before is None else columns.id < before,
        None if wanted.who is None else or_(columns.by == wanted.who, columns.name == wanted.who),
        None if wanted.action is None else columns.action == wanted.action,
        None if wanted.subject is None else columns.subject == wanted.subject,
        None if wanted.since is None else columns.at >= wanted.since,
        None if wanted.until is None else columns.at < wanted.until,
    )


def _item(row: RowMapping) -> dict[str, Any]:
    found = {name: row[AUDIT.c[name]] for name in _SHOWN}
    return {**found, "at": rfc3339(row[AUDIT.c.at])}


def _text(state: State) -> str | None:
    return None if state is None else orjson.dumps(dict(state)).decode()


def _json(state: State) -> dict[str, Any] | None:
    return None if state is None else dict(state)
