"""Writes what happened to alerts, and in the same transaction the deliveries that tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from services.alerts.alert import PUBLIC, Change, webhook_id
from services.alerts.endpoint import Endpoint, recipients
from services.alerts.rows import change_row, endpoint_of
from services.alerts.tables import ChangeRow, DeliveryRow, EndpointRow
from shared.clock import Clock


async def tell(connection: AsyncConnection, changes: Sequence[Change], clock: Clock) -> None:
    """Records `changes`, and a delivery of each public one to every endpoint that takes it."""
    numbers = await record(connection, changes, clock)
    public = [pair for pair in zip(numbers, changes, strict=True) if pair[1].transition in PUBLIC]
    if not public:
        return
    rows = (await connection.execute(select(EndpointRow).where(col(EndpointRow.enabled)))).mappings()
    endpoints = [endpoint_of(row) for row in rows]
    deliveries = [
        delivery_row(endpoint, change, number, clock)
        for number, change in public
        for endpoint in recipients(endpoints, change.alert)
    ]
    if deliveries:
        await connection.execute(insert(DeliveryRow).on_conflict_do_nothing(), deliveries)


async def record(connection: AsyncConnection, changes: Sequence[Change], clock: Clock) -> list[int]:
    """The numbers of the recorded changes, in their order."""
    if not changes:
        return []
    numbered = insert(ChangeRow).returning(col(ChangeRow.id), sort_by_parameter_order=True)
    recorded = await connection.execute(numbered, [change_row(change, clock) for change in changes])
    return list(recorded.scalars())


def delivery_row(endpoint: Endpoint, change: Change, number: int, clock: Clock) -> dict[str, Any]:
    """A delivery that is due at once. Its lane is the alert: within it messages keep their order."""
    now = clock.real_now()
    return {
        "id": webhook_id(endpoint.id, change.alert.id, change.name),
        "endpoint": endpoint.id,
        "lane": change.alert.id,
        "alert": change.alert.id,
        "change": number,
        "transition": change.transition.value,
        "state": "pending",
        "tries": 0,
        "next_attempt_at": now,
        "created_at": now,
    }
