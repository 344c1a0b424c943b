"""The ceiling: aiokafka, msgspec, COPY of one row an event, and the position in the same transaction. Nothing else.

No duplicate is recognised, nothing is corrected, no balance is kept, no raw record, no chain: what any consumer in this
language on these two servers could reach at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from bench.consuming import FETCH_MAX_BYTES, PARTITION_FETCH_MAX_BYTES, Settings, go_on
from services.supply.fold import MOVEMENTS_TOPIC_ID
from shared import topics
from shared.events import reader

POLL_MS: Final = 200
TABLE: Final = "ceiling"
CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (partition smallint, kafka_offset bigint, kind text, gtin bigint, lot text,"
    " packs bigint)"
)
_COLUMNS: Final = ("partition", "kafka_offset", "kind", "gtin", "lot", "packs")
_CLAIM: Final = (
    "INSERT INTO positions AS held (topic_id, partition, next_offset, epoch, chain, holder)"
    f" VALUES ({MOVEMENTS_TOPIC_ID}, $1, 0, 1, '', 'bench')"
    " ON CONFLICT (topic_id, partition) DO UPDATE SET epoch = held.epoch + 1 RETURNING next_offset"
)
_MOVE: Final = f"UPDATE positions SET next_offset = $2 WHERE topic_id = {MOVEMENTS_TOPIC_ID} AND partition = $1"
_DECODERS: Final[dict[bytes, Callable[[bytes], Any]]] = {
    name.encode(): msgspec.json.Decoder(struct).decode for name, struct in reader.STRUCTS.items()
}
Row = tuple[int, int, str, int, str | None, Any]


class _Corrected(msgspec.Struct):
    key: str


_DECODERS[reader.CORRECTED.encode()] = msgspec.json.Decoder(_Corrected).decode


def row_of(message: Any) -> Row:
    """The row of one record."""
    kind = dict(message.headers)["ce_type"]
    data = _DECODERS[kind](message.value)
    gtin = data.key if type(data) is _Corrected else data.gtin
    packs = getattr(data, "quantity", None) or getattr(data, "delta", 0)
    return (message.partition, message.offset, kind.decode(), int(gtin), getattr(data, "lot", None), packs)


class _Claims(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, connection: asyncpg.Connection, consumer: AIOKafkaConsumer) -> None:
        self._connection, self._consumer = connection, consumer
        self.ready = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        stands = {place: await self._connection.fetchval(_CLAIM, place.partition) for place in assigned}
        go_on(self._consumer, stands)
        self.ready.set()


async def run(told: Settings) -> None:
    """Consumes for ever."""
    connection = await asyncpg.connect(told.database_url)
    await connection.execute(CREATE)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=told.kafka_bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username=told.kafka_username,
        sasl_plain_password=told.kafka_password,
        group_id=told.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_MAX_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_MAX_BYTES,
    )
    await consumer.start()
    claims = _Claims(connection, consumer)
    consumer.subscribe([topics.MOVEMENTS], listener=claims)
    await claims.ready.wait()
    while True:
        await _write(connection, await consumer.getmany(timeout_ms=POLL_MS, max_records=told.batch_records))


async def _write(connection: asyncpg.Connection, found: dict[TopicPartition, list[Any]]) -> None:
    rows = [row_of(message) for messages in found.values() for message in messages]
    if not rows:
        return
    async with connection.transaction():
        await connection.copy_records_to_table(TABLE, records=rows, columns=_COLUMNS)
        for place, messages in found.items():
            await connection.execute(_MOVE, place.partition, messages[-1].offset + 1)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(Settings.here()))
