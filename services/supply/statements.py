"""Answers for one lot and one event: the lot's statement, and what became of an event. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.anomalies import Anomaly
from services.supply.asof import BEFORE, CUT, Cut
from services.supply.balances import Balance, balance_item
from services.supply.claims import TOPIC_OF
from services.supply.correction import Effective, Original
from services.supply.fold import Known, Verdict
from services.supply.known_events import family, originals
from services.supply.lot import gtin_text
from services.supply.odd import ODD_COLUMNS, earliest, odd_correction, odd_record
from services.supply.places import NAME_OF
from services.supply.record import unpack_headers
from services.supply.registry import Registry
from shared.events.reader import event_key

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
MAX_ODD_RECORDS: Final = 1_000  # of one event

ENTRY = (
    "j.debit, j.credit, j.packs, j.effective_on, j.reversal, j.topic_id, j.partition, j.kafka_offset, j.seq,"
    " j.recorded_at, j.cause, j.gtin, j.lot"
)
_STATEMENT = f"""
SELECT {ENTRY} FROM journal j {CUT} WHERE {BEFORE} AND gtin = $4 AND lot = $5
AND debit IS NOT NULL AND effective_on <= $6
AND (recorded_at, topic_id, partition, kafka_offset, seq) > ($7, $8, $9, $10, $11)
ORDER BY recorded_at, topic_id, partition, kafka_offset, seq LIMIT $12
"""
_OF_EVENT = f"""
SELECT {ENTRY} FROM journal j {CUT} WHERE {BEFORE} AND debit IS NOT NULL
AND ((topic_id = $4 AND partition = $5 AND kafka_offset = $6 AND cause IS NULL) OR cause = $7)
ORDER BY recorded_at, topic_id, partition, kafka_offset, seq
"""
# Which event an entry belongs to: the correction that caused it, else the event of its own record.
_SAID_BY_PLACE = """
SELECT j.topic_id, j.partition, j.kafka_offset, j.headers FROM journal j
JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS wanted (topic_id, partition, kafka_offset)
USING (topic_id, partition, kafka_offset) WHERE j.seq = 0
"""
_SAID_BY_KEY = """
SELECT e.event_key, j.headers FROM event_ids e JOIN journal j USING (topic_id, partition, kafka_offset)
WHERE e.event_key = ANY($1::bytea[]) AND j.seq = 0
"""
_RECORD = f"""
SELECT topic_id, partition, kafka_offset, j.recorded_at, j.headers
FROM event_ids e JOIN journal j USING (topic_id, partition, kafka_offset) {CUT}
WHERE e.event_key = $4 AND {BEFORE} AND j.seq = 0
"""
# Conflicting and unreadable records that claim to be the event.
_ODD = f"""
SELECT {ODD_COLUMNS} FROM journal {CUT}
WHERE {BEFORE} AND verdict >= {int(Verdict.CONFLICT)} AND event_key = $4
ORDER BY recorded_at, topic_id, partition, kafka_offset LIMIT {MAX_ODD_RECORDS}
"""
_UNREADABLE = f"""
SELECT topic_id, partition, kafka_offset, recorded_at, headers FROM journal {CUT}
WHERE {BEFORE} AND verdict = {int(Verdict.UNREADABLE)} AND event_key = $4 ORDER BY recorded_at LIMIT 1
"""
Place = tuple[datetime, int, int, int, int]


class Said(msgspec.Struct, frozen=True):
    """Who said an event, as headers tell."""

    source: str
    id: str
    type: str
    time: str

    def ref(self) -> dict[str, str]:
        return {"source": self.source, "id": self.id, "type": self.type}


def said(headers: bytes) -> Said:
    named = dict(unpack_headers(headers))
    return Said(*(named.get(f"ce_{name}", b"").decode("utf-8", "replace") for name in ("source", "id", "type", "time")))


async def lot_statement(
    connection: Connection, cut: Cut, item: Balance, on: date, after: Place, limit: int
) -> tuple[dict[str, Any], Place | None]:
    """The body of GET /lots/{gtin}/{lot}, and the place after which the next page begins (None: this is the last)."""
    lot = item.lot
    rows = await connection.fetch(_STATEMENT, *cut.columns, lot.gtin, lot.lot, on, *after, limit + 1)
    shown = rows[:limit]
    body = {
        **balance_item(item, on),
        "expires_on": _day(lot.expires_on),
        "recalled_on": _day(item.recalled_on),
        "supplied_on": _day(lot.supplied_on),
        "introduced_on": _day(lot.introduced_on),
        "transfers": await with_events(connection, shown),
    }
    last = shown[-1] if len(rows) > limit else None
    return body, None if last is None else (last[9], last[5], last[6], last[7], last[8])


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


async def with_events(connection: Connection, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Entries as the API shows them, each with the event that brought it."""
    own = {tuple(row[5:8]) for row in rows if row[10] is None}
    by_place = {}
    if own:
        columns = [list(column) for column in zip(*own, strict=True)]
        by_place = {tuple(row[:3]): said(row[3]) for row in await connection.fetch(_SAID_BY_PLACE, *columns)}
    causes = list({row[10] for row in rows if row[10] is not None})
    by_key = {row[0]: said(row[1]) for row in await connection.fetch(_SAID_BY_KEY, causes)} if causes else {}
    return [_transfer(row, by_place[tuple(row[5:8])] if row[10] is None else by_key[row[10]]) for row in rows]


