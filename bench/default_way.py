"""The default way: FastStream's typed pydantic batch and SQLAlchemy Core, written as their documentation shows.

It keeps identities, journal, corrections, lots, flows and the position in the service's own tables, one transaction a
batch, and comes to the same balances. It does less than the service: one correction deep, no chain, no raw headers,
no claim that a paused owner loses, the days of a lot not found again after a reversal.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, NamedTuple, Union

import orjson
import uvloop
from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.security import SASLScram256
from pydantic import BaseModel, Field, create_model
from sqlalchemy import and_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlmodel import SQLModel

from bench.consuming import FETCH_MAX_BYTES, PARTITION_FETCH_MAX_BYTES, Settings, go_on
from services.supply import tables  # noqa: F401 - fills the metadata
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.places import NAMES, PLACE_OF, Place
from shared import topics
from shared.events import movements
from shared.events.corrections import EventCorrected
from shared.events.fields import Told
from shared.events.reader import event_key

BATCH_TIMEOUT_MS: Final = 200
# (gtin, lot, from, to, packs, day, day of expiry)
Transfer = tuple[int, str, int, int, int, date, date | None]


class Said(BaseModel):
    """What every event of the topic has, and where it stands."""

    source: str
    id: str
    time: datetime
    partition: int
    offset: int
    at: datetime
    raw: bytes

    @property
    def key(self) -> bytes:
        return event_key(self.source, self.id)


def _said(model: type[Told]) -> type[Said]:
    kind: Any = Literal[model.TYPE]
    return create_model(model.__name__, __base__=Said, type=(kind, ...), data=(model, ...))


MODELS: Final[tuple[type[Told], ...]] = (*movements.MODELS, EventCorrected)
Movement: Any = Annotated[Union[tuple(_said(model) for model in MODELS)], Field(discriminator="type")]  # noqa: UP007

_JOURNAL, _EVENT_IDS, _CORRECTIONS, _LOTS, _FLOWS, _POSITIONS = (
    SQLModel.metadata.tables[name] for name in ("journal", "event_ids", "corrections", "lots", "flows", "positions")
)

_BY_TYPE: Final[dict[str, type[Told]]] = {model.TYPE: model for model in MODELS}
_ADDED: Final = (*NAMES, "produced_count", "imported_count")
_EARLIEST: Final = ("introduced_on", "expires_on", "supplied_on")
_NO_LOT: Final[dict[str, Any]] = {**dict.fromkeys(_ADDED, 0), **dict.fromkeys(_EARLIEST)}
_NO_POSITION: Final = {"topic_id": MOVEMENTS_TOPIC_ID, "next_offset": 0, "epoch": 1, "chain": b"", "holder": "bench"}
_MOVE: Final = (
    update(_POSITIONS)
    .where(_POSITIONS.c.topic_id == MOVEMENTS_TOPIC_ID, _POSITIONS.c.partition == bindparam("place"))
    .values(next_offset=bindparam("end"))
)


def _upsert_lots() -> Insert:
    statement = insert(_LOTS)
    held, told = _LOTS.c, statement.excluded
    added = {name: held[name] + told[name] for name in _ADDED}
    earliest = {name: func.least(held[name], told[name]) for name in _EARLIEST}
    return statement.on_conflict_do_update(index_elements=["gtin", "lot"], set_={**added, **earliest})


def _upsert_flows() -> Insert:
    statement = insert(_FLOWS)
    packs = _FLOWS.c.packs + statement.excluded.packs
    return statement.on_conflict_do_update(index_elements=[*_FLOWS.primary_key], set_={"packs": packs})


_UPSERT_LOTS: Final = _upsert_lots()
_UPSERT_FLOWS: Final = _upsert_flows()


async def decoder(message: KafkaMessage) -> list[dict[str, Any]]:
    """Attributes from the headers and data from the value, as one object a record."""
    return [_told(record, headers) for record, headers in zip(message.raw_message, message.batch_headers, strict=True)]


def _told(record: Any, headers: dict[str, str]) -> dict[str, Any]:
    return {
        **{name: headers[f"ce_{name}"] for name in ("source", "id", "type", "time")},
        "partition": record.partition,
        "offset": record.offset,
        "at": datetime.fromtimestamp(record.timestamp / 1000, UTC),
        "raw": record.value,
        "data": orjson.loads(record.value),
    }


def transfers(data: Any) -> list[Transfer]:
    """The posting table; a mark or a count moves nothing."""

    def moved(debit: int, credit: int, packs: int, day: date, expires_on: date | None = None) -> list[Transfer]:
        return [(int(data.gtin), data.lot or "", int(debit), int(credit), packs, day, expires_on)]

    match data:
        case movements.BatchProduced(quantity=packs, produced_on=day):
            used = [(int(i.gtin), i.lot, 4, 9, i.quantity, day, None) for i in data.inputs]
            return [*moved(Place.PRODUCED, Place.QUARANTINE, packs, day, data.expires_on), *used]
        case movements.BatchReleased(quantity=packs, released_on=day):
            return moved(Place.QUARANTINE, Place.AVAILABLE, packs, day)
        case movements.BatchRejected(quantity=packs, rejected_on=day):
            return moved(Place.QUARANTINE, Place.REJECTED, packs, day)
        case movements.ImportReceived(quantity=packs, received_on=day, hold=hold):
            return moved(Place.IMPORTED, Place.QUARANTINE if hold else Place.AVAILABLE, packs, day, data.expires_on)
        case movements.ExportShipped(quantity=packs, shipped_on=day):
            return moved(PLACE_OF[data.from_], Place.EXPORTED, packs, day)
        case movements.StockReturned(quantity=packs, returned_on=day):
            return moved(PLACE_OF[data.from_], PLACE_OF[data.to], packs, day)
        case movements.ConsumptionReported(quantity=packs, period_end=day):
            return moved(Place.AVAILABLE, Place.CONSUMED, packs, day)
        case movements.BatchDestroyed(quantity=packs, destroyed_on=day):
            return moved(PLACE_OF[data.from_], Place.DESTROYED, packs, day)
        case movements.StockAdjusted(delta=delta, adjusted_on=day):
            ends = (Place.ADJUSTED, Place.AVAILABLE) if delta > 0 else (Place.AVAILABLE, Place.ADJUSTED)
            return moved(*ends, abs(delta), day)
    return []


class Entry(NamedTuple):
    """One row of the journal: a transfer that an event brought, or takes back."""

    event: Any
    seq: int
    moved: Transfer
    reversal: bool
    cause: bytes | None

    @property
    def sign(self) -> int:
        return -1 if self.reversal else 1


async def record(connection: AsyncConnection, events: Sequence[Any]) -> None:
    """One batch in the caller's transaction."""
    fresh = await _fresh(connection, events)
    entries = await _entries(connection, fresh)
    if entries:
        await connection.execute(insert(_JOURNAL), [_journal_row(entry) for entry in entries])
        await connection.execute(_UPSERT_LOTS, _lot_rows(entries))
        await connection.execute(_UPSERT_FLOWS, _flow_rows(entries))
    ends = {event.partition: event.offset + 1 for event in events}
    await connection.execute(_MOVE, [{"place": place, "end": end} for place, end in ends.items()])


