"""Reads what products did on the market (services.supply.trade), as known at a cut, from the journal.

Of some products by their keys, of all of them by reading the journal once from end to end for each kind of row.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final

import asyncpg

from services.supply.asof import BEFORE, CUT, ENTRIES_AT, Cut, families, whole
from services.supply.correction import Family, Original
from services.supply.derived import SIGN
from services.supply.fold import MOVEMENTS_TOPIC_ID, key_text
from services.supply.indicators import Need
from services.supply.lot import gtin_text
from services.supply.places import Place
from services.supply.record import unpack_headers
from services.supply.trade import Change, Introduction, Report, Shipment, Trade
from shared.events import reader
from shared.events.reader import BatchProduced, ExportShipped, ImportReceived

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
ALL: Final[frozenset[Need]] = frozenset({"trade", "introductions", "shipments"})
ROWS_A_PART: Final = 5_000


def _net(place: Place) -> str:
    return f"coalesce(sum(packs * ((credit = {place.value})::int - (debit = {place.value})::int)), 0)::bigint"


_OF_ALL: Final = "$2::bigint[] IS NULL"
_OF_SOME: Final = "gtin = ANY($2::bigint[])"
# Both ends of a reversal are swapped: a transfer to `consumed` that was taken back comes from there.
_REPORTS = f"""
SELECT gtin, period_start, effective_on, sum(packs * {SIGN})::bigint FROM journal
WHERE {ENTRIES_AT} AND {{which}} AND period_start IS NOT NULL
GROUP BY gtin, period_start, effective_on HAVING sum({SIGN}) > 0
"""
_USED = f"""
SELECT gtin, lot, effective_on, {_net(Place.CONSUMED)} FROM journal
WHERE {ENTRIES_AT} AND {{which}} AND {Place.CONSUMED.value} IN (debit, credit)
GROUP BY gtin, lot, effective_on
"""
_DAYS = f"""
SELECT gtin, effective_on, {_net(Place.AVAILABLE)} FROM journal
WHERE {ENTRIES_AT} AND {{which}} GROUP BY gtin, effective_on HAVING sum({SIGN}) > 0
"""
# Records that say how packs came into being, or left the country, as they were first said.
_SAID = f"""
SELECT event_key, record_key, headers, value FROM journal
WHERE {ENTRIES_AT} AND {{which}} AND seq = 0 AND cause IS NULL AND NOT reversal AND {{kind}}
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


async def trades_at(
    connection: Connection, cut: Cut, needs: Collection[Need], gtins: Sequence[int] | None = None
) -> dict[int, Trade]:
    """By GTIN, as far as is needed; `gtins` None: of all products."""
    found: dict[int, Trade] = defaultdict(Trade)
    if not cut.next_offsets:
        return {}
    if "trade" in needs:
        await _read_trade(connection, cut, gtins, found)
    kinds = [kind for need, kind in _KINDS.items() if need in needs]
    if kinds:
        said = await _said(connection, cut, gtins, " OR ".join(kinds))
        await asyncio.to_thread(_take_said, found, said, None if gtins is None else frozenset(gtins))
    return dict(found)


_KINDS: Final[Mapping[Need, str]] = {"introductions": _INTRODUCED, "shipments": _SHIPPED}


async def _read_trade(connection: Connection, cut: Cut, gtins: Sequence[int] | None, found: dict[int, Trade]) -> None:
    reports, used, days = [await _rows(connection, query, cut, gtins) for query in (_REPORTS, _USED, _DAYS)]
    await asyncio.to_thread(_take_trade, found, reports, used, days)


async def _rows(connection: Connection, query: str, cut: Cut, gtins: Sequence[int] | None) -> list[Any]:
    if gtins is None:
        return await whole(connection, query.format(which=_OF_ALL), cut.ends, None)
    rows: list[Any] = await connection.fetch(query.format(which=_OF_SOME), cut.ends, list(gtins))
    return rows


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


async def _said(connection: Connection, cut: Cut, gtins: Sequence[int] | None, kind: str) -> list[Original]:
    """What was said of these kinds, as it counts after corrections: of each original its data, time and sender."""
    rows = await _rows(connection, _SAID.replace("{kind}", f"({kind})"), cut, gtins)
    said = {item.key: item for item in await asyncio.to_thread(_originals, rows)}
    keys = None if gtins is None else [gtin_text(gtin) for gtin in gtins]
    touching = await connection.fetch(_CORRECTIONS, *cut.columns, keys, list(_TYPES))
    if touching:
        starts = {row[0] for row in touching} | {row[1] for row in touching}
        by_target, roots = await families(connection, cut, starts)
        for root in roots:
            data = Family(root, by_target).effective().data
            said.pop(root.key, None)
            if isinstance(data, BatchProduced | ImportReceived | ExportShipped):
                about = (root.time, root.source, root.id, root.by_regulator)
                said[root.key] = Original(root.key, root.type, root.topic_key, data, *about)
    return list(said.values())


def _originals(rows: Sequence[Any]) -> list[Original]:
    found = []
    for key, record_key, headers, value in rows:
        event = reader.read(unpack_headers(headers), value)
        about = (event.data, event.time, event.source, event.id, event.by_regulator)
        found.append(Original(key, event.type, key_text(record_key), *about))
    return found


def _take_said(found: dict[int, Trade], said: Sequence[Original], gtins: frozenset[int] | None) -> None:
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
            found[gtin].introductions = sorted(introductions, key=_rank)
    for gtin, shipments in shipped.items():
        if gtins is None or gtin in gtins:
            found[gtin].shipments = sorted(shipments, key=_rank)


def _rank(item: Introduction | Shipment) -> tuple[date, str, tuple[str, str]]:
    return (item.on, item.lot, item.said_by)


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
