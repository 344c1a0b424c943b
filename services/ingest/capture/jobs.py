"""Writes and reads capture jobs: stored before they are answered, worked on under a lease, done once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.ingest.capture.verdict import Verdict
from services.ingest.settings import IngestSettings
from services.ingest.tables import Capture
from services.ingest.transaction import transaction

RUNNING: Final = "running"
# What a waiting document counts for at least: many small ones are a burden too.
LEAST_BYTES: Final = 4_096

_ADD: Final = text(
    "INSERT INTO captures (id, producer, behaviour, document, size_bytes)"
    " SELECT CAST(:id AS uuid), :producer, :behaviour, CAST(:document AS bytea), CAST(:size AS integer)"
    " WHERE (SELECT coalesce(sum(size_bytes), 0) FROM captures WHERE producer = :producer AND state = 'running')"
    " + CAST(:size AS integer) <= CAST(:limit AS bigint) RETURNING created_at"
)
# The first of those that wait of each producer, so that what was sent later may rest on what was sent before; of the
# producers any, so that none keeps the others waiting.
_CLAIM: Final = text(
    "UPDATE captures SET holder = :holder, leased_until = clock_timestamp() + make_interval(secs => :seconds),"
    " attempts = attempts + 1 WHERE id = (SELECT id FROM captures WHERE state = 'running'"
    " AND number IN (SELECT min(number) FROM captures WHERE state = 'running' GROUP BY producer)"
    " AND (leased_until IS NULL OR leased_until < clock_timestamp()) ORDER BY random() LIMIT 1"
    " FOR UPDATE SKIP LOCKED) RETURNING id, producer, behaviour, document, attempts"
)
_RENEW: Final = text(
    "UPDATE captures SET leased_until = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE id = :id AND holder = :holder AND state = 'running'"
)
_RELEASE: Final = text("UPDATE captures SET leased_until = NULL WHERE holder = :holder AND state = 'running'")
_FINISH: Final = text(
    "UPDATE captures SET state = :state, finished_at = clock_timestamp(), errors = :errors, frame = :frame,"
    " mapped = :mapped, incomplete = :incomplete, not_applicable = :not_applicable, refused = :refused,"
    " document = NULL, holder = NULL, leased_until = NULL"
    " WHERE id = :id AND holder = :holder AND state = 'running' RETURNING id"
)
_RECORD: Final = text(
    "INSERT INTO captures (id, producer, behaviour, state, finished_at, size_bytes, frame, mapped, incomplete,"
    " not_applicable, refused) VALUES (:id, :producer, 'rollback', 'success', clock_timestamp(), :size, :frame,"
    " :mapped, :incomplete, :not_applicable, :refused) ON CONFLICT (id) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this instance holds; how often one was taken up before, it says itself."""

    id: UUID
    producer: str
    behaviour: str
    document: bytes
    attempts: int


class Jobs:
    """Every method raises Transient while PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine, settings: IngestSettings) -> None:
        self._engine = engine
        self._holder = {"holder": settings.instance}
        self._lease = {**self._holder, "seconds": settings.capture_lease_seconds}
        self._limit = settings.capture_waiting_limit_bytes

    async def add(self, producer: str, behaviour: str, document: bytes) -> Capture | None:
        """The job, stored; None if too much of the producer's waits already."""
        id, size = uuid4(), max(len(document), LEAST_BYTES)
        told: dict[str, Any] = {"id": id, "producer": producer, "behaviour": behaviour}
        async with transaction(self._engine) as session:
            added = await run(session, _ADD, {**told, "document": document, "size": size, "limit": self._limit})
        return Capture(**told, size_bytes=size, created_at=added[0][0]) if added else None

    async def claim(self) -> Job | None:
        """A job to work on, ours until the lease ends; None if there is none."""
        async with transaction(self._engine) as session:
            found = await run(session, _CLAIM, self._lease)
        return Job(*found[0]) if found else None

    async def renew(self, job: Job) -> None:
        async with transaction(self._engine) as session:
            await run(session, _RENEW, {**self._lease, "id": job.id})

    async def release(self) -> None:
        """Gives up what this instance held when it ended last."""
        async with transaction(self._engine) as session:
            await run(session, _RELEASE, self._holder)

    async def one(self, id: UUID, producer: str | None) -> Capture | None:
        """None if there is none, or it is not that producer's."""
        query = _shown(select(Capture).where(Capture.id == id), producer)
        async with transaction(self._engine) as session:
            found: Capture | None = (await session.exec(query)).one_or_none()
            return found

    async def page(self, producer: str | None, before: int | None, limit: int) -> list[Capture]:
        """Newest first, older than the number `before`."""
        query = _shown(select(Capture), producer).order_by(col(Capture.number).desc()).limit(limit)
        if before is not None:
            query = query.where(col(Capture.number) < before)
        async with transaction(self._engine) as session:
            return list((await session.exec(query)).all())

    async def waiting(self) -> int:
        """How many are not done, of all producers."""
        async with transaction(self._engine) as session:
            found = await run(session, text("SELECT count(*) FROM captures WHERE state = 'running'"), {})
        return int(found[0][0])

    async def finish(self, session: AsyncSession, job: Job, verdict: Verdict) -> bool:
        """In the caller's transaction. False if the job is not ours any more: nothing of it may be written then."""
        told = {**verdict.counts, "errors": orjson.dumps(verdict.errors).decode(), "frame": verdict.frame}
        done = {**self._holder, **told, "id": job.id, "state": verdict.state}
        return bool(await run(session, _FINISH, done))


async def record(session: AsyncSession, id: UUID, producer: str, size_bytes: int, verdict: Verdict) -> None:
    """A document that is done already, in the caller's transaction; once by its id."""
    told = {"id": id, "producer": producer, "size": size_bytes, "frame": verdict.frame, **verdict.counts}
    await run(session, _RECORD, told)


def _shown(query: Any, producer: str | None) -> Any:
    query = query.options(defer(Capture.document), defer(Capture.frame))  # type: ignore[arg-type]
    return query if producer is None else query.where(Capture.producer == producer)


async def run(session: AsyncSession, statement: Any, told: Mapping[str, Any]) -> list[Any]:
    """The rows that a statement in SQL returns."""
    found = await (await session.connection()).execute(statement, told)
    return list(found.all()) if found.returns_rows else []
