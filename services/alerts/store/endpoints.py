"""Writes endpoints: created, changed, rotated, disabled, removed, tested."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col

from services.alerts.alert import Change
from services.alerts.endpoint import Endpoint
from services.alerts.rows import endpoint_of, endpoint_state, filter_columns
from services.alerts.store.alerts import AlertStore, NotFound
from services.alerts.store.changes import delivery_row, record
from services.alerts.tables import DeliveryRow, EndpointRow
from services.alerts.wakeups import Wakeups
from shared import audit
from shared.audit import Author, State
from shared.clock import Clock, rfc3339
from shared.transactions import transaction


class EndpointStore:
    """Each call is one transaction; what becomes of an endpoint is signalled, so that rules can alert on it."""

    def __init__(self, engine: AsyncEngine, alerts: AlertStore, clock: Clock, wakeups: Wakeups | None = None) -> None:
        self._engine = engine
        self._alerts = alerts
        self._clock = clock
        self._wakeups = wakeups or Wakeups()

    async def add(self, endpoint: Endpoint, author: Author) -> None:
        columns = {
            "id": endpoint.id,
            "url": endpoint.url,
            "format": endpoint.format.value,
            "rate": endpoint.rate,
            "level": endpoint.level,
            "headers": dict(endpoint.headers),
            "description": endpoint.description,
            "secret": endpoint.secret,
            "enabled": endpoint.enabled,
            "created_at": endpoint.created_at,
            "created_by": author.name,
            **filter_columns(endpoint.filter),
        }
        async with transaction(self._engine) as connection:
            await connection.execute(insert(EndpointRow).values(**columns))
            await _audit(connection, author, "endpoint_created", endpoint.id, None, endpoint.as_json())

    async def change(self, endpoint: uuid.UUID, columns: Mapping[str, Any], author: Author) -> Endpoint:
        """The endpoint with `columns` changed. Raises NotFound."""
        async with transaction(self._engine) as connection:
            before = await _locked(connection, endpoint)
            changed = await _change(connection, endpoint, columns)
            if "enabled" in columns:
                await self._signal(connection, changed)
            await _audit(connection, author, "endpoint_changed", endpoint, before.as_json(), changed.as_json())
        self._wakeups.changed()
        return changed

    async def rotate(self, endpoint: uuid.UUID, secret: str, overlap: timedelta, author: Author) -> Endpoint:
        """The endpoint with `secret`; the former one signs beside it for `overlap`. Raises NotFound."""
        until = self._clock.real_now() + overlap
        columns = {"former_secret": col(EndpointRow.secret), "former_secret_until": until, "secret": secret}
        async with transaction(self._engine) as connection:
            before = await _locked(connection, endpoint)
            changed = await _change(connection, endpoint, columns)
            states = [{"former_until": at and rfc3339(at)} for at in (before.former_secret_until, until)]
            await _audit(connection, author, "secret_rotated", endpoint, *states)
            return changed

    async def remove(self, endpoint: uuid.UUID, author: Author) -> None:
        """Nothing more is sent to it; what was still to be delivered has failed. Raises NotFound."""
        now = self._clock.real_now()
        unsent = (col(DeliveryRow.endpoint) == endpoint, col(DeliveryRow.state) == "pending")
        failed = {"state": "failed", "next_attempt_at": None, "finished_at": now}
        async with transaction(self._engine) as connection:
            before = await _locked(connection, endpoint)
            columns = {"deleted_at": now, "enabled": False, "disabled_reason": None}
            removed = await _change(connection, endpoint, columns)
            await connection.execute(update(DeliveryRow).where(*unsent).values(**failed))
            await self._signal(connection, removed)
            await _audit(connection, author, "endpoint_removed", endpoint, before.as_json(), None)

    async def disable(self, connection: AsyncConnection, endpoint: uuid.UUID, reason: str) -> None:
        """Stops sending to an endpoint, within the transaction that found out why."""
        columns = {"enabled": False, "disabled_reason": reason}
        still = (col(EndpointRow.id) == endpoint, col(EndpointRow.enabled))
        changed = await connection.execute(update(EndpointRow).where(*still).values(**columns).returning(EndpointRow))
        row = changed.mappings().first()
        if row is not None:
            await self._signal(connection, endpoint_of(row))

    async def send_test(self, endpoint: Endpoint, change: Change, author: Author) -> uuid.UUID:
        """Has `change` delivered to `endpoint` alone; the id of the delivery."""
        async with transaction(self._engine) as connection:
            [number], _ = await record(connection, [change], self._clock)
            row = delivery_row(endpoint, change, number, self._clock)
            await connection.execute(insert(DeliveryRow).values(row))
            await _audit(connection, author, "endpoint_tested", endpoint.id, None, {"delivery": str(row["id"])})
        self._wakeups.changed()
        identity: uuid.UUID = row["id"]
        return identity

    async def _signal(self, connection: AsyncConnection, endpoint: Endpoint) -> None:
        await self._alerts.signal_within(connection, f"endpoint/{endpoint.id}", endpoint_state(endpoint))


async def _locked(connection: AsyncConnection, endpoint: uuid.UUID) -> Endpoint:
    """As it is before a change, which nobody else can make now. Raises NotFound."""
    found = await connection.execute(select(EndpointRow).where(*_there(endpoint)).with_for_update())
    row = found.mappings().first()
    if row is None:
        raise NotFound
    return endpoint_of(row)


async def _change(connection: AsyncConnection, endpoint: uuid.UUID, columns: Mapping[str, Any]) -> Endpoint:
    changing = update(EndpointRow).where(*_there(endpoint)).values(**columns).returning(EndpointRow)
    return endpoint_of((await connection.execute(changing)).mappings().one())


def _there(endpoint: uuid.UUID) -> tuple[Any, ...]:
    return (col(EndpointRow.id) == endpoint, col(EndpointRow.deleted_at).is_(None))


async def _audit(
    connection: AsyncConnection, author: Author, action: str, endpoint: uuid.UUID, before: State, after: State
) -> None:
    await audit.record(connection, author, audit.Change(action, str(endpoint), before, after))
