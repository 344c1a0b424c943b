"""Decides whether history is being caught up with: then nothing is told, for half a history looks like a crisis."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from services.supply.asof import Cut
from services.supply.settings import SupplySettings

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
# Fewer records than this between two checkpoints are no history, however old.
HISTORY_MIN_RECORDS: Final = 50

_TAIL = """
SELECT coalesce(sum(counted.records), 0)::bigint, coalesce(sum(counted.long_ago), 0)::bigint
FROM unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bigint[]) AS tail (topic_id, partition, since, until)
CROSS JOIN LATERAL (
    SELECT count(*) AS records, count(*) FILTER (WHERE said_at < $5) AS long_ago FROM journal
    WHERE journal.topic_id = tail.topic_id AND journal.partition = tail.partition
    AND kafka_offset >= tail.since AND kafka_offset < tail.until AND seq = 0
) counted
"""


class Tail(msgspec.Struct, frozen=True):
    """What was recorded between two checkpoints: records, and those of them that were said long ago."""

    records: int
    said_long_ago: int

    @property
    def is_history(self) -> bool:
        """Mostly records of long ago. A late event is said now, of a day long ago: it is not history."""
        return self.records >= HISTORY_MIN_RECORDS and self.said_long_ago * 2 > self.records


class CatchingUp:
    """Remembers how long ago history last came in. Moments are real time but `now`, which is domain time."""

    def __init__(self, settings: SupplySettings) -> None:
        self._lag_records = settings.catching_up_lag_records
        self._age = timedelta(days=settings.history_age_days)
        self._quiet = timedelta(seconds=settings.history_quiet_seconds)
        self._history_at: datetime | None = None

    async def still(
        self, connection: Connection, before: Cut, cut: Cut, lag_records: int, now: datetime, real_now: datetime
    ) -> bool:
        """True before there is anything, while there is much to read, and until history has stopped coming in."""
        if not any(cut.next_offsets):
            return True  # nothing is on its way in a ledger that holds nothing
        if before.next_offsets != cut.next_offsets:
            tail = await _tail(connection, before, cut, now - self._age)
            if tail.is_history:
                self._history_at = real_now
        recent = self._history_at is not None and real_now - self._history_at < self._quiet
        return recent or lag_records > self._lag_records


async def _tail(connection: Connection, before: Cut, cut: Cut, long_ago: datetime) -> Tail:
    since = {(topic_id, partition): offset for topic_id, partition, offset in zip(*before.columns, strict=True)}
    topic_ids, partitions, until = cut.columns
    first = [since.get(place, 0) for place in zip(topic_ids, partitions, strict=True)]
    row = await connection.fetchrow(_TAIL, topic_ids, partitions, first, until, long_ago)
    assert row is not None
    return Tail(row[0], row[1])
