"""Reads what products did on the market (services.supply.trade), as known at a cut, from the journal.

Of some products by their keys, of all of them by reading the journal once from end to end for each kind of row.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.supply.asof import BEFORE, CUT, ENTRIES_AT, Cut, families, whole
from services.supply.correction import Family, Original
from services.supply.derived import SIGN
from services.supply.fold import MOVEMENTS_TOPIC_ID, key_text
from services.supply.indicators import Need
from services.supply.lot import gtin_text
from services.supply.places import Place
from services.supply.record import unpack_headers
from services.supply.trade import Change, Introduction, Report, Shipment, Trade, ordered
from shared.events import reader
from shared.events.reader import BatchProduced, ExportShipped, ImportReceived

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
ALL: Final[frozenset[Need]] = frozenset({"trade", "introductions", "shipments"})


def _net(place: Place) -> str:
    return f"coalesce(sum(packs * ((credit = {place.value})::int - (debit = {place.value})::int)), 0)::bigint"


# Where the entries are read from, in the place of {entries}: all that a cut knows, those of some products, or those of
# some products that were recorded since an earlier cut.
ALL_ENTRIES: Final = f"(SELECT * FROM journal WHERE {ENTRIES_AT}) entries"
OF_SOME: Final = f"(SELECT * FROM journal WHERE {ENTRIES_AT} AND gtin = ANY($2::bigint[])) entries"
FRESH: Final = f"""(
    SELECT journal.* FROM journal JOIN unnest($1::smallint[], $2::bigint[], $3::bigint[])
    AS fresh (partition, first, next_offset) USING (partition)
    WHERE topic_id = {MOVEMENTS_TOPIC_ID} AND kafka_offset >= first AND kafka_offset < next_offset
    AND debit IS NOT NULL AND gtin = ANY($4::bigint[])
) entries"""
# Both ends of a reversal are swapped: a transfer to `consumed` that was taken back comes from there.
_REPORTS = f"""
SELECT gtin, period_start, effective_on, sum(packs * {SIGN})::bigint FROM {{entries}} WHERE period_start IS NOT NULL
GROUP BY gtin, period_start, effective_on HAVING sum({SIGN}) > 0
"""
_USED = f"""
SELECT gtin, lot, effective_on, {_net(Place.CONSUMED)} FROM {{entries}}
WHERE {Place.CONSUMED.value} IN (debit, credit) GROUP BY gtin, lot, effective_on HAVING {_net(Place.CONSUMED)} <> 0
"""
_DAYS = f"""
SELECT gtin, effective_on, {_net(Place.AVAILABLE)} FROM {{entries}}
GROUP BY gtin, effective_on HAVING sum({SIGN}) > 0
"""
# Records that say how packs came into being, or left the country, as they were first said.
_SAID = """
SELECT event_key, record_key, headers, value FROM {entries}
WHERE seq = 0 AND cause IS NULL AND NOT reversal AND {kind}
"""
_INTRODUCED: Final = "debit <= 2"
_SHIPPED: Final = f"credit = {Place.EXPORTED.value}"
_TYPES: Final = ("supply.batch.produced.v1", "supply.import.received.v1", "supply.export.shipped.v1")
_CORRECTIONS = f"""
SELECT event_key, target FROM corrections {CUT}
WHERE {BEFORE} AND topic_id = {MOVEMENTS_TOPIC_ID} AND ($4::text[] IS NULL OR data->>'key' = ANY($4::text[]))
AND (data->'corrects'->>'type' = ANY($5::text[]) OR data->'replacement'->>'type' = ANY($5::text[])
    OR data->'replacement'->>'type' = 'supply.event.corrected.v1')