async def _fresh(connection: AsyncConnection, events: Sequence[Any]) -> dict[bytes, Any]:
    """The events that nobody told before, by key: the database says which."""
    first: dict[bytes, Any] = {}
    for event in events:
        first.setdefault(event.key, event)
    rows = [
        {"event_key": key, "content": blake2b(event.raw, digest_size=16).digest(), **_place(event)}
        for key, event in first.items()
    ]
    statement = insert(_EVENT_IDS).on_conflict_do_nothing().returning(_EVENT_IDS.c.event_key)
    new = set((await connection.execute(statement, rows)).scalars())
    return {key: event for key, event in first.items() if key in new}


async def _entries(connection: AsyncConnection, fresh: dict[bytes, Any]) -> list[Entry]:
    """What the fresh events post, corrections of them and by them included."""
    told = [event for event in fresh.values() if isinstance(event.data, EventCorrected)]
    said = {key: event for key, event in fresh.items() if not isinstance(event.data, EventCorrected)}
    targets = {event.key: event_key(event.data.corrects.source, event.data.corrects.id) for event in told}
    before = await _corrections(connection, said.keys() | set(targets.values()))
    if told:
        await connection.execute(insert(_CORRECTIONS), [_correction_row(event, targets[event.key]) for event in told])
    after = {target: list(found) for target, found in before.items()}
    for event in told:
        after.setdefault(targets[event.key], []).append((_rank(event), event.key, event.data))
    earlier = await _originals(connection, set(targets.values()) - said.keys())
    entries = [
        Entry(event, seq, moved, False, None)
        for event in said.values()
        for seq, moved in enumerate(transfers(event.data))
    ]
    for target, found in after.items():
        original = said.get(target) or earlier.get(target)
        if original is not None:
            old = _counts(original, () if target in said else before.get(target, ()))[1]
            cause, new = _counts(original, found)
            entries += _change(fresh.get(cause, original), old, new, cause)
    return entries


