"""What the default way writes: SQLAlchemy Core into the service's own tables, in the caller's transaction.

Identities first (the database says which are new), then what the new events and their corrections post, one row a
lot and flow for the batch, and the positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from bench.default_events import MODELS, Transfer, transfers
from services.supply import tables  # noqa: F401 - fills the metadata
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.places import NAMES, Place
from shared.events.corrections import EventCorrected
from shared.events.reader import event_key

_JOURNAL, _EVENT_IDS, _CORRECTIONS, _LOTS, _FLOWS, POSITIONS = (
    SQLModel.metadata.tables[name] for name in ("journal", "event_ids", "corrections", "lots", "flows", "positions")
)

_BY_TYPE: Final = {model.TYPE: model for model in MODELS}
_ADDED: Final = (*NAMES, "produced_count", "imported_count")
_EARLIEST: Final = ("introduced_on", "expires_on", "supplied_on")
_NO_LOT: Final[dict[str, Any]] = {**dict.fromkeys(_ADDED, 0), **dict.fromkeys(_EARLIEST)}
_MOVE: Final = (
    update(POSITIONS)
    .where(POSITIONS.c.topic_id == MOVEMENTS_TOPIC_ID, POSITIONS.c.partition == bindparam("place"))
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
