"""Reads the ledger as it was known at a checkpoint and in effect on a day, by folding the journal up to a cut.

The same questions about the newest state are answered from the derived tables (`lots_now`); a test holds the two to
the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from services.supply.correction import Correction, Family, Original
from services.supply.derived import FORWARD, SIGN
from services.supply.facts import Fact
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.known_events import family, originals
from services.supply.lot import LotState, MarketLot
from services.supply.places import NAMES, PLACES, Place
from services.supply.posting import POSTINGS
from shared.events import reader

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LotKey = tuple[int, str]
T = TypeVar("T")
BUILT_AT_ONCE: Final = 1_000
FACT_TYPES: Final = frozenset(name for name, struct in reader.STRUCTS.items() if struct not in POSTINGS)


class Cut(msgspec.Struct, frozen=True):
    """Checkpoint `n`, taken at the real moment `at`: the first offset of every partition that it leaves out."""

    n: int
    at: datetime
    topic_ids: tuple[int, ...]
    partitions: tuple[int, ...]
    next_offsets: tuple[int, ...]

    @property
    def ends(self) -> list[int]:
        """By partition of the movements' topic, the first offset left out. Argument $1 of queries with ENTRIES_AT."""
        found = dict(zip(zip(self.topic_ids, self.partitions, strict=True), self.next_offsets, strict=True))
        last = max((partition for topic_id, partition in found if topic_id == MOVEMENTS_TOPIC_ID), default=-1)
        return [found.get((MOVEMENTS_TOPIC_ID, partition), 0) for partition in range(last + 1)]

    @property
    def columns(self) -> tuple[list[int], list[int], list[int]]:
        return list(self.topic_ids), list(self.partitions), list(self.next_offsets)


async def cut_now(connection: Connection) -> Cut:
    """All that this transaction sees, as the cut of no checkpoint."""
    rows = await connection.fetch("SELECT topic_id, partition, next_offset FROM positions")
    return Cut(0, datetime.now(UTC), *(tuple(row[at] for row in rows) for at in range(3)))


# Arguments $1 to $3 of every query that is asked at a cut: see Cut.columns.
CUT: Final = (
    "JOIN unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS cut (topic_id, partition, next_offset)"
    " USING (topic_id, partition)"
)
BEFORE: Final = "kafka_offset < cut.next_offset"
# The entries known at a cut, told row by row: a whole journal is read once from end to end, whatever its order.
ENTRIES_AT: Final = (
    f"topic_id = {MOVEMENTS_TOPIC_ID} AND kafka_offset < ($1::bigint[])[partition + 1] AND debit IS NOT NULL"
)
_WHOLE: Final = (
    "SET LOCAL work_mem = '128MB'; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off;"
    " SET LOCAL enable_sort = off; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;"
    " SET LOCAL min_parallel_table_scan_size = 0"
)
_AS_USUAL: Final = (
    "RESET work_mem; RESET enable_indexscan; RESET enable_bitmapscan; RESET enable_sort; RESET parallel_setup_cost;"
    " RESET parallel_tuple_cost; RESET min_parallel_table_scan_size"
)
_OF_KEYS: Final = "(gtin, lot) IN (SELECT * FROM unnest($3::bigint[], $4::text[]))"


def _net(*places: Place) -> str:
    """SQL: the packs that reached any of `places`, less those that left, up to the day $2."""
    of = ", ".join(str(place.value) for place in places)
    return (
        f"coalesce(sum(CASE WHEN credit IN ({of}) THEN packs ELSE -packs END)"
        f" FILTER (WHERE (credit IN ({of})) <> (debit IN ({of})) AND effective_on <= $2), 0)::bigint"
    )


