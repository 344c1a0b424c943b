"""Writes what happened to alerts, and in the same transaction the deliveries that tell of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from services.alerts.alert import Change, group_id, shown_as, webhook_id
from services.alerts.endpoint import Endpoint
from services.alerts.rows import change_row, endpoint_of
from services.alerts.tables import ChangeRow, DeliveryRow, EndpointRow, GroupRow
from shared.clock import Clock

GROUPS_A_FLUSH: Final = 100
CHANGES_A_MESSAGE: Final = 200  # of one group; more are told in several messages, in order


async def tell(connection: AsyncConnection, changes: Sequence[Change], clock: Clock, wait: timedelta) -> None:
    """Records `changes`, and a delivery of each that is told to every endpoint that takes it.

    What belongs to a group waits up to `wait` for others of its group, and is told together with them.
    """
    numbers, rows = await record(connection, changes, clock)
    told = [(number, change, row) for number, change, row in zip(numbers, changes, rows, strict=True) if row["told"]]
    if not told:
        return
    endpoints = await receivers(connection)
    deliveries = [
        delivery_row(endpoint, change, number, clock)
        for number, change, row in told
        for endpoint in endpoints
        if not row["waiting"] and endpoint.wants(change.transition, row["snapshot"])
    ]
    if deliveries:
        await connection.execute(insert(DeliveryRow).on_conflict_do_nothing(), deliveries)
    await _let_wait(connection, sorted({row["group"] for _, _, row in told if row["waiting"]}), clock.now() + wait)


async def record(
    connection: AsyncConnection, changes: Sequence[Change], clock: Clock
) -> tuple[list[int], list[dict[str, Any]]]:
    """The numbers of the recorded changes, in their order, and the rows."""
    if not changes:
        return [], []
    rows = [change_row(change, clock) for change in changes]
    numbered = insert(ChangeRow).returning(col(ChangeRow.id), sort_by_parameter_order=True)
    return list((await connection.execute(numbered, rows)).scalars()), rows


async def receivers(connection: AsyncConnection) -> list[Endpoint]:
    """The endpoints that are sent to."""
    rows = (await connection.execute(select(EndpointRow).where(col(EndpointRow.enabled)))).mappings()
    return [endpoint_of(row) for row in rows]


def delivery_row(endpoint: Endpoint, change: Change, number: int, clock: Clock) -> dict[str, Any]:
    """A delivery that is due at once. Its lane is the alert: within it messages keep their order."""
    identity = webhook_id(endpoint.id, change.alert.id, change.name)
    return _delivery(identity, endpoint, change.alert.id, change.alert.id, number, change.transition.value, clock)


def _delivery(
    identity: uuid.UUID,
    endpoint: Endpoint,
    lane: uuid.UUID,
    alert: uuid.UUID,
    number: int,
    transition: str,
    clock: Clock,
) -> dict[str, Any]:
    now = clock.real_now()
    return {
        "id": identity,
        "endpoint": endpoint.id,
        "lane": lane,
        "alert": alert,
        "change": number,
        "changes": None,
        "transition": transition,
        "state": "pending",
        "tries": 0,
        "next_attempt_at": now,
        "created_at": now,
    }


# Groups: while a change is written its group's row is locked, so that no flush misses one that is not committed yet.


async def _let_wait(connection: AsyncConnection, groups: Sequence[str], flush_at: datetime) -> None:
    """Has what waits in `groups` told at `flush_at`, or at the time that is set already."""
    if not groups:
        return
    new = insert(GroupRow)
    earliest = func.coalesce(col(GroupRow.flush_at), func.greatest(new.excluded.flush_at, col(GroupRow.not_before)))
    waits = new.on_conflict_do_update(index_elements=["group"], set_={"flush_at": earliest})
    await connection.execute(waits, [{"group": group, "flush_at": flush_at} for group in groups])


async def flush_groups(connection: AsyncConnection, clock: Clock, interval: timedelta) -> int:
    """Tells what waits in groups whose time has come; how many. Each then waits at least `interval` for the next."""
    now = clock.now()
    due = select(col(GroupRow.group)).where(col(GroupRow.flush_at) <= now).order_by(col(GroupRow.flush_at))
    chosen = due.limit(GROUPS_A_FLUSH).with_for_update(skip_locked=True)
    groups = list((await connection.execute(chosen)).scalars())
    if not groups:
        return 0
    waiting = select(ChangeRow).where(col(ChangeRow.group).in_(groups), col(ChangeRow.waiting))
    rows = (await connection.execute(waiting.order_by(col(ChangeRow.id)))).mappings().all()
    endpoints = await receivers(connection)
    deliveries = []
    for group in groups:
        of_group = [row for row in rows if row["group"] == group]
        deliveries += [row for endpoint in endpoints for row in group_deliveries(endpoint, group, of_group, clock)]
    if deliveries:
        await connection.execute(insert(DeliveryRow).on_conflict_do_nothing(), deliveries)
    told = update(ChangeRow).where(col(ChangeRow.id).in_([row["id"] for row in rows]))
    await connection.execute(told.values(waiting=False))
    # Kept until the next may be told: what comes before waits for it.
    done = update(GroupRow).where(col(GroupRow.group).in_(groups))
    await connection.execute(done.values(flush_at=None, not_before=now + interval))
    return len(groups)


def group_deliveries(endpoint: Endpoint, group: str, rows: Sequence[RowMapping], clock: Clock) -> list[dict[str, Any]]:
    """The messages to `endpoint` of those changes of a group that it wants."""
    wanted = [row for row in rows if endpoint.wants(row["transition"], row["snapshot"])]
    starts = range(0, len(wanted), CHANGES_A_MESSAGE)
    return [_together(endpoint, group, wanted[start : start + CHANGES_A_MESSAGE], clock) for start in starts]


def _together(endpoint: Endpoint, group: str, rows: Sequence[RowMapping], clock: Clock) -> dict[str, Any]:
    first, lane = rows[0], group_id(group)
    identity = webhook_id(endpoint.id, lane, f"{first['alert']}/{first['name']}")
    kinds = {shown_as(row["transition"]) for row in rows}
    transition = kinds.pop() if len(kinds) == 1 else "firing"
    row = _delivery(identity, endpoint, lane, first["alert"], rows[-1]["id"], transition, clock)
    return {**row, "changes": [one["id"] for one in rows]}


def missed_delivery(endpoint: Endpoint, row: RowMapping, clock: Clock) -> dict[str, Any]:
    """A delivery of a change that `endpoint` was not told of when it happened."""
    if row["group"] is not None:
        return _together(endpoint, row["group"], [row], clock)
    identity = webhook_id(endpoint.id, row["alert"], row["name"])
    return _delivery(identity, endpoint, row["alert"], row["alert"], row["id"], row["transition"], clock)