def _counts(original: Any, found: Iterable[Any]) -> tuple[bytes, Any]:
    """The key of what holds, and the data that counts: the original's, or what the latest correction puts in place."""
    holding = max(found, default=None)
    if holding is None:
        return original.key, original.data
    _, key, data = holding
    return key, None if data.replacement is None else data.replacement.data


def _change(event: Any, old: Any, new: Any, cause: bytes) -> Iterator[Entry]:
    """Takes back what counted and posts what counts now."""
    if old != new:
        gone = [(moved, True) for moved in transfers(old)]
        come = [(moved, False) for moved in transfers(new)]
        for seq, (moved, reversal) in enumerate([*gone, *come], 10):
            yield Entry(event, seq, moved, reversal, cause)


class Original(NamedTuple):
    """An event of an earlier batch that is corrected in this one."""

    key: bytes
    data: Any


async def _originals(connection: AsyncConnection, keys: Iterable[bytes]) -> dict[bytes, Original]:
    wanted = list(keys)
    if not wanted:
        return {}
    places = [
        getattr(_JOURNAL.c, name) == getattr(_EVENT_IDS.c, name) for name in ("topic_id", "partition", "kafka_offset")
    ]
    chosen = select(_EVENT_IDS.c.event_key, _JOURNAL.c.headers, _JOURNAL.c.value).join(_JOURNAL, and_(*places))
    rows = await connection.execute(chosen.where(_EVENT_IDS.c.event_key.in_(wanted), _JOURNAL.c.seq == 0))
    return {key: Original(key, _BY_TYPE[kind.decode()].model_validate_json(value)) for key, kind, value in rows}


async def _corrections(connection: AsyncConnection, targets: Iterable[bytes]) -> dict[bytes, list[Any]]:
    """What is recorded for these targets: rank, key and data of each correction."""
    found: dict[bytes, list[Any]] = {}
    c = _CORRECTIONS.c
    chosen = select(c.target, c.time, c.source, c.id, c.event_key, c.data).where(c.target.in_(list(targets)))
    for target, time, source, id_, key, data in await connection.execute(chosen):
        found.setdefault(target, []).append(((time, source, id_), key, EventCorrected.model_validate(data)))
    return found


def _rank(event: Any) -> tuple[datetime, str, str]:
    return (event.time, event.source, event.id)


def _place(event: Any) -> dict[str, Any]:
    return {"topic_id": MOVEMENTS_TOPIC_ID, "partition": event.partition, "kafka_offset": event.offset}


def _correction_row(event: Any, target: bytes) -> dict[str, Any]:
    about = {"event_key": event.key, "target": target, "source": event.source, "id": event.id, "time": event.time}
    return {**about, **_place(event), "data": orjson.loads(event.raw)}


