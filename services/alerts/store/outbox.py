"""Writes which changes have been published on supply.alerts.v1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from services.alerts.payload import Message
from services.alerts.tables import ChangeRow
from shared.lease import Lease
from shared.transactions import transaction


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A change that Kafka has not acknowledged yet; `name` tells it from the alert's others."""

    id: int
    name: str
    message: Message


class Outbox:
    """One instance at a time publishes, so that the changes of an alert keep their order."""

    def __init__(self, engine: AsyncEngine, lease: Lease) -> None:
        self._engine = engine
        self._lease = lease

    async def take(self, limit: int) -> list[Unpublished] | None:
        """The oldest unpublished changes; None while another instance publishes."""
        pending = select(ChangeRow).where(col(ChangeRow.public), col(ChangeRow.published_at).is_(None))
        async with transaction(self._engine) as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            if raw is None or not await self._lease.hold(raw):
                return None
            rows = (await connection.execute(pending.order_by(col(ChangeRow.id)).limit(limit))).mappings()
            return [
                Unpublished(row["id"], row["name"], Message(row["transition"], row["at"], row["snapshot"]))
                for row in rows
            ]

    async def mark(self, numbers: Sequence[int], now: datetime) -> None:
        """These were acknowledged by Kafka."""
        async with transaction(self._engine) as connection:
            chosen = update(ChangeRow).where(col(ChangeRow.id).in_(numbers))
            await connection.execute(chosen.values(published_at=now))

    async def release(self) -> None:
        async with transaction(self._engine) as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            if raw is not None:
                await self._lease.release(raw)
