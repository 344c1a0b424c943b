"""Reads what an evaluation looks at, and keeps it for the next one: of that, only what has changed is read again.

Between two checkpoints only the lots and trades that were touched are read, all of them after a repair of the tables.
When a day has begun, or the registry is another, all lots are read anew, for they are those of a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any, Final
from urllib.parse import unquote

import asyncpg
import msgspec

from services.supply import rhythm
from services.supply.anomalies import (
    LOT_KINDS,
    PLACE_OF_KIND,
    Behind,
    LotDay,
    Turn,
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
from services.supply.lot import LotState
from services.supply.measure import Ledger
from services.supply.registry import Registry
from services.supply.rhythm import Rhythms
from services.supply.told import open_anomalies
from services.supply.trade import NO_TRADE, Trade, merged
from services.supply.trades import ALL, Fresh, trades_at, trades_since
from services.supply.words import Speakers, listen, named_at, speakers_at, speakers_since

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
TOLD_KINDS: Final = (*LOT_KINDS, *CROSS_KINDS, rhythm.KIND)
GTIN_DIGITS: Final = 14

_GENERATION: Final = "SELECT number FROM generation"
# A record without a transfer stands under no product: then its key names it.
_TOUCHED: Final = f"""
SELECT gtin, lot, CASE WHEN gtin = {NO_PRODUCT} THEN record_key END, bool_or(cause IS NOT NULL)
FROM journal JOIN unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS fresh (partition, first, next_offset)
USING (partition) WHERE topic_id = {MOVEMENTS_TOPIC_ID} AND kafka_offset >= first AND kafka_offset < next_offset
GROUP BY 1, 2, 3
"""


class Touched(msgspec.Struct, frozen=True):
    """What was recorded between two checkpoints: the lots, and the products of which something was corrected."""

    fresh: Fresh
    lots: frozenset[LotKey]
    corrected: frozenset[int]

    @property
    def products(self) -> frozenset[int]:
        return self.corrected | {gtin for gtin, _ in self.lots}


class Reading:
    """What was read last."""

    def __init__(self) -> None:
        self._cut = EMPTY
        self._about: tuple[date, int, Registry] | None = None  # day, generation, registry
        self._lots: dict[int, dict[str, LotState]] = {}
        self._lots_of: dict[int, list[LotState]] = {}  # the same
        self._reached: dict[LotKey, int] = {}
        self._exported: dict[LotKey, date] = {}
        self._trades: dict[int, Trade] = {}
        self._products: dict[int, Product] = {}
        self._speakers: Speakers = {}
        self._days: dict[LotKey, list[LotDay]] = {}
        self._turned: dict[Turn, tuple[Behind, ...]] = {}
        self._rhythms = Rhythms()
        self._heard = EMPTY

    async def ledger(self, connection: Connection, cut: Cut, on: date, registry: Registry) -> Ledger:
        """The newest state as known in this transaction, which sees `cut` and nothing beyond."""
        about = (on, await connection.fetchval(_GENERATION), registry)
        before, self._about = self._about, None  # until all of it is read
        touched = None
        if before is not None and before[1] == about[1]:
            touched = await _touched(connection, self._cut, cut)
        self._forget(touched)
        await self._read_said(connection, cut, touched)
        same = touched is not None and before is not None and before[0] == on and before[2] is registry
        changed = touched.products if same and touched is not None else None
        await self._read_lots(connection, cut, on, registry, touched if same else None)
        self._cut, self._about = cut, about
        await listen(connection, cut, self._heard, self._rhythms)
        self._heard = cut
        return await self._ledger(connection, cut, on, registry, changed)

    async def _read_said(self, connection: Connection, cut: Cut, touched: Touched | None) -> None:
        """What was said, whatever the day: trades, and who spoke of which lot. Of products of which something was
        corrected all of it is read again, of others what is new."""
        if touched is None:
            self._trades = await trades_at(connection, cut, ALL)
            self._speakers = await speakers_at(connection, cut)
            return
        corrected, plain = sorted(touched.corrected), sorted(touched.products - touched.corrected)
        again = await trades_at(connection, cut, ALL, corrected) if corrected else {}
        for gtin in corrected:
            self._trades.pop(gtin, None)
        self._trades.update(again)
        if plain:
            more = await trades_since(connection, cut, touched.fresh, plain)
            for gtin, trade in more.items():
                self._trades[gtin] = merged(self._trades.get(gtin, NO_TRADE), trade)
        # Nobody's first word is ever taken back.
        for key, sources in (await speakers_since(connection, touched.fresh, sorted(touched.products))).items():
            self._speakers[key] = self._speakers.get(key, set()) | sources

    async def _read_lots(
        self, connection: Connection, cut: Cut, on: date, registry: Registry, touched: Touched | None
    ) -> None:
        """The lots of a day: all, or those touched."""
        keys = None if touched is None else sorted(touched.lots)
        if keys is None:
            self._lots, self._lots_of, self._products = {}, {}, {}
            self._reached, self._exported = {}, {}
        lots = await lots_now(connection, on, keys)
        self._reached.update(dict.fromkeys(keys or (), 0) | await reached_now(connection, on, keys))
        exported = await exported_now(connection, on, keys)
        for key in keys or ():
            self._exported.pop(key, None)
        self._exported.update(exported)
        for lot in lots:
            self._lots.setdefault(lot.gtin, {})[lot.lot] = lot
        products = self._lots.keys() if touched is None else touched.products
        for gtin in products:
            self._lots_of[gtin] = list(self._lots.get(gtin, {}).values())
        changed = None if touched is None else touched.products
        of_changed = [lot for gtin in products for lot in self._lots_of[gtin]]
        await name_authorisations(connection, None, of_changed, registry)
        for gtin in changed or ():
            self._products.pop(gtin, None)
        found = await self._to_check(connection, cut, of_changed, Validity(registry), on, changed)
        self._products.update((product.gtin, product) for product in found)

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
    ) -> Ledger:
        told = await open_anomalies(connection, TOLD_KINDS)
        odd = await asyncio.to_thread(self._overdrawn)
        were = [data for data in told.values() if data["kind"] in PLACE_OF_KIND]
        days = await self._days_of(connection, odd.keys() | {lot_of(data["subject"]) for data in were})
        turned = await self._turned_by(connection, cut, turns(odd.values(), were, days, on))
        silent = self._rhythms.silent(on)
        named = await named_at(connection, [word.place for _, _, word in silent.values()])
        return Ledger(
            on=on,
            lots_of=self._lots_of,
            reached=self._reached,
            exported_on=self._exported,
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

    async def _days_of(self, connection: Connection, lots: AbstractSet[LotKey]) -> dict[LotKey, list[LotDay]]:
        """What took effect of these lots, day by day."""
        missing = lots - self._days.keys()
        found = await lot_days_now(connection, missing)
        self._days = {key: found.get(key, []) if key in missing else self._days[key] for key in lots}
        return self._days

    async def _turned_by(
        self, connection: Connection, cut: Cut, wanted: AbstractSet[Turn]
    ) -> dict[Turn, tuple[Behind, ...]]:
        """The events behind what became overdrawn, or was no longer."""
        found = await turned_by(connection, cut, wanted - self._turned.keys())
        self._turned = {turn: found[turn] if turn in found else self._turned[turn] for turn in wanted}
        return self._turned

    def _forget(self, touched: Touched | None) -> None:
        """What took effect of the lots that were touched has to be read again; of none touched (None), all of it."""
        if touched is None:
            self._days, self._turned = {}, {}
            return
        self._days = {key: days for key, days in self._days.items() if key not in touched.lots}
        self._turned = {turn: said for turn, said in self._turned.items() if (turn.gtin, turn.lot) not in touched.lots}

    def _overdrawn(self) -> dict[LotKey, LotState]:
        return {(lot.gtin, lot.lot): lot for lots in self._lots_of.values() for lot in lots if contradicts(lot)}

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


async def _touched(connection: Connection, since: Cut, cut: Cut) -> Touched:
    """What was recorded after `since` and before `cut`."""
    had = dict(zip(zip(since.topic_ids, since.partitions, strict=True), since.next_offsets, strict=True))
    places = [
        (partition, had.get((topic_id, partition), 0), end)
        for topic_id, partition, end in zip(cut.topic_ids, cut.partitions, cut.next_offsets, strict=True)
        if topic_id == MOVEMENTS_TOPIC_ID and had.get((topic_id, partition), 0) < end
    ]
    fresh = Fresh(*([place[at] for place in places] for at in range(3)))
    rows = await connection.fetch(_TOUCHED, *fresh) if places else []
    lots = frozenset((gtin, lot) for gtin, lot, _, _ in rows if gtin != NO_PRODUCT)
    corrected = {gtin for gtin, _, _, by_correction in rows if by_correction and gtin != NO_PRODUCT}
    keys = (key.decode("ascii", "replace") for _, _, key, _ in rows if key is not None)
    named = {int(key) for key in keys if len(key) == GTIN_DIGITS and key.isascii() and key.isdigit()}
    return Touched(fresh, lots, frozenset(corrected | named))
