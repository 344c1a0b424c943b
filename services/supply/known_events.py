"""Loads what the ledger already knows of a batch's events: identities, corrections around them, their originals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg

from services.supply.correction import MAX_DEPTH, Correction, Original
from services.supply.fold import Known, corrections_in, key_text
from services.supply.record import Consumed, unpack_headers
from shared.events import reader
from shared.events.reader import EventCorrected

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
# One step more than counts, so that what lies beyond is known to lie beyond.
MAX_STEPS: Final = MAX_DEPTH + 1

# Keys come in one piece: a driver takes longer to write an array of them than the database to cut it up. They are
# looked for by a join, so that each is looked for in its own part of a table alone.
_ASKED = (
    "(SELECT substring($1::bytea FROM at FOR 16) AS key FROM generate_series(1, length($1::bytea), 16) AS at) asked"
)
_SEEN = f"SELECT event_key, content FROM {_ASKED} JOIN event_ids ON event_key = asked.key"
_CORRECTION = f"SELECT event_key, target, source, id, time, data::text FROM {_ASKED} JOIN corrections"
_BY_KEY = f"{_CORRECTION} ON event_key = asked.key"
_BY_TARGET = f"{_CORRECTION} ON target = asked.key"
_ORIGINALS = f"""
SELECT e.event_key, j.record_key, j.headers, j.value
FROM {_ASKED} JOIN event_ids e ON e.event_key = asked.key JOIN journal j USING (topic_id, partition, kafka_offset)
WHERE j.seq = 0
"""


async def load(connection: Connection, records: Sequence[Consumed]) -> Known:
    """Everything that `fold` may ask about these records."""
    keys = [record.event_key for record in records if record.event_key is not None]
    seen = {row[0]: row[1] for row in await connection.fetch(_SEEN, b"".join(keys))}
    here = corrections_in(records)
    targets = {found.target for found in here}
    corrections = await family(connection, climb_from=targets, keys={*keys, *targets})
    roots = {found.target for found in (*corrections.values(), *here)} - corrections.keys()
    return Known(seen, await originals(connection, roots), corrections.values())


async def family(connection: Connection, climb_from: set[bytes], keys: set[bytes]) -> dict[bytes, Correction]:
    """The recorded corrections by key, in bounded steps: those among `climb_from` and what they stand on, down to
    the root, and then all that stand on these or on `keys`."""
    found: dict[bytes, Correction] = {}
    below = climb_from
    for _ in range(MAX_STEPS):
        fresh = await _corrections(connection, _BY_KEY, below, found)
        if not fresh:
            break
        below = {correction.target for correction in fresh}
    above = {*keys, *found, *(correction.target for correction in found.values())}
    for _ in range(MAX_STEPS):
        fresh = await _corrections(connection, _BY_TARGET, above, found)
        if not fresh:
            break
        above = {correction.key for correction in fresh}
    return found


async def _corrections(
    connection: Connection, query: str, keys: set[bytes], found: dict[bytes, Correction]
) -> list[Correction]:
    """The corrections that `query` finds and `found` has not; they are added to it."""
    if not keys:
        return []
    rows = await connection.fetch(query, b"".join(keys))
    fresh = [correction_of(row) for row in rows if row[0] not in found]
    found.update((correction.key, correction) for correction in fresh)
    return fresh


def correction_of(row: Any) -> Correction:
    """The correction in a row (event_key, target, source, id, time, data as text)."""
    key, target, source, id_, time, text = (row[at] for at in range(6))
    data = reader.read_data("supply.event.corrected.v1", str(text).encode())
    assert isinstance(data, EventCorrected)
    return Correction(key, target, source, id_, time, data.corrects.type, data.key, data.replacement)


async def originals(connection: Connection, keys: Iterable[bytes]) -> list[Original]:
    """The recorded events with these keys, from the journal's raw bytes; corrections among them are left out."""
    wanted = b"".join(keys)
    if not wanted:
        return []
    found = []
    for key, record_key, headers, value in await connection.fetch(_ORIGINALS, wanted):
        event = reader.read(unpack_headers(headers), value)
        if not isinstance(event.data, EventCorrected):
            said = (event.data, event.time, event.source, event.id, event.by_regulator)
            found.append(Original(key, event.type, key_text(record_key), *said))
    return found