def _journal_row(entry: Entry) -> dict[str, Any]:
    event, (gtin, lot, debit, credit, packs, day, expires_on) = entry.event, entry.moved
    own = entry.seq == 0
    return {
        **_place(event),
        "gtin": gtin,
        "lot": lot,
        "seq": entry.seq,
        "recorded_at": event.at,
        "verdict": 0,
        "debit": credit if entry.reversal else debit,
        "credit": debit if entry.reversal else credit,
        "packs": packs,
        "effective_on": day,
        "reversal": entry.reversal,
        "expires_on": expires_on,
        "cause": entry.cause,
        "event_key": event.key,
        "said_at": event.time,
        "headers": event.type.encode() if own else None,
        "value": event.raw if own else None,
    }


def _lot_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The batch added up by lot, in key order."""
    lots: dict[tuple[int, str], dict[str, Any]] = {}
    for entry in entries:
        gtin, lot, debit, credit, packs, day, expires_on = entry.moved
        row = lots.setdefault((gtin, lot), {"gtin": gtin, "lot": lot, **_NO_LOT})
        row[NAMES[debit - 1]] -= packs * entry.sign
        row[NAMES[credit - 1]] += packs * entry.sign
        if debit in (Place.PRODUCED, Place.IMPORTED):
            row["produced_count" if debit == Place.PRODUCED else "imported_count"] += entry.sign
            row["introduced_on"], row["expires_on"] = (
                _least(row["introduced_on"], day),
                _least(row["expires_on"], expires_on),
            )
        if credit == Place.AVAILABLE and debit in (Place.IMPORTED, Place.QUARANTINE):
            row["supplied_on"] = _least(row["supplied_on"], day)
    return [lots[key] for key in sorted(lots)]


def _least(one: date | None, other: date | None) -> date | None:
    return min((day for day in (one, other) if day is not None), default=None)


def _flow_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    flows: dict[tuple[int, str, date, int, int], int] = defaultdict(int)
    for entry in entries:
        gtin, lot, debit, credit, packs, day, _ = entry.moved
        flows[gtin, lot, day, debit, credit] += packs * entry.sign
    names = ("gtin", "lot", "effective_on", "debit", "credit")
    return [{**dict(zip(names, key, strict=True)), "packs": flows[key]} for key in sorted(flows)]


class Claims(ConsumerRebalanceListener):  # type: ignore[misc]
    """Goes on from the positions in the database when Kafka assigns partitions."""

    def __init__(self, engine: AsyncEngine, consumer: Callable[[], Any]) -> None:
        self._engine, self._consumer = engine, consumer
        self.ready = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        rows = [{"partition": place.partition, **_NO_POSITION} for place in assigned]
        async with self._engine.begin() as connection:
            await connection.execute(insert(_POSITIONS).on_conflict_do_nothing(), rows)
            stands = dict((await connection.execute(select(_POSITIONS.c.partition, _POSITIONS.c.next_offset))).all())
        go_on(self._consumer(), {place: stands[place.partition] for place in assigned})
        self.ready.set()


def broker_of(told: Settings, engine: AsyncEngine) -> KafkaBroker:
    """The broker with its one subscriber."""
    security = SASLScram256(told.kafka_username, told.kafka_password)
    broker = KafkaBroker(told.kafka_bootstrap, security=security, logger=None)
    listener = Claims(engine, lambda: subscriber.consumer)
    subscriber = broker.subscriber(
        topics.MOVEMENTS,
        batch=True,
        max_records=told.batch_records,
        batch_timeout_ms=BATCH_TIMEOUT_MS,
        group_id=told.group,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_MAX_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_MAX_BYTES,
        decoder=decoder,
        listener=listener,
    )

    @subscriber
    async def consume(events: list[Movement]) -> None:
        await listener.ready.wait()
        async with engine.begin() as connection:
            await record(connection, events)

    return broker


async def run(told: Settings) -> None:
    """Consumes for ever."""
    engine = create_async_engine(told.database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS journal_bench PARTITION OF journal DEFAULT"))
    await FastStream(broker_of(told, engine), logger=None).run()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(run(Settings.here()))
