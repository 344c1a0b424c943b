"""Writes deliveries: the heads of lanes are claimed for one attempt, and what came of it is recorded."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col

from services.alerts.claim import Claimed, Result
from services.alerts.endpoint import Endpoint
from services.alerts.payload import Message, together
from services.alerts.retry import Again, Delivered, Gone
from services.alerts.rows import endpoint_of
from services.alerts.store.endpoints import EndpointStore
from services.alerts.tables import ChangeRow, EndpointRow
from shared.transactions import transaction

# The due heads of lanes, for each endpoint as many as it has room for. A lane's later messages wait for its head, also
# while another instance has it: it stays pending until its outcome is known, due again when its lease ends.
_CLAIM: Final = text("""
WITH head AS (
    SELECT due.id
    FROM unnest(CAST(:endpoints AS uuid[]), CAST(:rooms AS int[])) AS slot (endpoint, room)
    CROSS JOIN LATERAL (
        SELECT delivery.id, delivery.next_attempt_at, delivery.change
        FROM deliveries AS delivery
        WHERE delivery.endpoint = slot.endpoint AND delivery.state = 'pending' AND delivery.next_attempt_at <= :now
          AND NOT EXISTS (
              SELECT FROM deliveries AS earlier
              WHERE earlier.endpoint = delivery.endpoint AND earlier.lane = delivery.lane
                AND earlier.state = 'pending' AND earlier.change < delivery.change
          )
        ORDER BY delivery.next_attempt_at, delivery.change
        LIMIT slot.room
        FOR UPDATE SKIP LOCKED
    ) AS due
    ORDER BY due.next_attempt_at, due.change
    LIMIT :most
), claimed AS (
    UPDATE deliveries AS delivery SET next_attempt_at = :lease_until, tries = delivery.tries + 1
    FROM head WHERE delivery.id = head.id
    RETURNING delivery.id, delivery.endpoint, delivery.lane, delivery.change, delivery.changes, delivery.tries,
        delivery.first_try, delivery.transition AS shown
)
SELECT claimed.*, change.transition, change.at, change.snapshot
FROM claimed JOIN changes AS change ON change.id = claimed.change
ORDER BY claimed.change
""")
_ATTEMPTS: Final = text("""
INSERT INTO attempts (delivery, number, at, status, seconds, response_head, error)
SELECT * FROM unnest(
    CAST(:deliveries AS uuid[]), CAST(:numbers AS int[]), CAST(:ats AS timestamptz[]), CAST(:statuses AS int[]),
    CAST(:seconds AS float8[]), CAST(:heads AS text[]), CAST(:errors AS text[])
)
ON CONFLICT DO NOTHING
""")
# Only the attempt that was claimed last may say how it goes on.
_FINISH: Final = text("""
UPDATE deliveries AS delivery
SET state = result.state, next_attempt_at = result.next_attempt_at,
    finished_at = CASE WHEN result.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[]), CAST(:states AS text[]), CAST(:nexts AS timestamptz[]))
    AS result (id, number, state, next_attempt_at)
WHERE delivery.id = result.id AND delivery.tries = result.number AND delivery.state = 'pending'
""")
# What waits behind a head is looked at again when the head is: a dead endpoint costs nothing in between.
_FOLLOW: Final = text("""
UPDATE deliveries AS delivery SET next_attempt_at = head.next_attempt_at
FROM unnest(
    CAST(:endpoints AS uuid[]), CAST(:lanes AS uuid[]), CAST(:changes AS bigint[]), CAST(:nexts AS timestamptz[])
) AS head (endpoint, lane, change, next_attempt_at)
WHERE delivery.endpoint = head.endpoint AND delivery.lane = head.lane AND delivery.state = 'pending'
  AND delivery.change > head.change