# Counts and earliest days as they are unless an introduction or a supply was taken back (the last column says so).
_EARLIEST = """
count(*) FILTER (WHERE debit = 1) - count(*) FILTER (WHERE credit = 1),
count(*) FILTER (WHERE debit = 2) - count(*) FILTER (WHERE credit = 2),
min(effective_on) FILTER (WHERE debit <= 2), min(expires_on) FILTER (WHERE debit <= 2),
min(effective_on) FILTER (WHERE debit IN (2, 3) AND credit = 4 AND NOT reversal),
bool_or(reversal AND (credit <= 2 OR (credit = 3 AND debit = 4)))
"""
_REACHED = f"""
coalesce(sum(packs * {SIGN}) FILTER (WHERE effective_on <= $2 AND
    CASE WHEN reversal THEN debit = 4 AND credit IN (2, 3) ELSE credit = 4 AND debit IN (2, 3) END), 0)::bigint
"""
_LOTS_AT = f"""
SELECT gtin, lot, {", ".join(_net(place) for place in PLACES)}, {_EARLIEST}
FROM journal WHERE {ENTRIES_AT} AND {{which}} GROUP BY gtin, lot
"""
_MARKET_AT = f"""
SELECT gtin, lot, {_net(Place.AVAILABLE)}, {_net(Place.CONSUMED, Place.ADJUSTED)}, {_REACHED}, {_EARLIEST}
FROM journal WHERE {ENTRIES_AT} GROUP BY gtin, lot
"""
_ODD_LOTS_AT = f"""
{_LOTS_AT.format(which="TRUE")} HAVING {_net(Place.AVAILABLE)} < 0 OR {_net(Place.QUARANTINE)} < 0 OR (
    count(*) FILTER (WHERE debit = 1) > count(*) FILTER (WHERE credit = 1)
    AND count(*) FILTER (WHERE debit = 2) > count(*) FILTER (WHERE credit = 2)
)
"""
_EXPORTED_AT = f"""
SELECT gtin, lot, min(effective_on) FROM (
    SELECT gtin, lot, effective_on FROM (
        SELECT gtin, lot, effective_on, packs, {FORWARD}, {SIGN} AS sign FROM journal
        WHERE {ENTRIES_AT} AND gtin = ANY($3::bigint[]) AND effective_on <= $2
    ) forward WHERE reaches = {Place.EXPORTED.value}
    GROUP BY gtin, lot, effective_on, leaves HAVING sum(packs * sign) > 0
) standing GROUP BY gtin, lot
"""
_STANDING_AT = f"""
SELECT gtin, lot,
    coalesce(sum(times) FILTER (WHERE debit = 1), 0)::bigint, coalesce(sum(times) FILTER (WHERE debit = 2), 0)::bigint,
    min(effective_on) FILTER (WHERE debit <= 2), min(expires_on) FILTER (WHERE debit <= 2),
    min(effective_on) FILTER (WHERE credit = 4)
FROM (
    SELECT gtin, lot, leaves AS debit, reaches AS credit, effective_on, expires_on, sum(sign) AS times
    FROM (
        SELECT gtin, lot, effective_on, expires_on, packs, {FORWARD}, {SIGN} AS sign
        FROM journal WHERE {ENTRIES_AT} AND {_OF_KEYS.replace("$3", "$2").replace("$4", "$3")}
    ) forward
    WHERE leaves <= 2 OR (leaves = 3 AND reaches = 4)
    GROUP BY gtin, lot, leaves, reaches, effective_on, expires_on, packs HAVING sum(sign) > 0
) standing GROUP BY gtin, lot
"""
# The lots of which anything stands: packs that moved on a day and were not all taken back.
_MOVED_AT = f"""
SELECT DISTINCT gtin, lot FROM (
    SELECT gtin, lot FROM (
        SELECT gtin, lot, effective_on, packs * {SIGN} AS packs, {FORWARD}
        FROM journal WHERE {ENTRIES_AT} AND {_OF_KEYS.replace("$3", "$2").replace("$4", "$3")}
    ) forward GROUP BY gtin, lot, effective_on, leaves, reaches HAVING sum(packs) <> 0
) moved
"""
_SUMS_NOW = ", ".join(
    f"coalesce(sum(packs * ((credit = {place.value})::int - (debit = {place.value})::int))"
    f" FILTER (WHERE effective_on <= $1), 0)::bigint AS {name}"
    for place, name in zip(PLACES, NAMES, strict=True)
)
_LOTS_NOW = f"""
SELECT l.gtin, l.lot, {_SUMS_NOW},
    produced_count, imported_count, introduced_on, expires_on, supplied_on
FROM lots l JOIN flows USING (gtin, lot) WHERE {{which}} GROUP BY l.gtin, l.lot ORDER BY gtin, lot
"""
_REACHED_NOW = """
SELECT gtin, lot, sum(packs)::bigint FROM flows
WHERE effective_on <= $1 AND credit = 4 AND debit IN (2, 3) AND {which} GROUP BY gtin, lot
"""
_EXPORTED_NOW = """
SELECT gtin, lot, min(effective_on) FROM flows
WHERE credit = 6 AND packs > 0 AND effective_on <= $1 AND {which} GROUP BY gtin, lot
"""
Facts = Sequence[Any]
NOTHING_STANDS: Final = (0, 0, None, None, None)