"""


class Fresh(NamedTuple):
    """What was recorded of some products since an earlier cut: by partition the first offset, and the one after the
    last."""

    partitions: list[int]
    firsts: list[int]
    nexts: list[int]


async def trades_at(
    connection: Connection, cut: Cut, needs: Collection[Need], gtins: Sequence[int] | None = None
) -> dict[int, Trade]:
    """By GTIN, as far as is needed; `gtins` None: of all products."""
    if not cut.next_offsets:
        return {}

    async def rows(query: str) -> list[Any]:
        if gtins is None:
            return await whole(connection, query.replace("{entries}", ALL_ENTRIES), cut.ends)
        found: list[Any] = await connection.fetch(query.replace("{entries}", OF_SOME), cut.ends, list(gtins))
        return found

    found = await _trades(rows, needs)
    kinds = [kind for need, kind in _KINDS.items() if need in needs]
    if kinds:
        said = await _said(rows, kinds)
        await _correct(connection, cut, gtins, said, others=True)
        await asyncio.to_thread(_take_said, found, said.values(), None if gtins is None else frozenset(gtins))
    return dict(found)


async def trades_since(connection: Connection, cut: Cut, fresh: Fresh, gtins: Sequence[int]) -> dict[int, Trade]:
    """By GTIN, what was recorded of products of which nothing was corrected meanwhile."""

    async def rows(query: str) -> list[Any]:
        found: list[Any] = await connection.fetch(query.replace("{entries}", FRESH), *fresh, list(gtins))
        return found

    found = await _trades(rows, ALL)
    said = await _said(rows, list(_KINDS.values()))
    await _correct(connection, cut, gtins, said, others=False)
    await asyncio.to_thread(_take_said, found, said.values(), frozenset(gtins))
    return dict(found)


_KINDS: Final[Mapping[Need, str]] = {"introductions": _INTRODUCED, "shipments": _SHIPPED}
Rows = Callable[[str], Awaitable[list[Any]]]


async def _trades(rows: Rows, needs: Collection[Need]) -> defaultdict[int, Trade]:
    found: defaultdict[int, Trade] = defaultdict(Trade)
    if "trade" in needs:
        reports, used, days = [await rows(query) for query in (_REPORTS, _USED, _DAYS)]
        await asyncio.to_thread(_take_trade, found, reports, used, days)
    return found


def _take_trade(found: dict[int, Trade], reports: list[Any], used: list[Any], days: list[Any]) -> None:
    by_gtin: dict[int, list[Report]] = defaultdict(list)
    for gtin, start, end, packs in reports:
        by_gtin[gtin].append(Report(start, end, packs))
    for gtin, told in by_gtin.items():
        found[gtin].reports = sorted(told)
    by_lot: dict[tuple[int, str], list[Change]] = defaultdict(list)
    for gtin, lot, on, packs in used:
        by_lot[gtin, lot].append(Change(on, packs))
    uses: dict[int, dict[str, list[Change]]] = defaultdict(dict)
    for (gtin, lot), changes in by_lot.items():
        uses[gtin][lot] = sorted(changes)
    for gtin, by_name in uses.items():
        found[gtin].used = by_name
    by_day: dict[int, list[Change]] = defaultdict(list)
    for gtin, on, packs in days:
        by_day[gtin].append(Change(on, packs))
    for gtin, changes in by_day.items():
        changes.sort()
        found[gtin].moved = [change.on for change in changes]
        found[gtin].stock = [change for change in changes if change.packs]


async def _said(rows: Rows, kinds: Sequence[str]) -> dict[bytes, Original]:
    """By key, the originals of these kinds as they were first said."""
    found = await rows(_SAID.replace("{kind}", f"({' OR '.join(kinds)})"))
    return {item.key: item for item in await asyncio.to_thread(_originals, found)}


async def _correct(
    connection: Connection, cut: Cut, gtins: Sequence[int] | None, said: dict[bytes, Original], *, others: bool
) -> None:
    """Lets corrections have their word about what was `said`; with `others` also about what they have made of events
    that were something else at first."""
    keys = None if gtins is None else [gtin_text(gtin) for gtin in gtins]
    touching = await connection.fetch(_CORRECTIONS, *cut.columns, keys, list(_TYPES))
    if not touching:
        return
    starts = {row[0] for row in touching} | {row[1] for row in touching}
    by_target, roots = await families(connection, cut, starts)
    for root in roots:
        if not others and root.key not in said:
            continue
        data = Family(root, by_target).effective().data
        said.pop(root.key, None)
        if isinstance(data, BatchProduced | ImportReceived | ExportShipped):
            about = (root.time, root.source, root.id, root.by_regulator)
            said[root.key] = Original(root.key, root.type, root.topic_key, data, *about)


def _originals(rows: Sequence[Any]) -> list[Original]:
    found = []
    for key, record_key, headers, value in rows:
        event = reader.read(unpack_headers(headers), value)
        about = (event.data, event.time, event.source, event.id, event.by_regulator)
        found.append(Original(key, event.type, key_text(record_key), *about))
    return found


def _take_said(found: dict[int, Trade], said: Iterable[Original], gtins: frozenset[int] | None) -> None:
    introduced: dict[int, list[Introduction]] = defaultdict(list)
    shipped: dict[int, list[Shipment]] = defaultdict(list)
    for item in said:
        data: Any = item.data
        if isinstance(data, ExportShipped):
            shipped[int(data.gtin)].append(_shipment(data, item))
        else:
            introduced[int(data.gtin)].append(_introduction(data, item))
    for gtin, introductions in introduced.items():
        if gtins is None or gtin in gtins:
            found[gtin].introductions = sorted(introductions, key=ordered)
    for gtin, shipments in shipped.items():
        if gtins is None or gtin in gtins:
            found[gtin].shipments = sorted(shipments, key=ordered)


def _shipment(data: ExportShipped, said: Original) -> Shipment:
    by = (said.source, said.id)
    return Shipment(data.lot, data.shipped_on, data.quantity, data.destination, data.value, by, said.by_regulator)


def _introduction(data: BatchProduced | ImportReceived, said: Original) -> Introduction:
    by = ((said.source, said.id), said.by_regulator)
    if isinstance(data, BatchProduced):
        made = (data.produced_on, data.expires_on, data.manufacturer, data.site, None, data.authorisation)
        return Introduction(data.lot, "produced", *made, "registered", *by)
    came = (data.received_on, data.expires_on, data.importer, None, data.country_of_origin, data.authorisation)
    return Introduction(data.lot, "imported", *came, data.basis, *by)
