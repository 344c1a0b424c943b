"""Names the tables that the journal determines, and the folds by which they are made anew from it. Pure.

`flows` and `lots` are folded from the journal's entries by PostgreSQL; `event_ids`, `corrections` and `facts` are read
from the raw bytes of its records (`said_again`). Both ways are apart from how the consumer keeps the tables up to date.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.supply.places import NAMES, PLACES
from services.supply.posting import POSTINGS
from services.supply.record import read, unpack_headers
from shared.events import reader
from shared.events.reader import EventCorrected

Row = tuple[Any, ...]


class Derived(msgspec.Struct, frozen=True):
    """A derived table: the columns of its key, and the rest, of which at least one is never null."""

    name: str
    key: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *self.rest)


_PLACE: Final = ("topic_id", "partition", "kafka_offset")
_SAID: Final = ("source", "id", "time", *_PLACE, "data")
FLOWS: Final = Derived("flows", ("gtin", "lot", "effective_on", "debit", "credit"), ("packs",))
LOTS: Final = Derived(
    "lots",
    ("gtin", "lot"),
    (*NAMES, "produced_count", "imported_count", "introduced_on", "expires_on", "supplied_on"),
)
EVENT_IDS: Final = Derived("event_ids", ("event_key",), ("content", *_PLACE))
CORRECTIONS: Final = Derived("corrections", ("event_key",), ("target", *_SAID))
FACTS: Final = Derived("facts", ("event_key",), ("type", "key", *_SAID, "by_regulator"))
BY_LOT: Final = (FLOWS, LOTS)
BY_EVENT: Final = (EVENT_IDS, CORRECTIONS, FACTS)
DERIVED: Final = (*BY_LOT, *BY_EVENT)

# A reversal stands in the journal with its ends swapped, and counts backwards.
FORWARD: Final = (
    "CASE WHEN reversal THEN credit ELSE debit END AS leaves, CASE WHEN reversal THEN debit ELSE credit END AS reaches"
)
SIGN: Final = "CASE WHEN reversal THEN -1 ELSE 1 END"


def flows_fold(where: str = "") -> str:
    """The rows of `flows`, from the journal's entries; `where` (beginning with AND) restricts them."""
    return (
        f"SELECT gtin, lot, effective_on, leaves AS debit, reaches AS credit, sum(packs)::bigint AS packs FROM ("
        f" SELECT gtin, lot, effective_on, {FORWARD}, packs * {SIGN} AS packs"
        f" FROM journal WHERE debit IS NOT NULL {where}) forward GROUP BY gtin, lot, effective_on, leaves, reaches"
    )


def lots_fold(flows: str, where: str = "") -> str:
    """The rows of `lots`: packs a place from the folded `flows`, the rest from the entries that nothing reversed."""
    sums = ", ".join(
        f"sum(packs * ((credit = {place.value})::int - (debit = {place.value})::int))::bigint AS {name}"
        for place, name in zip(PLACES, NAMES, strict=True)
    )
    return f"""
    WITH balances AS (SELECT gtin, lot, {sums} FROM {flows} WHERE true {where} GROUP BY gtin, lot), standing AS (
        SELECT gtin, lot, leaves, reaches, effective_on, expires_on, sum(sign) AS times FROM (
            SELECT gtin, lot, effective_on, expires_on, packs, {FORWARD}, {SIGN} AS sign
            FROM journal WHERE (debit <= 3 OR credit <= 3) {where}
        ) forward WHERE leaves <= 2 OR (leaves = 3 AND reaches = 4)
        GROUP BY gtin, lot, leaves, reaches, effective_on, expires_on, packs HAVING sum(sign) > 0
    ), facts AS (
        SELECT gtin, lot,
            coalesce(sum(times) FILTER (WHERE leaves = 1), 0)::bigint AS produced_count,
            coalesce(sum(times) FILTER (WHERE leaves = 2), 0)::bigint AS imported_count,
            min(effective_on) FILTER (WHERE leaves <= 2) AS introduced_on,
            min(expires_on) FILTER (WHERE leaves <= 2) AS expires_on,
            min(effective_on) FILTER (WHERE reaches = 4) AS supplied_on
        FROM standing GROUP BY gtin, lot
    )
    SELECT balances.*, coalesce(produced_count, 0) AS produced_count, coalesce(imported_count, 0) AS imported_count,
        introduced_on, expires_on, supplied_on
    FROM balances LEFT JOIN facts USING (gtin, lot)
    """


class SaidAgain(msgspec.Struct, frozen=True):
    """The rows of BY_EVENT that one recorded event has: its identity, and itself as a correction or as a fact."""

    identity: Row
    correction: Row | None
    fact: Row | None


def said_again(place: Row, record_key: bytes | None, headers: bytes, value: bytes | None) -> SaidAgain:
    """What a recorded record says, read again from its raw bytes; `place` is topic id, partition and offset.

    Raises reader.Unreadable for bytes that cannot be those of a recorded event.
    """
    try:
        named = unpack_headers(headers)
    except struct.error:
        raise reader.Unreadable("the headers are cut off") from None
    event = read(record_key, named, value)
    key = reader.event_key(event.source, event.id)
    identity = (key, reader.content_hash(event), *place)
    if type(event.data) in POSTINGS:
        return SaidAgain(identity, None, None)
    told = (event.source, event.id, event.time, *place, msgspec.json.encode(event.data).decode())
    if isinstance(event.data, EventCorrected):
        about = event.data.corrects
        return SaidAgain(identity, (key, reader.event_key(about.source, about.id), *told), None)
    topic_key = (record_key or b"").decode()
    return SaidAgain(identity, None, (key, event.type, topic_key, *told, event.by_regulator))


def differing(table: Derived) -> str:
    """The rows in which `table` and `<table>_rebuilt` differ: the key, the kept row and the folded one as JSON."""
    kept, folded = (", ".join(f"{side}.{column}" for column in table.rest) for side in ("kept", "folded"))
    return (
        f"SELECT {', '.join(table.key)}, to_jsonb(kept) AS kept, to_jsonb(folded) AS folded"
        f" FROM {table.name} kept FULL JOIN {table.name}_rebuilt folded USING ({', '.join(table.key)})"
        f" WHERE ROW({kept}) IS DISTINCT FROM ROW({folded})"
    )


def rebuilt_empty(tables: Sequence[Derived]) -> list[str]:
    """DDL of an empty `<table>_rebuilt` for each."""
    return [f"CREATE TEMP TABLE {table.name}_rebuilt (LIKE {table.name} INCLUDING DEFAULTS)" for table in tables]