async def lots_at(
    connection: Connection, cut: Cut, effective_on: date, keys: Sequence[LotKey] | None = None
) -> list[LotState]:
    """The lots (all, or those of `keys`) with their packs up to `effective_on`, as known at `cut`; by gtin, lot."""
    if keys is None:
        rows = await whole(connection, _LOTS_AT.format(which="TRUE"), cut.ends, effective_on)
    else:
        columns = ([gtin for gtin, _ in keys], [lot for _, lot in keys])
        rows = await connection.fetch(_LOTS_AT.format(which=_OF_KEYS), cut.ends, effective_on, *columns)
    return await _states(connection, cut, rows)


async def _states(connection: Connection, cut: Cut, rows: Sequence[Any]) -> list[LotState]:
    standing = await _standing(connection, cut, rows)
    states = await _built(lambda row: LotState(row[0], row[1], (0, *row[2:12]), *_facts(row, 12, standing)), rows)
    in_order = partial(sorted, states, key=lambda state: (state.gtin, state.lot))
    return in_order() if len(rows) < BUILT_AT_ONCE else await asyncio.to_thread(in_order)


async def _built(build: Callable[[Any], T], rows: Sequence[Any]) -> list[T]:
    """What the rows stand for; many of them are built beside the event loop."""
    if len(rows) < BUILT_AT_ONCE:
        return [build(row) for row in rows]
    return await asyncio.to_thread(lambda: [build(row) for row in rows])


async def lots_of_at(connection: Connection, cut: Cut, effective_on: date, gtins: Sequence[int]) -> list[LotState]:
    """The lots of these products, as `lots_at`."""
    query = _LOTS_AT.format(which="gtin = ANY($3::bigint[])")
    rows = await connection.fetch(query, cut.ends, effective_on, gtins)
    return await _states(connection, cut, rows)


async def odd_lots_at(connection: Connection, cut: Cut, effective_on: date) -> list[LotState]:
    """The lots of which more has left than came, or that were both produced here and imported, as `lots_at`."""
    rows = await whole(connection, _ODD_LOTS_AT, cut.ends, effective_on)
    return await _states(connection, cut, rows)


async def exported_at(connection: Connection, cut: Cut, effective_on: date, gtins: Sequence[int]) -> dict[LotKey, date]:
    """The first day up to `effective_on` of which an export stands, of each lot of these products."""
    rows = await connection.fetch(_EXPORTED_AT, cut.ends, effective_on, gtins)
    return {(gtin, lot): day for gtin, lot, day in rows}


async def market_lots_at(connection: Connection, cut: Cut, effective_on: date) -> list[MarketLot]:
    """What the market's figures need of all lots, up to `effective_on`, as known at `cut`: in no order."""
    rows = await whole(connection, _MARKET_AT, cut.ends, effective_on)
    standing = await _standing(connection, cut, rows)
    return await _built(lambda row: MarketLot(*row[:5], *_facts(row, 5, standing)), rows)


async def moved_at(connection: Connection, cut: Cut, keys: Sequence[LotKey]) -> set[LotKey]:
    """Those of `keys` with a net flow on any day, as known at `cut`: the same for every order of the same events."""
    columns = ([gtin for gtin, _ in keys], [lot for _, lot in keys])
    return {(row[0], row[1]) for row in await connection.fetch(_MOVED_AT, cut.ends, *columns)}


async def lots_now(connection: Connection, effective_on: date, keys: Sequence[LotKey] | None = None) -> list[LotState]:
    """All lots (or those of `keys`) with their packs up to `effective_on`, from the derived tables, as known in this
    transaction."""
    rows = await _now(connection, _LOTS_NOW, effective_on, keys)
    return await _built(lambda row: LotState(row[0], row[1], (0, *row[2:12]), *row[12:17]), rows)


async def reached_now(
    connection: Connection, effective_on: date, keys: Sequence[LotKey] | None = None
) -> dict[LotKey, int]:
    """Packs of each lot (or those of `keys`) that were released, or imported without hold, up to `effective_on`, from
    the derived tables."""
    rows = await _now(connection, _REACHED_NOW, effective_on, keys)
    return dict(await _built(lambda row: ((row[0], row[1]), row[2]), rows))


