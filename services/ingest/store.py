"""Writes and reads producers, keys and the audit of what people change, each change with its audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.ingest.tables import Gln, Key, Party, Producer
from services.ingest.transaction import transaction
from shared import audit
from shared.audit import Author, Change, State
from shared.clock import rfc3339
from shared.keys import PRODUCER, AccessRecord

Announce = Callable[[Sequence[tuple[Key, AccessRecord]]], Awaitable[None]]


class NameTaken(Exception):
    """There is, or was, a producer of this name."""


class GlnTaken(Exception):
    """Some of `glns` belong to another producer."""

    def __init__(self, glns: Sequence[str]) -> None:
        self.glns = tuple(glns)
        super().__init__(", ".join(glns))


@dataclass(frozen=True, slots=True)
class ProducerRow:
    """A producer with its GLNs."""

    name: str
    glns: tuple[str, ...]
    roles: tuple[str, ...]
    created_at: datetime
    country: str


class Store:
    """The schema `ingest`. Every method raises Transient while PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def _transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        return transaction(self._engine)

    async def add_producer(self, row: ProducerRow, author: Author) -> None:
        """Raises NameTaken or GlnTaken."""
        try:
            async with self._transaction() as session:
                if await session.get(Producer, row.name) is not None:
                    raise NameTaken(row.name)
                taken = (await session.exec(select(Gln.gln).where(col(Gln.gln).in_(row.glns)))).all()
                if taken:
                    raise GlnTaken(sorted(taken))
                session.add(
                    Producer(name=row.name, roles=list(row.roles), created_at=row.created_at, country=row.country)
                )
                await session.flush()
                session.add_all(Gln(gln=gln, producer=row.name) for gln in row.glns)
                new = {"glns": list(row.glns), "roles": list(row.roles), "country": row.country}
                await _audit(session, author, Change("producer_added", row.name, after=new))
        except IntegrityError:  # someone else added the same name or GLN since the look above
            raise NameTaken(row.name) from None

    async def producer(self, name: str) -> ProducerRow | None:
        found = await self._producers(Producer.name == name, 1)
        return found[0] if found else None

    async def producers(self, after: str | None, limit: int) -> list[ProducerRow]:
        """By name, beginning behind `after`."""
        return await self._producers(col(Producer.name) > (after or ""), limit)

    async def _producers(self, condition: Any, limit: int) -> list[ProducerRow]:
        glns = select(func.array_agg(Gln.gln)).where(col(Gln.producer) == Producer.name).scalar_subquery()
        query = select(Producer, glns).where(condition).order_by(col(Producer.name)).limit(limit)
        async with self._transaction() as session:
            rows = (await session.exec(query)).all()
        return [
            ProducerRow(row.name, tuple(sorted(found or ())), tuple(row.roles), row.created_at, row.country)
            for row, found in rows
        ]

    async def parties(self, after: str | None, limit: int) -> list[Party]:
        """By GLN, beginning behind `after`."""
        query = select(Party).where(col(Party.gln) > (after or "")).order_by(col(Party.gln)).limit(limit)
        async with self._transaction() as session:
            return list((await session.exec(query)).all())

    async def put_party(self, party: Party, author: Author) -> None:
        """Adds the party, or replaces what was said of it."""
        async with self._transaction() as session:
            before = _told(await session.get(Party, party.gln, with_for_update=True))
            await session.merge(party)
            await _audit(session, author, Change("party_told", party.gln, before, _told(party)))

    async def delete_party(self, gln: str, author: Author) -> bool:
        """False if there is none."""
        async with self._transaction() as session:
            party = await session.get(Party, gln)
            if party is not None:
                await session.delete(party)
                await _audit(session, author, Change("party_forgotten", gln, before=_told(party)))
            return party is not None

    async def keys(self, after: str | None, limit: int) -> list[Key]:
        """By id, beginning behind `after`, revoked ones too."""
        query = select(Key).where(col(Key.key_id) > (after or "")).order_by(col(Key.key_id)).limit(limit)
        async with self._transaction() as session:
            return list((await session.exec(query)).all())

    async def key(self, key_id: str) -> Key | None:
        async with self._transaction() as session:
            return await session.get(Key, key_id)

    async def keys_of(self, producer: str, limit: int) -> list[Key]:
        """The newest keys of a producer, revoked ones too."""
        query = select(Key).where(Key.role == PRODUCER, Key.name == producer)
        async with self._transaction() as session:
            return list((await session.exec(query.order_by(col(Key.created_at).desc()).limit(limit))).all())

    async def add_key(self, key: Key, author: Author) -> None:
        async with self._transaction() as session:
            session.add(key)
            await _audit(session, author, Change("key_issued", key.key_id, after=_issued(key)))

    async def revoke_key(self, key_id: str, at: datetime, author: Author) -> AccessRecord | None:
        """The key as it is from now on; None if there is none. Revoking twice keeps the first moment."""
        async with self._transaction() as session:
            key = await session.get(Key, key_id, with_for_update=True)
            if key is not None and key.revoked_at is None:
                before = _issued(key)
                key.revoked_at, key.announced = at, False
                await _audit(session, author, Change("key_revoked", key_id, before, _issued(key)))
            return None if key is None else (await self._records(session, [key]))[0]

    async def ensure_bootstrap_key(self, key: Key, at: datetime, author: Author) -> None:
        """`key` is the one of the settings: it is added if it is new, and a former one is revoked."""
        former = (col(Key.created_by) == key.created_by, col(Key.key_id) != key.key_id, col(Key.revoked_at).is_(None))
        async with self._transaction() as session:
            changes = []
            if await session.get(Key, key.key_id) is None:
                session.add(key)
                changes.append(Change("key_issued", key.key_id, after=_issued(key)))
            for one in (await session.exec(select(Key).where(*former).with_for_update())).all():
                before = _issued(one)
                one.revoked_at, one.announced = at, False
                changes.append(Change("key_revoked", one.key_id, before, _issued(one)))
            await _audit(session, author, *changes)

    async def access_records(self, producer: str | None = None) -> list[AccessRecord]:
        """Every key, or every key of a producer, as all services are told of it."""
        query = select(Key)
        if producer is not None:
            query = query.where(Key.role == PRODUCER, Key.name == producer)
        async with self._transaction() as session:
            return await self._records(session, (await session.exec(query)).all())

    async def announce(self, limit: int, tell: Announce) -> int:
        """Hands keys that are not announced to `tell`, and marks them when it returns. Returns how many.

        Their rows stay locked meanwhile, so that two instances never tell two states of one key in the wrong order.
        """
        waiting = select(Key).where(col(Key.announced).is_(False)).order_by(col(Key.key_id)).limit(limit)
        async with self._transaction() as session:
            keys = list((await session.exec(waiting.with_for_update(skip_locked=True))).all())
            if keys:
                await tell(list(zip(keys, await self._records(session, keys), strict=True)))
            for key in keys:
                key.announced = True
            return len(keys)

    async def _records(self, session: AsyncSession, keys: Sequence[Key]) -> list[AccessRecord]:
        names = {key.name for key in keys if key.role == PRODUCER}
        roles = dict(
            (await session.exec(select(Producer.name, Producer.roles).where(col(Producer.name).in_(names)))).all()
        )
        glns: dict[str, list[str]] = {}
        for name, gln in (await session.exec(select(Gln.producer, Gln.gln).where(col(Gln.producer).in_(names)))).all():
            glns.setdefault(name, []).append(gln)
        return [_record(key, roles, glns) for key in keys]


async def _audit(session: AsyncSession, author: Author, *changes: Change) -> None:
    await audit.record(await session.connection(), author, *changes)


def _issued(key: Key) -> dict[str, Any]:
    """What the audit keeps of a key: nothing of its secret, nor of its hash."""
    told = {"role": key.role, "name": key.name, "label": key.label, "kafka_username": key.kafka_username}
    return {**told, "revoked_at": None if key.revoked_at is None else rfc3339(key.revoked_at)}


def _told(party: Party | None) -> State:
    return None if party is None else {"country": party.country, "name": party.name}


def _record(key: Key, roles: Mapping[str, Sequence[str]], glns: Mapping[str, Sequence[str]]) -> AccessRecord:
    of_producer = key.role == PRODUCER
    return AccessRecord(
        key_id=key.key_id,
        sha256=key.sha256,
        role=key.role,
        name=key.name,
        label=key.label,
        glns=tuple(sorted(glns.get(key.name, ()))) if of_producer else (),
        roles=tuple(sorted(roles.get(key.name, ()))) if of_producer else (),
        revoked_at=None if key.revoked_at is None else rfc3339(key.revoked_at),
    )
