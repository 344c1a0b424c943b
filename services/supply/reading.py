"""Reads what an evaluation looks at, and keeps it for the next one: of that, only what has changed is read again.

Products of which something was recorded between two checkpoints are read anew, all of them after a repair of derived
tables. When a day has begun, or the registry is another, the lots of all of them are, for they are those of a day.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import unquote

import asyncpg

from services.supply import rhythm
from services.supply.anomalies import (
    LOT_KINDS,
    PLACE_OF_KIND,
    contradicts,
    lot_of,
    turns,
)
from services.supply.asof import Cut, LotKey, exported_now, lots_now, reached_now
from services.supply.by_day import lot_days_now
from services.supply.checkpoints import EMPTY
from services.supply.checks import products_to_check, turned_by
from services.supply.cross_checks import KINDS as CROSS_KINDS
from services.supply.cross_checks import Product, Validity
from services.supply.fold import MOVEMENTS_TOPIC_ID, NO_PRODUCT
from services.supply.introductions import name_authorisations
from services.supply.kept import by_product
from services.supply.lot import LotState
from services.supply.measure import Ledger
from services.supply.registry import Registry
from services.supply.rhythm import Rhythms
from services.supply.told import open_anomalies
from services.supply.trade import Trade
from services.supply.trades import ALL, trades_at
from services.supply.words import Speakers, listen, named_at, speakers_at

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
TOLD_KINDS: Final = (*LOT_KINDS, *CROSS_KINDS, rhythm.KIND)
GTIN_DIGITS: Final = 14

_GENERATION: Final = "SELECT number FROM generation"
# A record without a transfer stands under no product: then its key names it.
_TOUCHED: Final = f"""
SELECT DISTINCT gtin, CASE WHEN gtin = {NO_PRODUCT} THEN record_key END
FROM journal JOIN unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS fresh (partition, first, next_offset)
USING (partition) WHERE topic_id = {MOVEMENTS_TOPIC_ID} AND kafka_offset >= first AND kafka_offset < next_offset
"""


class Reading:
    """What was read last."""

    def __init__(self) -> None:
        self._cut = EMPTY
        self._about: tuple[date, int, Registry] | None = None  # day, generation, registry
        self._lots: dict[int, list[LotState]] = {}
        self._exported: dict[int, dict[LotKey, date]] = {}
        self._trades: dict[int, Trade] = {}
        self._products: dict[int, Product] = {}
        self._speakers: Speakers = {}
        self._rhythms = Rhythms()
        self._heard = EMPTY

    async def ledger(self, connection: Connection, cut: Cut, on: date, registry: Registry) -> Ledger:
        """The newest state as known in this transaction, which sees `cut` and nothing beyond."""
        about = (on, await connection.fetchval(_GENERATION), registry)
        before, self._about = self._about, None  # until all of it is read
        touched = changed = None
        if before is not None and before[1] == about[1]:
            touched = await _touched(connection, self._cut, cut)
            changed = touched if before[0] == on and before[2] is registry else None
        await self._read_said(connection, cut, touched)
        reached = await self._read_lots(connection, cut, on, registry, changed)
        self._cut, self._about = cut, about
        await listen(connection, cut, self._heard, self._rhythms)
        self._heard = cut
        return await self._ledger(connection, cut, on, registry, changed, reached)

    async def _read_said(self, connection: Connection, cut: Cut, touched: frozenset[int] | None) -> None:
        """What was said, whatever the day: trades, and who spoke of which lot; of all products, or of those touched."""
        gtins = None if touched is None else sorted(touched)
        trades = await trades_at(connection, cut, ALL, gtins)
        speakers = await speakers_at(connection, cut, gtins)
        if touched is None:
            self._trades, self._speakers = trades, speakers
            return
        for gtin in touched:
            self._trades.pop(gtin, None)
        self._trades.update(trades)
        self._speakers.update(speakers)  # nobody's first word is ever taken back

    async def _read_lots(
        self, connection: Connection, cut: Cut, on: date, registry: Registry, changed: frozenset[int] | None
    ) -> dict[LotKey, int]:
        """The lots of a day, of all products or those that changed; gives back their packs that reached available."""
        gtins = None if changed is None else sorted(changed)
        lots = await lots_now(connection, on, gtins)
        await name_authorisations(connection, None, lots, registry)
        reached = await reached_now(connection, on, gtins)
        exported = await exported_now(connection, on, gtins)
        products = await self._to_check(connection, cut, lots, Validity(registry), on, changed)
        if changed is None:
            self._lots, self._exported, self._products = {}, {}, {}
        for held in (self._lots, self._exported, self._products):
            for gtin in changed or ():
                held.pop(gtin, None)
        self._lots.update(await asyncio.to_thread(by_product, lots))
        by_gtin: dict[int, dict[LotKey, date]] = defaultdict(dict)
        for key, day in exported.items():
            by_gtin[key[0]][key] = day
        self._exported.update(by_gtin)
        self._products.update((product.gtin, product) for product in products)
        return reached

    async def _to_check(
        self,
        connection: Connection,
        cut: Cut,
        lots: Sequence[LotState],
        validity: Validity,
        on: date,
        changed: frozenset[int] | None,
    ) -> list[Product]:
        trades, speakers = self._trades, self._speakers
        if changed is not None:
            trades = {gtin: trades[gtin] for gtin in changed if gtin in trades}
            speakers = {(lot.gtin, lot.lot): speakers.get((lot.gtin, lot.lot), set()) for lot in lots}
        return await products_to_check(connection, cut, lots, trades, speakers, validity, on, changed)

    async def _ledger(
        self,
        connection: Connection,
        cut: Cut,
        on: date,
        registry: Registry,
        changed: frozenset[int] | None,
        reached: Mapping[LotKey, int],
    ) -> Ledger:
        told = await open_anomalies(connection, TOLD_KINDS)
        odd = await asyncio.to_thread(self._overdrawn)
        were = [data for data in told.values() if data["kind"] in PLACE_OF_KIND]
        days = await lot_days_now(connection, odd.keys() | {lot_of(data["subject"]) for data in were})
        turned = await turned_by(connection, cut, turns(odd.values(), were, days, on))
        silent = self._rhythms.silent(on)
        named = await named_at(connection, [word.place for _, _, word in silent.values()])
        return Ledger(
            on=on,
            lots_of=self._lots,
            reached=reached,
            exported_on={key: day for found in self._exported.values() for key, day in found.items()},
            registry=registry,
            days=days,
            open_anomalies=told,
            trades=self._trades,
            products=self._products,
            turned=turned,
            silent=rhythm.anomalies(silent, named),
            spoke=self._spoke(told.values()),
            changed=changed,
        )

    def _overdrawn(self) -> dict[LotKey, LotState]:
        return {(lot.gtin, lot.lot): lot for lots in self._lots.values() for lot in lots if contradicts(lot)}

    def _spoke(self, told: Iterable[Mapping[str, Any]]) -> dict[str, date]:
        """When those who were silent spoke again, by subject."""
        found = {}
        for data in told:
            if data["kind"] == rhythm.KIND:
                since = date.fromisoformat(data["since"])
                day = self._rhythms.spoke_again(unquote(data["subject"]), since)
                if day is not None:
                    found[data["subject"]] = day
        return found


async def _touched(connection: Connection, since: Cut, cut: Cut) -> frozenset[int]:
    """The products of which anything was recorded after `since` and before `cut`."""
    had = dict(zip(zip(since.topic_ids, since.partitions, strict=True), since.next_offsets, strict=True))
    fresh = [
        (partition, had.get((topic_id, partition), 0), end)
        for topic_id, partition, end in zip(cut.topic_ids, cut.partitions, cut.next_offsets, strict=True)
        if topic_id == MOVEMENTS_TOPIC_ID and had.get((topic_id, partition), 0) < end
    ]
    if not fresh:
        return frozenset()
    rows = await connection.fetch(_TOUCHED, *(list(column) for column in zip(*fresh, strict=True)))
    named = {gtin for gtin, _ in rows if gtin != NO_PRODUCT}
    keys = (key.decode("ascii", "replace") for _, key in rows if key is not None)
    return frozenset(named | {int(key) for key in keys if len(key) == GTIN_DIGITS and key.isascii() and key.isdigit()})