async def exported_now(
    connection: Connection, effective_on: date, keys: Sequence[LotKey] | None = None
) -> dict[LotKey, date]:
    """The first day up to `effective_on` of which an export stands, of each lot (or those of `keys`)."""
    rows = await _now(connection, _EXPORTED_NOW, effective_on, keys)
    return {(gtin, lot): day for gtin, lot, day in rows}


async def _now(connection: Connection, query: str, on: date, keys: Sequence[LotKey] | None) -> list[Any]:
    rows: list[Any]
    if keys is None:
        rows = await connection.fetch(query.format(which="TRUE"), on)
    else:
        which = _OF_KEYS.replace("$3", "$2").replace("$4", "$3")
        rows = await connection.fetch(query.format(which=which), on, [key[0] for key in keys], [key[1] for key in keys])
    return rows


async def whole(connection: Connection, query: str, *arguments: Any) -> list[Any]:
    """The rows of a query that reads the whole journal: by all cores and from end to end."""
    await connection.execute(_WHOLE)
    rows: list[Any] = await connection.fetch(query, *arguments)
    await connection.execute(_AS_USUAL)
    return rows


async def _standing(connection: Connection, cut: Cut, rows: Sequence[Any]) -> dict[LotKey, Facts]:
    """Counts and earliest days of those lots of which something was taken back, by what stands."""
    taken_back = [(row[0], row[1]) for row in rows if row[-1]]
    if not taken_back:
        return {}
    columns = ([gtin for gtin, _ in taken_back], [lot for _, lot in taken_back])
    found = {(row[0], row[1]): row[2:] for row in await connection.fetch(_STANDING_AT, cut.ends, *columns)}
    return {key: found.get(key, NOTHING_STANDS) for key in taken_back}


def _facts(row: Any, first: int, standing: Mapping[LotKey, Facts]) -> Facts:
    """Counts of introductions, and the days of introduction, expiry and first supply, of the lot in `row`."""
    return standing[row[0], row[1]] if row[-1] else row[first : first + 5]


_MARKING = f"""
SELECT c.event_key, c.target FROM corrections c {CUT} WHERE {BEFORE}
AND (c.data->'replacement'->>'type' = ANY($4::text[]) OR c.target IN (SELECT event_key FROM facts))
"""


class Said(msgspec.Struct, frozen=True):
    """A fact as it was recorded, before any correction, and the key of the event that said it."""

    event_key: bytes
    fact: Fact


async def corrected_facts(connection: Connection, cut: Cut, said: Sequence[Said]) -> list[Fact]:
    """Registry facts and marks of lots as they count at `cut`: after corrections, whatever these turned into them.

    `said` are the facts recorded before the cut.
    """
    touching = await connection.fetch(_MARKING, *cut.columns, list(FACT_TYPES))
    return await as_corrected(connection, cut, said, {key for row in touching for key in row})


async def as_corrected(connection: Connection, cut: Cut, said: Sequence[Said], starts: set[bytes]) -> list[Fact]:
    """The facts of `said`, and those that corrections put in place, as they count at `cut`.

    `starts` are events of all families of corrections that stand on one of `said`, or may put a fact in place.
    """
    if not starts:
        return [item.fact for item in said]
    by_target, roots = await families(connection, cut, starts)
    corrected = {root.key for root in roots}
    facts = [item.fact for item in said if item.event_key not in corrected]
    for root in roots:
        counts = Family(root, by_target).effective()
        if counts.data is None or type(counts.data) in POSTINGS:
            continue
        # A corrected fact keeps its own rank among facts of the same day, and its authority: corrections of it come
        # from the same sender, whose roles never change.
        facts.append(Fact(counts.data, root.time, root.source, root.id, root.by_regulator))
    return facts


_PLACES_OF = f"SELECT event_key FROM event_ids {CUT} WHERE {BEFORE} AND event_key = ANY($4::bytea[])"


async def families(
    connection: Connection, cut: Cut, starts: set[bytes]
) -> tuple[dict[bytes, list[Correction]], list[Original]]:
    """All corrections around the events `starts`, by what they correct, and the originals below them, each only if
    recorded before the cut."""
    found = await family(connection, climb_from=starts, keys=starts)
    targets = {correction.target for correction in found.values()}
    wanted = list(found.keys() | targets)
    before = {row[0] for row in await connection.fetch(_PLACES_OF, *cut.columns, wanted)}
    by_target: dict[bytes, list[Correction]] = {}
    for correction in found.values():
        if correction.key in before:
            by_target.setdefault(correction.target, []).append(correction)
    roots = await originals(connection, (targets - found.keys()) & before)
    return by_target, roots
