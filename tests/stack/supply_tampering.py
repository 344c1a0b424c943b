"""Tampers with a journal by SQL, as someone could who has the database to himself; one tampering at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import asyncpg
from msgspec.structs import replace

from services.supply.evidence_chain import linked
from services.supply.findings import COLUMNS, Report, Row, at
from services.supply.ledger_rows import journal_rows
from services.supply.record import CHAIN_START

Place = tuple[int, int, int]
_KEY: Final = "gtin lot topic_id partition kafka_offset seq recorded_at".split()
_NAMED: Final = "(gtin, lot, topic_id, partition, kafka_offset, seq, recorded_at)"
_THIS: Final = f"{_NAMED} = ($1, $2, $3, $4, $5, $6, $7::text::timestamptz)"
_PLACE: Final = "(topic_id, partition, kafka_offset) = ($1, $2, $3)"
_BYTES: Final = ("cause", "event_key", "record_key", "headers", "value", "chain")
_TYPES: Final = {"lot": "text", "seq": "smallint", "kafka_offset": "bigint", "topic_id": "smallint"} | {
    "partition": "smallint"
}
# What a column is set to, as SQL.
_OTHER: Final = {
    "lot": "lot || 'x'",
    "recorded_at": "recorded_at + interval '7 ms'",
    "said_at": "coalesce(said_at, '2026-01-01Z') + interval '1 s'",
    "effective_on": "coalesce(effective_on, '2026-01-01') + 1",
    "expires_on": "coalesce(expires_on, '2026-01-01') + 1",
    "period_start": "coalesce(period_start, '2026-01-01') + 1",
    "reversal": "NOT coalesce(reversal, false)",
    "kafka_offset": "kafka_offset + 100000",
    **{name: f"coalesce({name}, '') || '\\x20'::bytea" for name in _BYTES},
}


@dataclass(frozen=True)
class Tampering:
    """What was done, the records that it was done to, and whether the hashes were computed anew to hide it."""

    kind: str
    places: tuple[Place, ...]
    hidden: bool = False

    def is_named(self, report: Report) -> bool:
        """Every record is named; of those whose hashes were computed anew the interval between two checkpoints."""
        kinds = {"truncation": ("truncated",), "hidden value": ("checkpoint_mismatch", "changed")}.get(self.kind)
        about = [item for item in report.findings if kinds is None or item.kind in kinds]
        return all(any(item.names(*place) for item in about) for place in self.places)


async def rows_of(connection: asyncpg.Connection) -> list[Row]:
    return [row async for row in journal_rows(connection)]


def _key(row: Row) -> list[Any]:
    return [getattr(row, name) for name in _KEY]


def _place(row: Row) -> Place:
    return row.topic_id, row.partition, row.kafka_offset


async def change_a_value(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """Some column of some row."""
    row, column = drawn.choice(rows), drawn.choice(COLUMNS)
    other = _OTHER.get(column, f"coalesce({column}, 0) + 1")
    status = await connection.execute(f"UPDATE journal SET {column} = {other} WHERE {_THIS}", *_key(row))
    assert status == "UPDATE 1"
    return Tampering(f"value of {column}", (_place(row),))


async def delete(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """A record, or one of its entries."""
    row = drawn.choice(rows)
    if drawn.random() < 0.5:
        await connection.execute(f"DELETE FROM journal WHERE {_PLACE}", *_place(row))
    else:
        await connection.execute(f"DELETE FROM journal WHERE {_THIS}", *_key(row))
    return Tampering("deletion", (_place(row),))


async def insert(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """A copy of some row: as one more entry, one more record at a place, or beyond one of the ends."""
    row = drawn.choice(rows)
    last = [other for other in rows if _place(other)[:2] == _place(row)[:2]][-1]
    told: dict[str, Any] = drawn.choice(
        [
            {"seq": row.seq + drawn.randrange(1, 4), "lot": "inserted"},
            {"lot": "inserted"},
            {"kafka_offset": last.kafka_offset + drawn.randrange(1, 3)},
            {"kafka_offset": -1},
            {"topic_id": 2, "partition": 7},
        ]
    )
    selected = ", ".join(
        f"${7 + list(told).index(name) + 1}::{_TYPES[name]}" if name in told else name for name in COLUMNS
    )
    query = f"INSERT INTO journal ({', '.join(COLUMNS)}) SELECT {selected} FROM journal WHERE {_THIS}"
    assert await connection.execute(query, *_key(row), *told.values()) == "INSERT 0 1"
    topic_id, partition, offset = _place(row)
    place = (told.get("topic_id", topic_id), told.get("partition", partition), told.get("kafka_offset", offset))
    return Tampering("insertion", (place,))


async def swap(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """Two records take each other's place, or one of their raw columns does."""
    one, two = drawn.sample([row for row in rows if row.seq == 0], 2)
    if drawn.random() < 0.6:
        away = (9, 0, 0)
        for here, there in ((one, away), (two, _place(one)), (away, _place(two))):
            place = here if isinstance(here, tuple) else _place(here)
            await connection.execute(
                f"UPDATE journal SET (topic_id, partition, kafka_offset) = ($4, $5, $6) WHERE {_PLACE}", *place, *there
            )
        return Tampering("swap", (_place(one), _place(two)))
    column = drawn.choice([name for name in ("value", "headers", "chain") if getattr(one, name) != getattr(two, name)])
    for row, other in ((one, two), (two, one)):
        query = f"UPDATE journal SET {column} = $8 WHERE {_THIS}"
        await connection.execute(query, *_key(row), getattr(other, column))
    return Tampering(f"swap of {column}", (_place(one), _place(two)))


