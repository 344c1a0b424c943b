"""Keeps signed checkpoints outside the database: on `supply.checkpoints.v1`, and in files once Kafka has them.

How far this has come is asked of the topic and the files themselves, so that a crash between two of them leaves no gap.
The topic also tells when the ledger was restored from an older backup: then it is ahead. The ledger takes no checkpoint
until it has read again what it had, compares the chains' heads, and takes its own checkpoints back from the topic. So a
number never gets a second content, and an answer for a past `known` stays what it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from services.supply import checkpoints, metrics
from services.supply.checkpoint_files import CheckpointFiles
from services.supply.checkpoint_topic import CheckpointTopic
from services.supply.settings import SupplySettings
from services.supply.signing import Signed
from shared.lease import Lease
from shared.settings import ROOT
from shared.telemetry import logger

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
BATCH: Final = 500

_BEHIND = """
SELECT coalesce(sum(greatest(0, told.next_offset - coalesce(positions.next_offset, 0))), 0)
FROM unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS told (topic_id, partition, next_offset)
LEFT JOIN positions USING (topic_id, partition)
"""
_SAME = """
SELECT 1 FROM journal
WHERE (topic_id, partition, kafka_offset, seq) = ($1::smallint, $2::smallint, $3::bigint, 0) AND chain = $4
"""

log = logger(__name__)


class CheckpointsDisagree(Exception):
    """What was signed and published is not what the ledger holds: nothing may be signed on top of it."""


class Outside:
    """The lease holder's part."""

    def __init__(self, settings: SupplySettings) -> None:
        self._topic = CheckpointTopic(settings)
        self._files = CheckpointFiles(ROOT / settings.checkpoint_dir)
        self._agreed = False
        self._newest: str | None = None  # the digest of the table's newest signed checkpoint, as it was left
        self._published: int | None = None  # the newest number on the topic, None while not known
        self._filed: int | None = None

    async def agrees(self, connection: Connection, lease: Lease) -> bool:
        """Whether the next checkpoint may be taken; False while a restored ledger is behind what was published.

        The topic is asked when anyone but this process was the last to write a checkpoint. Raises CheckpointsDisagree,
        KafkaError, TimeoutError.
        """
        mine = await checkpoints.newest_signed(connection)
        if self._agreed and _digest(mine) == self._newest:
            return True
        self._agreed, self._published, self._filed = False, None, None
        outside = await self._topic.newest()
        if outside is not None and (mine is None or outside.n > mine.n):
            if not await _has_read_again(connection, outside):
                return False
            mine = await self._take_back(connection, lease, mine)
        elif outside is not None:
            await _must_hold(connection, outside, "the topic")
        self._published = 0 if outside is None else outside.n
        self._newest, self._agreed = _digest(mine), True
        return True

    def took(self, signed: Signed | None) -> None:
        """Remembers what this process has just committed."""
        if signed is not None:
            self._newest = signed.digest

    async def publish(self, connection: Connection) -> None:
        """The next signed checkpoints in order: to the topic, and what the topic has to the files.

        Raises CheckpointsDisagree, KafkaError, TimeoutError, OSError; nothing is skipped, the next call goes on.
        """
        if not self._agreed:
            return
        if self._published is None:
            outside = await self._topic.newest()
            self._published = 0 if outside is None else outside.n
        fresh = await checkpoints.signed_after(connection, self._published, BATCH)
        if fresh:
            published, self._published = self._published, None
            await self._topic.publish(fresh)
            self._published = max(published, fresh[-1].n)
        metrics.PUBLISHED.set(self._published)
        await self._write_files(connection, self._published)

    async def stop(self) -> None:
        await self._topic.stop()

    async def _write_files(self, connection: Connection, published: int) -> None:
        if self._filed is None:
            newest = await asyncio.to_thread(self._files.newest)
            if newest is not None:
                await _must_hold(connection, newest, str(self._files.folder))
            self._filed = 0 if newest is None else newest.n
        fresh = [item for item in await checkpoints.signed_after(connection, self._filed, BATCH) if item.n <= published]
        if fresh:
            self._filed = None
            await asyncio.to_thread(self._files.append, fresh)
            self._filed = fresh[-1].n

    async def _take_back(self, connection: Connection, lease: Lease, mine: Signed | None) -> Signed | None:
        """The ledger's own checkpoints after `mine`, from the topic; the newest of them."""
        before = await checkpoints.newest(connection)
        async for step in _steps(self._topic.since(before.at if before.n else None)):
            async with connection.transaction():
                await lease.guard(connection)
                for signed in step:
                    if mine is not None and signed.n <= mine.n:
                        continue
                    if signed.previous != _digest(mine):
                        raise CheckpointsDisagree(
                            f"checkpoint {signed.n} of the topic does not follow from the ledger's"
                        )
                    await checkpoints.adopt(connection, signed)
                    mine = signed
        log.warning("checkpoints taken back from the topic", newest=mine.n if mine else 0)
        return mine


async def _steps(signed: AsyncIterator[Signed]) -> AsyncIterator[list[Signed]]:
    step: list[Signed] = []
    async for item in signed:
        step.append(item)
        if len(step) == BATCH:
            yield step
            step = []
    if step:
        yield step


async def _has_read_again(connection: Connection, outside: Signed) -> bool:
    """Whether a restored ledger is where it was when `outside` was signed. Raises CheckpointsDisagree if its chains are
    not what they were."""
    heads = outside.heads()
    columns = ([h.topic_id for h in heads], [h.partition for h in heads], [h.next_offset for h in heads])
    behind = await connection.fetchval(_BEHIND, *columns)
    if behind:
        log.warning("restored from an older backup: reading again", published=outside.n, records=int(behind))
        return False
    for head in heads:
        place = (head.topic_id, head.partition, head.next_offset - 1, head.chain)
        if head.next_offset and not await connection.fetchval(_SAME, *place):
            raise CheckpointsDisagree(
                f"checkpoint {outside.n} signed another hash before topic {head.topic_id}, partition {head.partition},"
                f" offset {head.next_offset}"
            )
    return True


async def _must_hold(connection: Connection, outside: Signed, where: str) -> None:
    held = await checkpoints.signed_at(connection, outside.n)
    if held is None or held.digest != outside.digest:
        raise CheckpointsDisagree(f"checkpoint {outside.n} in {where} is not the ledger's own")


def _digest(signed: Signed | None) -> str | None:
    return None if signed is None else signed.digest
