"""Writes and reads what was refused or is incomplete: the table `rejections`, and the audit of its replays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Integer, LargeBinary, Text, bindparam, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import defer
from sqlmodel import col, select

from services.ingest.inbound import Refused
from services.ingest.rejection import REPLAYED, Refusal, row
from services.ingest.tables import Rejection
from services.ingest.transaction import transaction
from shared import audit
from shared.audit import Author, Change

REPLAY_ACTION: Final = "rejection_replayed"
Place = tuple[str, int, int]
# (received_at, id) of a row; lists go from the newest to the oldest, replays the other way.
Position = tuple[datetime, int]

_COLUMNS: Final[Mapping[str, Any]] = {
    "producer": Text(),
    "event_id": Text(),
    "topic": Text(),
    "partition": Integer(),
    "offset": BigInteger(),
    "at": DateTime(timezone=True),
    "code": Text(),
    "detail": Text(),
    "truncated": Boolean(),
    "raw_key": LargeBinary(),
    "raw_value": LargeBinary(),
    "raw_headers": LargeBinary(),
}
_TYPES: Final = {
    "partition": "integer", "offset": "bigint", "at": "timestamptz", "truncated": "boolean",
    "raw_key": "bytea", "raw_value": "bytea", "raw_headers": "bytea",
}  # fmt: skip
_NAMES: Final = ", ".join(f'"{name}"' for name in _COLUMNS)
_ARRAYS: Final = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _COLUMNS)
_KEEP: Final = text(
    f"INSERT INTO rejections (kind, {_NAMES}) SELECT 'rejected', * FROM unnest({_ARRAYS})"
    ' ON CONFLICT (topic, "partition", "offset") WHERE kind = \'rejected\' DO NOTHING'
    ' RETURNING topic, "partition", "offset"'
).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are meant; None for all. `since` is within, `until` is not."""

    producer: str | None = None
    kind: str | None = None
    code: str | None = None
    topic: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None


Decide = Callable[[Sequence[Rejection]], Awaitable[Mapping[int, Refused | None]]]


class Rejections:
    """Every method raises Transient while PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def keep(self, refusals: Sequence[Refusal], tell: Callable[[Sequence[Refusal]], Awaitable[None]]) -> int:
        """Keeps each record once, by its place; hands those that are new to `tell` before they are committed.

        So a record that is in the table has been told. Returns how many were new.
        """
        by_place = {_place(refusal): refusal for refusal in refusals}
        rows = [row(refusal) for refusal in by_place.values()]
        columns = {name: [kept[name] for kept in rows] for name in _COLUMNS}
        async with transaction(self._engine) as session:
            connection = await session.connection()
            new = [tuple(found) for found in await connection.execute(_KEEP, columns)]
            if new:
                await tell([by_place[place] for place in new])
        return len(new)

    async def page(self, wanted: Filter, before: Position | None, limit: int) -> list[Rejection]:
        """Rows without what was sent, newest first, older than `before`."""
        raw = (Rejection.raw_key, Rejection.raw_value, Rejection.raw_headers)
        query = _where(select(Rejection), wanted).options(*(defer(column) for column in raw))  # type: ignore[arg-type]
        if before is not None:
            query = query.where(_position() < before)
        query = query.order_by(col(Rejection.received_at).desc(), col(Rejection.id).desc()).limit(limit)
        async with transaction(self._engine) as session:
            return list((await session.exec(query)).all())

    async def one(self, id: int, producer: str | None) -> Rejection | None:
        """The row, with what was sent; None if there is none, or it is not that producer's."""
        query = _where(select(Rejection).where(Rejection.id == id), Filter(producer=producer))
        async with transaction(self._engine) as session:
            found: Rejection | None = (await session.exec(query)).one_or_none()
            return found

    async def positions(self, wanted: Filter, after: Position | None, limit: int) -> list[Position]:
        """Where the rows stand, oldest first, younger than `after`."""
        query = _where(select(Rejection.received_at, Rejection.id), wanted)
        if after is not None:
            query = query.where(_position() > after)
        query = query.order_by(col(Rejection.received_at), col(Rejection.id)).limit(limit)
        async with transaction(self._engine) as session:
            return [(received, id) for received, id in (await session.exec(query)).all()]

    async def replay(self, ids: Sequence[int], author: Author, at: datetime, decide: Decide) -> None:
        """Locks the rows, asks `decide` what became of each (None: accepted), and notes and audits it.

        `decide` publishes before it returns: what it accepted is acknowledged before a row says so.
        """
        query = select(Rejection).where(col(Rejection.id).in_(ids)).order_by(col(Rejection.id)).with_for_update()
        async with transaction(self._engine) as session:
            rows = (await session.exec(query)).all()
            outcomes = await decide(rows)
            changes = []
            for found in rows:
                assert found.id is not None
                outcome, before = outcomes[found.id], _state(found)
                if outcome is None:
                    found.state, found.replayed_at = REPLAYED, at
                else:
                    found.code, found.detail = outcome.code, outcome.detail
                changes.append(_replayed(found, outcome, before))
            await audit.record(await session.connection(), author, *changes)


def _position() -> Any:
    return tuple_(col(Rejection.received_at), col(Rejection.id))


def _place(refusal: Refusal) -> Place:
    return refusal.record.topic, refusal.record.partition, refusal.record.offset


def _where(query: Any, wanted: Filter) -> Any:
    for name in ("producer", "kind", "code", "topic", "state"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(Rejection, name) == value)
    if wanted.since is not None:
        query = query.where(col(Rejection.received_at) >= wanted.since)
    return query if wanted.until is None else query.where(col(Rejection.received_at) < wanted.until)


def _state(found: Rejection) -> dict[str, Any]:
    return {"state": found.state, "code": found.code}


def _replayed(found: Rejection, outcome: Refused | None, before: dict[str, Any]) -> Change:
    told = {"producer": found.producer, "event_id": found.event_id}
    after = {**told, **_state(found), "outcome": "accepted" if outcome is None else outcome.code}
    return Change(REPLAY_ACTION, str(found.id), {**told, **before}, after)
