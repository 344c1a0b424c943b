"""Writes deliveries that are sent again by hand: one, or all that an endpoint missed since a time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from services.alerts.endpoint import Endpoint
from services.alerts.store.alerts import NotFound
from services.alerts.store.changes import missed_delivery
from services.alerts.tables import DeliveryRow, EndpointRow
from services.alerts.wakeups import Wakeups
from shared import audit
from shared.audit import Author, Change
from shared.clock import Clock, rfc3339
from shared.transactions import transaction

RECOVER_MAX: Final = 5_000
# While an attempt is under way nothing is changed: it is being sent.
_AGAIN: Final = """
UPDATE deliveries AS delivery
SET state = 'pending', next_attempt_at = :now, first_try = delivery.tries, finished_at = NULL
WHERE {which} AND delivery.tries = (SELECT coalesce(max(number), 0) FROM attempts WHERE attempts.delivery = delivery.id)
"""
_ONE_AGAIN: Final = text(_AGAIN.format(which="delivery.id = :delivery"))
_FAILED_AGAIN: Final = text(_AGAIN.format(which="delivery.id = ANY(:deliveries)"))
_FAILED: Final = text("""
SELECT id, created_at FROM deliveries
WHERE endpoint = :endpoint AND state = 'failed' AND created_at >= :since ORDER BY created_at, id LIMIT :most
FOR UPDATE
""")
# What was told while the endpoint took nothing: no delivery to it speaks of the change.
_MISSED: Final = text("""
SELECT * FROM changes AS change
WHERE told AND NOT waiting AND recorded_at >= :since
  AND NOT EXISTS (SELECT FROM deliveries WHERE endpoint = :endpoint AND alert = change.alert AND change = change.id)
  AND NOT EXISTS (SELECT FROM deliveries WHERE endpoint = :endpoint AND changes @> ARRAY[change.id])
ORDER BY recorded_at, id LIMIT :most
""")


class Removed(Exception):
    """The endpoint of the delivery is no longer there."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many deliveries are sent again, and the time from which there may be more."""

    count: int
    following: datetime | None


class Recovery:
    """Each call is one transaction. What is sent again keeps its webhook-id, and goes by the schedule anew."""

    def __init__(self, engine: AsyncEngine, clock: Clock, wakeups: Wakeups) -> None:
        self._engine = engine
        self._clock = clock
        self._wakeups = wakeups

    async def resend(self, delivery: uuid.UUID, author: Author) -> None:
        """Has a delivery sent now, whatever came of it before. Raises NotFound, Removed."""
        there = select(col(DeliveryRow.state), col(EndpointRow.deleted_at)).join(
            EndpointRow, col(EndpointRow.id) == col(DeliveryRow.endpoint)
        )
        async with transaction(self._engine) as connection:
            found = (await connection.execute(there.where(col(DeliveryRow.id) == delivery))).first()
            if found is None:
                raise NotFound
            if found[1] is not None:
                raise Removed
            await connection.execute(_ONE_AGAIN, {"delivery": delivery, "now": self._clock.real_now()})
            change = Change("delivery_resent", str(delivery), {"state": found[0]}, {"state": "pending"})
            await audit.record(connection, author, change)
        self._wakeups.changed("deliveries")

    async def recover(self, endpoint: Endpoint, since: datetime, author: Author) -> Recovered:
        """Has everything sent that failed since then, or was told while `endpoint` took nothing; so many at most."""
        asked = {"endpoint": endpoint.id, "since": since, "most": RECOVER_MAX}
        async with transaction(self._engine) as connection:
            failed = (await connection.execute(_FAILED, asked)).all()
            missed = (await connection.execute(_MISSED, asked)).mappings().all()
            rows = _missed(endpoint, missed, self._clock)
            again = {"deliveries": [row[0] for row in failed], "now": self._clock.real_now()}
            await connection.execute(_FAILED_AGAIN, again)
            if rows:
                await connection.execute(insert(DeliveryRow).on_conflict_do_nothing(), rows)
            done = {"since": rfc3339(since), "recovered": len(failed) + len(rows)}
            await audit.record(connection, author, Change("endpoint_recovered", str(endpoint.id), after=done))
        self._wakeups.changed("deliveries")
        full = [found[-1][1] for found in (failed,) if len(found) == RECOVER_MAX]
        full += [missed[-1]["recorded_at"]] if len(missed) == RECOVER_MAX else []
        return Recovered(len(failed) + len(rows), min(full, default=None))


def _missed(endpoint: Endpoint, rows: Sequence[RowMapping], clock: Clock) -> list[dict[str, object]]:
    wanted = [row for row in rows if endpoint.wants(row["transition"], row["snapshot"])]
    return [missed_delivery(endpoint, row, clock) for row in wanted]