def _transfer(row: Any, event: Said) -> dict[str, Any]:
    return {
        "gtin": gtin_text(row[11]),
        "lot": row[12] or None,
        "debit": NAME_OF[row[0]],
        "credit": NAME_OF[row[1]],
        "quantity": row[2],
        "effective_on": row[3].isoformat(),
        "reversal": row[4],
        "event": event.ref(),
        **place_json(row[5], row[6], row[7], row[9]),
    }


def place_json(topic_id: int, partition: int, offset: int, recorded_at: datetime) -> dict[str, Any]:
    """Where a record lies, and since when."""
    about = {"topic": TOPIC_OF[topic_id], "partition": partition, "offset": offset}
    return {**about, "recorded_at": recorded_at.isoformat()}


async def event_answer(
    connection: Connection, cut: Cut, source: str, id_: str, registry: Registry
) -> dict[str, Any] | None:
    """The body of GET /events/{source}/{id}; None if no record claims to be this event."""
    key = event_key(source, id_)
    readable = await connection.fetchrow(_RECORD, *cut.columns, key)
    record = readable or await connection.fetchrow(_UNREADABLE, *cut.columns, key)
    if record is None:
        return None
    topic_id, partition, offset, recorded_at, headers = record
    event = said(headers)
    rows = await connection.fetch(_OF_EVENT, *cut.columns, topic_id, partition, offset, key)
    state, corrected_by, doubt = await _standing(connection, cut, key, registry)
    rows_of_odd = await connection.fetch(_ODD, *cut.columns, key)
    odd = [odd_record(row) for row in rows_of_odd]
    anomalies = earliest(odd if doubt is None else [*odd, doubt])
    refused = [row for row in rows_of_odd if row[0] == Verdict.CONFLICT]
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": event.time,
        "state": "unreadable" if readable is None else state,
        **place_json(topic_id, partition, offset, recorded_at),
        "transfers": await with_events(connection, rows),
        "corrected_by": corrected_by,
        "refused": [place_json(*row[1:5]) for row in refused],
        "anomalies": [anomaly.as_json() for anomaly in anomalies.values()],
    }


_BEFORE = f"SELECT event_key FROM event_ids {CUT} WHERE {BEFORE} AND event_key = ANY($4::bytea[])"


async def _standing(
    connection: Connection, cut: Cut, key: bytes, registry: Registry
) -> tuple[str, list[dict[str, str]], Anomaly | None]:
    """What the event counts as, the corrections of it, and what is odd about it where it is itself a correction."""
    around = await family(connection, climb_from={key}, keys={key})
    wanted = around.keys() | {correction.target for correction in around.values()} | {key}
    before = {row[0] for row in await connection.fetch(_BEFORE, *cut.columns, list(wanted))}
    corrections = [correction for correction in around.values() if correction.key in before]
    roots = ({correction.target for correction in corrections} | {key}) - around.keys()
    known = Known({}, await originals(connection, roots & before), corrections)
    by = [{"source": item.source, "id": item.id} for item in sorted(known.by_target.get(key, ()), key=lambda c: c.rank)]
    correction, original = known.corrections.get(key), known.originals.get(key)
    if correction is not None:
        state = known.state_of(correction)
        return state, by, odd_correction(correction, state)
    nothing = original is not None and _counts_as_nothing(original, known.counts_as(original), registry)
    return "no_effect" if nothing else "recorded", by, None


def _counts_as_nothing(original: Original, counts: Effective, registry: Registry) -> bool:
    """Undone by a correction, or said of an agreement or interruption by somebody who is no party to it."""
    return counts.data is None or (original.source, original.id) in registry.strangers