async def truncate(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """The last records of a partition, and the ledger's own position set back as if they had never been."""
    of = drawn.choice(rows)
    partition = [row for row in rows if row.seq == 0 and _place(row)[:2] == _place(of)[:2]]
    left = len(partition) - drawn.randrange(1, 8)
    gone = partition[left:]
    for row in gone:
        await connection.execute(f"DELETE FROM journal WHERE {_PLACE}", *_place(row))
    last = partition[left - 1]
    await _set_position(connection, last)
    return Tampering("truncation", tuple(map(_place, gone)))


async def change_and_hide(connection: asyncpg.Connection, rows: Sequence[Row], drawn: Random) -> Tampering:
    """What a record says, with every hash from there on computed anew, and the ledger's own position too."""
    of = drawn.choice([row for row in rows if row.seq == 0 and row.value])
    assert of.value is not None
    value = of.value.replace(b'"quantity": ', b'"quantity": 1', 1)
    if drawn.random() < 0.5 or value == of.value:
        value = of.value.replace(b": ", b":  ", 1)
    head, last = CHAIN_START, of
    for row in [row for row in rows if row.seq == 0 and _place(row)[:2] == _place(of)[:2]]:
        if row.kafka_offset < of.kafka_offset:
            head = row.chain or b""
            continue
        last = replace(row, value=value) if row is of else row
        head = linked(head, at(row), last) or b""
        last = replace(last, chain=head)
        query = f"UPDATE journal SET value = $8, chain = $9 WHERE {_THIS}"
        await connection.execute(query, *_key(row), last.value, last.chain)
    await _set_position(connection, last)
    return Tampering("hidden value", (_place(of),), hidden=True)


async def _set_position(connection: asyncpg.Connection, last: Row) -> None:
    query = "UPDATE positions SET next_offset = $3, chain = $4 WHERE (topic_id, partition) = ($1, $2)"
    await connection.execute(query, last.topic_id, last.partition, last.kafka_offset + 1, last.chain)


Tamper = Callable[[asyncpg.Connection, Sequence[Row], Random], Awaitable[Tampering]]
# How many of 200 of each kind.
KINDS: Final[dict[Tamper, int]] = {
    change_a_value: 88,
    delete: 28,
    insert: 28,
    swap: 28,
    truncate: 12,
    change_and_hide: 16,
}
