"""Reads balances: packs a place of every lot that stands, page by page, and their sums by product."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.asof import Cut, LotKey, lots_at, moved_at
from services.supply.introductions import name_authorisations
from services.supply.lot import LotState, gtin_text, nothing_of, stock
from services.supply.origin import Origin, Origins
from services.supply.registry import Registry

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_KEYS: Final = """
SELECT gtin, lot FROM lots WHERE (gtin, lot) > ($1, $2) AND ($3::bigint IS NULL OR gtin = $3)
AND ($4::text IS NULL OR lot = $4) AND ($5::bigint[] IS NULL OR gtin = ANY($5)) ORDER BY gtin, lot LIMIT $6
"""


class Wanted(msgspec.Struct, frozen=True):
    """Which lots are asked for; None: all of them."""

    gtin: int | None = None
    lot: str | None = None
    origin: Origin | None = None
    products: frozenset[int] | None = None

    def has(self, key: LotKey) -> bool:
        gtin, lot = key
        whole = self.products is None or gtin in self.products
        return whole and self.gtin in (None, gtin) and self.lot in (None, lot)


class Balance(msgspec.Struct, frozen=True):
    """A lot with its origin and the first day of its recall."""

    lot: LotState
    origin: Origin
    recalled_on: date | None


async def balances(
    connection: Connection,
    cut: Cut,
    on: date,
    origins: Origins,
    wanted: Wanted,
    *,
    after: LotKey,
    limit: int,
) -> tuple[list[Balance], LotKey | None]:
    """One page of lots in order, as known at `cut` and in effect on `on`, and where the next page begins.

    A lot is shown if packs of it moved on any day, or a mark names it, by all that stands at the cut; not if all that
    was ever said of it was taken back. So it is the same for every order of the same events.
    """
    products = None if wanted.products is None else list(wanted.products)
    found: list[Balance] = []
    more = True
    while more and len(found) <= limit:
        rows = await connection.fetch(_KEYS, *after, wanted.gtin, wanted.lot, products, limit + 1)
        marked = set(islice(filter(wanted.has, _beyond(origins.registry.marked_lots, after)), limit + 1))
        keys = sorted({(row[0], row[1]) for row in rows} | marked)[: limit + 1]
        if not keys:
            break
        states = await _standing(connection, cut, on, keys, marked)
        await name_authorisations(connection, cut, states, origins.registry)
        shown = (_balance(lot, origins, on) for lot in states)
        found += [item for item in shown if wanted.origin in (None, item.origin)]
        more, after = len(keys) > limit, keys[-1]
    if len(found) <= limit:
        return found, None
    return found[:limit], (found[limit - 1].lot.gtin, found[limit - 1].lot.lot)


def _beyond(keys: Sequence[LotKey], after: LotKey) -> Iterator[LotKey]:
    return (keys[number] for number in range(bisect_right(keys, after), len(keys)))


def _balance(lot: LotState, origins: Origins, on: date) -> Balance:
    return Balance(lot, origins.of(lot), origins.registry.recalled_on(lot.gtin, lot.lot, lot.introduced_on, on))


async def _standing(
    connection: Connection, cut: Cut, on: date, keys: Sequence[LotKey], marked: Collection[LotKey]
) -> list[LotState]:
    """Those lots of `keys` that are there, in order."""
    read = {(lot.gtin, lot.lot): lot for lot in await lots_at(connection, cut, on, keys)}
    doubtful = [key for key, lot in read.items() if key not in marked and not _stands(lot)]
    moved = await moved_at(connection, cut, doubtful) if doubtful else set()
    there = {*marked, *moved, *(read.keys() - set(doubtful))}
    return [read.get(key) or nothing_of(*key) for key in keys if key in there]


def _stands(lot: LotState) -> bool:
    """Whether packs of it moved, by what was read of it already."""
    return any(lot.packs) or lot.produced_count > 0 or lot.imported_count > 0


async def balance_of(connection: Connection, cut: Cut, on: date, origins: Origins, key: LotKey) -> Balance | None:
    """One lot, also one of which all was taken back; None if no transfer or mark of it is known."""
    states = await lots_at(connection, cut, on, [key])
    if not states and key in origins.registry.marked_lots:
        states = [nothing_of(*key)]
    await name_authorisations(connection, cut, states, origins.registry)
    return next((_balance(lot, origins, on) for lot in states), None)


def balance_item(item: Balance, on: date) -> dict[str, Any]:
    """An item of GET /balances."""
    held = stock(item.lot, item.recalled_on, on)
    return {
        "gtin": gtin_text(item.lot.gtin),
        "lot": item.lot.lot or None,
        "origin": item.origin,
        "places": item.lot.places(),
        "usable": held.usable,
        "blocked": held.blocked,
        "expired": held.expired,
    }


def by_product(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of lots, ordered by GTIN, summed by product.

    A product has the origin that all its named lots have; if they differ, or it has none, it is unknown.
    """
    sums: dict[str, dict[str, Any]] = {}
    origins: dict[str, set[Origin]] = {}
    for item in items:
        seen = origins.setdefault(item["gtin"], set())
        if item["lot"] is not None:
            seen.add(item["origin"])
        total = sums.setdefault(
            item["gtin"], {**item, "lot": None, "places": dict.fromkeys(item["places"], 0), **_NONE}
        )
        for name, packs in item["places"].items():
            total["places"][name] += packs
        for name in _NONE:
            total[name] += item[name]
    return [{**total, "origin": _only(origins[gtin])} for gtin, total in sums.items()]


_NONE: Final = {"usable": 0, "blocked": 0, "expired": 0}


def _only(origins: set[Origin]) -> Origin:
    return next(iter(origins)) if len(origins) == 1 else "unknown"


def products_of(registry: Registry, atc: str, on: date) -> frozenset[int]:
    """The GTINs whose product's ATC code begins with `atc` on a day."""
    packings = registry.packings(on).values()
    return frozenset(packing.gtin for packing in packings if packing.product.atc.startswith(atc))
