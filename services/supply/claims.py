"""Claims partitions: who writes a partition is whoever raised its epoch last."""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from services.supply.fold import MOVEMENTS_TOPIC_ID, REGISTRY_TOPIC_ID
from services.supply.record import CHAIN_START
from shared import topics

TOPIC_IDS: Final = {topics.MOVEMENTS: MOVEMENTS_TOPIC_ID, topics.REGISTRY: REGISTRY_TOPIC_ID}
TOPIC_OF: Final = {number: name for name, number in TOPIC_IDS.items()}

Place = tuple[str, int]

_CLAIM = """
INSERT INTO positions AS held (topic_id, partition, next_offset, epoch, chain, holder)
VALUES ($1, $2, 0, 1, $3, $4)
ON CONFLICT (topic_id, partition) DO UPDATE SET epoch = held.epoch + 1, holder = $4
RETURNING epoch, next_offset, chain
"""


# Who holds the positions in a transaction while the database waits for the next it has to say: a client that is paused,
# or whose machine is gone. Within a COPY the database's own timeout for idle transactions does not see it.
_END_PAUSED = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND wait_event = 'ClientRead' AND xact_start < clock_timestamp() - $1 * interval '1 ms'
AND pid IN (
    SELECT pid FROM pg_locks WHERE relation = 'positions'::regclass AND mode = 'RowExclusiveLock' AND granted
)
"""


class Claim(msgspec.Struct):
    """The right to write one partition, and where decoding stands in it: next offset and chain so far."""

    topic: str
    topic_id: int
    partition: int
    epoch: int
    next_offset: int
    chain: bytes


class RecordsLost(Exception):
    """Kafka no longer has the records that the ledger needs next, or never had those it has already."""


async def claim(pool: asyncpg.Pool, places: list[Place], holder: str, patience_ms: int) -> dict[Place, Claim]:
    """Raises the epoch of each partition: from here on nobody else's transaction can move its position.

    A former owner that holds a partition for `patience_ms` without saying anything has its session ended. Raises
    LockNotAvailableError then, and for one that is at work: try again.
    """
    try:
        return await _claimed(pool, places, holder, patience_ms)
    except asyncpg.LockNotAvailableError:
        await pool.execute(_END_PAUSED, patience_ms)
        raise


async def _claimed(pool: asyncpg.Pool, places: list[Place], holder: str, patience_ms: int) -> dict[Place, Claim]:
    claims = {}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {patience_ms}")
        for topic, partition in sorted(places, key=lambda place: (TOPIC_IDS[place[0]], place[1])):
            topic_id = TOPIC_IDS[topic]
            row = await connection.fetchrow(_CLAIM, topic_id, partition, CHAIN_START, holder)
            assert row is not None
            epoch, next_offset, chain = row
            claims[(topic, partition)] = Claim(topic, topic_id, partition, epoch, next_offset, chain)
    return claims


def check_range(claims: dict[Place, Claim], first: dict[Place, int], end: dict[Place, int]) -> None:
    """Raises RecordsLost when a claimed position lies outside what Kafka holds; never to be answered by a reset."""
    for place, held in claims.items():
        if not first[place] <= held.next_offset <= end[place]:
            raise RecordsLost(
                f"{held.topic}[{held.partition}]: the ledger stands at {held.next_offset},"
                f" Kafka holds {first[place]} to {end[place]}"
            )