""")
_RELEASE: Final = text("""
UPDATE deliveries AS delivery SET next_attempt_at = :now, tries = delivery.tries - 1
FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS claimed (id, number)
WHERE delivery.id = claimed.id AND delivery.tries = claimed.number AND delivery.state = 'pending'
""")
_WORKS: Final = text("UPDATE endpoints SET failing_since = NULL WHERE id = ANY(:ids) AND failing_since IS NOT NULL")
_FAILS: Final = text("""
UPDATE endpoints SET failing_since = coalesce(failing_since, :now) WHERE id = ANY(:ids)
RETURNING id, failing_since
""")


class DeliveryStore:
    """Real time is handed in. Any number of instances may claim side by side."""

    def __init__(self, engine: AsyncEngine, endpoints: EndpointStore, give_up: timedelta) -> None:
        self._engine = engine
        self._endpoints = endpoints
        self._give_up = give_up

    async def receivers(self) -> list[Endpoint]:
        """The endpoints that are sent to."""
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(select(EndpointRow).where(col(EndpointRow.enabled)))).mappings()
            return [endpoint_of(row) for row in rows]

    async def claim(
        self,
        endpoints: Mapping[uuid.UUID, Endpoint],
        rooms: Mapping[uuid.UUID, int],
        most: int,
        now: datetime,
        lease: timedelta,
    ) -> list[Claimed]:
        """Due heads of lanes, those first that have been due longest: `most` of all and `rooms` for each endpoint.

        They are this instance's for `lease`.
        """
        asked = {
            "endpoints": list(rooms),
            "rooms": list(rooms.values()),
            "most": most,
            "now": now,
            "lease_until": now + lease,
        }
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(_CLAIM, asked)).mappings().all()
            grouped = await _messages(connection, {number for row in rows for number in row["changes"] or ()})
        return [
            Claimed(
                id=row["id"],
                number=row["tries"],
                round_number=row["tries"] - row["first_try"],
                lane=row["lane"],
                change=row["change"],
                endpoint=endpoints[row["endpoint"]],
                message=_message(row, grouped),
            )
            for row in rows
        ]

    async def finish(self, results: Sequence[Result], now: datetime) -> None:
        """Records attempts and how their deliveries and endpoints go on. The same twice is the same as once.

        Endpoints come before their deliveries, here as where people change them: none waits for another in a circle.
        """
        async with transaction(self._engine) as connection:
            await self._judge_endpoints(connection, results, now)
            await connection.execute(_ATTEMPTS, _attempts(results))
            await connection.execute(_FINISH, _finished(results, now))
            moved = [result for result in results if not _at_once(result)]
            if moved:
                await connection.execute(_FOLLOW, _following(moved, now))

    async def release(self, claimed: Iterable[Claimed], now: datetime) -> None:
        """Gives back what was claimed and not tried."""
        given = list(claimed)
        values = {"ids": [item.id for item in given], "numbers": [item.number for item in given], "now": now}
        async with transaction(self._engine) as connection:
            await connection.execute(_RELEASE, values)

    async def _judge_endpoints(self, connection: AsyncConnection, results: Sequence[Result], now: datetime) -> None:
        """An endpoint that is gone, or has only failed for too long, is disabled."""
        gone = {result.claimed.endpoint.id for result in results if isinstance(result.outcome, Gone)}
        works = {result.claimed.endpoint.id for result in results if isinstance(result.outcome, Delivered)} - gone
        fails = {result.claimed.endpoint.id for result in results} - works
        await connection.execute(_WORKS, {"ids": list(works)})
        failing = (await connection.execute(_FAILS, {"ids": list(fails), "now": now})).all()
        for endpoint in gone:
            await self._endpoints.disable(connection, endpoint, "it answered 410 Gone")
        for endpoint, since in failing:
            if now - since >= self._give_up and endpoint not in gone:
                await self._endpoints.disable(connection, endpoint, f"every attempt has failed since {since:%Y-%m-%d}")


async def _messages(connection: AsyncConnection, numbers: set[int]) -> dict[int, Message]:
    """The changes that groups tell together, by number."""
    if not numbers:
        return {}
    chosen = select(ChangeRow).where(col(ChangeRow.id).in_(numbers))
    rows = (await connection.execute(chosen)).mappings()
    return {row["id"]: Message(row["transition"], row["at"], row["snapshot"]) for row in rows}


def _message(row: RowMapping, grouped: Mapping[int, Message]) -> Message:
    if row["changes"] is None:
        return Message(row["transition"], row["at"], row["snapshot"])
    return together([grouped[number] for number in row["changes"]], row["shown"])


def _at_once(result: Result) -> bool:
    """Whether it was delivered by the first attempt: what waits behind it has never been put off."""
    return result.claimed.number == 1 and isinstance(result.outcome, Delivered)


def _attempts(results: Sequence[Result]) -> dict[str, Any]:
    tried = [result.attempt for result in results]
    return {
        "deliveries": [result.claimed.id for result in results],
        "numbers": [result.claimed.number for result in results],
        "ats": [attempt.at for attempt in tried],
        "statuses": [attempt.status for attempt in tried],
        "seconds": [attempt.seconds for attempt in tried],
        "heads": [attempt.response_head for attempt in tried],
        "errors": [attempt.error for attempt in tried],
    }


def _finished(results: Sequence[Result], now: datetime) -> dict[str, Any]:
    return {
        "ids": [result.claimed.id for result in results],
        "numbers": [result.claimed.number for result in results],
        "states": [_state(result) for result in results],
        "nexts": [_next(result) for result in results],
        "now": now,
    }


def _following(results: Sequence[Result], now: datetime) -> dict[str, Any]:
    heads = [result.claimed for result in results]
    return {
        "endpoints": [head.endpoint.id for head in heads],
        "lanes": [head.lane for head in heads],
        "changes": [head.change for head in heads],
        "nexts": [_next(result) or now for result in results],
    }


def _state(result: Result) -> str:
    match result.outcome:
        case Delivered():
            return "delivered"
        case Again():
            return "pending"
        case _:
            return "failed"


def _next(result: Result) -> datetime | None:
    return result.outcome.at if isinstance(result.outcome, Again) else None
