"""Reads who said what: the words that only a lot's parties may say, and the days on which each producer spoke."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg

from services.supply.asof import BEFORE, CUT, ENTRIES_AT, Cut, LotKey, families, whole
from services.supply.correction import Family
from services.supply.cross_checks import Word
from services.supply.fold import Verdict
from services.supply.record import named_in, unpack_headers
from services.supply.rhythm import LastWord, Place, Rhythms
from services.supply.trades import ALL_ENTRIES, FRESH, OF_SOME, Fresh
from shared.events.reader import AUTHORITY, REGULATOR

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

# A header as services.supply.record packs it: the length of its name, the name, the length of its value, the value.
# Neither names nor values hold a NUL, so nothing else can look like it.
_SOURCE: Final = "substring(headers FROM position('\\x00000009'::bytea || 'ce_source'::bytea IN headers) + 17 FOR 21)"
_BY_REGULATOR: Final = (
    f"position('\\x{len(AUTHORITY):08x}'::bytea || '{AUTHORITY}'::bytea"
    f" || '\\x{len(REGULATOR):08x}'::bytea || '{REGULATOR.decode()}'::bytea IN headers) > 0"
)
# Releases, rejections, exports and destructions as they were first said: not what distributors may say of any lot.
_WORDS: Final = "seq = 0 AND cause IS NULL AND NOT reversal AND debit IN (3, 4, 5) AND credit IN (4, 5, 6, 8)"
_SPOKEN = f"""
SELECT gtin, lot, {_SOURCE}, bool_or({_BY_REGULATOR}) FROM {{entries}} WHERE {_WORDS} GROUP BY gtin, lot, 3
"""
_OF_LOTS = f"""
SELECT gtin, lot, effective_on, event_key, headers FROM journal
WHERE {ENTRIES_AT} AND {_WORDS} AND {_SOURCE} = $4::bytea
AND (gtin, lot) IN (SELECT * FROM unnest($2::bigint[], $3::text[]))
"""
_DAYS = f"""
SELECT {_SOURCE}, (said_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date,
    max(ARRAY[(extract(epoch FROM said_at) * 1000000)::bigint, topic_id, partition, kafka_offset])
FROM journal {CUT} WHERE {BEFORE} AND seq = 0 AND verdict = {int(Verdict.RECORDED)} AND {{since}} GROUP BY 1, 2
"""
_NAMED = """
SELECT topic_id, partition, kafka_offset, headers FROM journal
JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS wanted (topic_id, partition, kafka_offset)
USING (topic_id, partition, kafka_offset) WHERE seq = 0
"""

Speakers = dict[LotKey, set[str]]


async def speakers_at(connection: Connection, cut: Cut, gtins: Sequence[int] | None = None) -> Speakers:
    """By lot, the sources of the words that only its parties may say, but for a regulator's."""
    if not cut.next_offsets:
        return {}
    if gtins is None:
        return _speakers(await whole(connection, _SPOKEN.replace("{entries}", ALL_ENTRIES), cut.ends))
    return _speakers(await connection.fetch(_SPOKEN.replace("{entries}", OF_SOME), cut.ends, list(gtins)))


async def speakers_since(connection: Connection, fresh: Fresh, gtins: Sequence[int]) -> Speakers:
    """The same, of what was recorded since an earlier cut."""
    return _speakers(await connection.fetch(_SPOKEN.replace("{entries}", FRESH), *fresh, list(gtins)))


def _speakers(rows: Sequence[Any]) -> Speakers:
    found: Speakers = defaultdict(set)
    for gtin, lot, source, by_regulator in rows:
        if not by_regulator:
            found[gtin, lot].add(source.decode("utf-8", "replace"))
    return found


async def words_of(connection: Connection, cut: Cut, said: dict[str, list[LotKey]]) -> dict[LotKey, list[Word]]:
    """The words of these sources about these lots that count after corrections."""
    found: dict[LotKey, list[Word]] = defaultdict(list)
    for source, lots in sorted(said.items()):
        columns = ([gtin for gtin, _ in lots], [lot for _, lot in lots])
        rows = await connection.fetch(_OF_LOTS, cut.ends, *columns, source.encode())
        gone = await _corrected_away(connection, cut, {row[3] for row in rows})
        for gtin, lot, on, key, headers in rows:
            named = named_in(unpack_headers(headers))
            if key not in gone and named is not None:
                found[gtin, lot].append(Word(lot, on, named))
    return found


async def _corrected_away(connection: Connection, cut: Cut, keys: set[bytes]) -> set[bytes]:
    """Those of these events that count as nothing."""
    if not keys:
        return set()
    by_target, roots = await families(connection, cut, keys)
    return {root.key for root in roots if Family(root, by_target).effective().data is None}


async def listen(connection: Connection, cut: Cut, since: Cut, rhythms: Rhythms) -> None:
    """Takes in on which days each producer spoke, by what was recorded after `since` and before `cut`."""
    if not cut.next_offsets:
        return
    had = dict(zip(zip(since.topic_ids, since.partitions, strict=True), since.next_offsets, strict=True))
    firsts = [had.get(place, 0) for place in zip(cut.topic_ids, cut.partitions, strict=True)]
    if any(firsts):
        query = _DAYS.replace(CUT, _SINCE).format(since="kafka_offset >= cut.first_offset")
        rows = await connection.fetch(query, *cut.columns, firsts)
    else:
        rows = await whole(connection, _DAYS.format(since="TRUE"), *cut.columns)
    rhythms.take(
        (source.decode("utf-8", "replace"), day, LastWord(last[0], (last[1], last[2], last[3])))
        for source, day, last in rows
        if day is not None
    )


_SINCE: Final = (
    "JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bigint[])"
    " AS cut (topic_id, partition, next_offset, first_offset) USING (topic_id, partition)"
)


async def named_at(connection: Connection, places: Collection[Place]) -> dict[Place, tuple[str, str]]:
    """Source and id of the records at these places."""
    if not places:
        return {}
    columns = [list(column) for column in zip(*places, strict=True)]
    rows = await connection.fetch(_NAMED, *columns)
    named = ((tuple(row[:3]), named_in(unpack_headers(row[3]))) for row in rows)
    return {place: said for place, said in named if said is not None}
