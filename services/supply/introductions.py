"""Reads which authorisation a lot's production names, as known at a cut, from the records themselves.

Only where it matters: for lots of products whose authorisations name different local steps (see origin.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg
import msgspec

from services.supply.asof import BEFORE, CUT, Cut, LotKey, cut_now, families
from services.supply.correction import Family
from services.supply.lot import LotState, MarketLot
from services.supply.registry import Registry
from shared.events import reader
from shared.events.reader import BatchProduced

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_PRODUCED = f"""
SELECT event_key, value, cause FROM journal {CUT} WHERE {BEFORE} AND (debit = 1 OR credit = 1)
AND (gtin, lot) IN (SELECT * FROM unnest($4::bigint[], $5::text[]))
"""


async def name_authorisations(
    connection: Connection, cut: Cut | None, lots: Iterable[LotState | MarketLot], registry: Registry
) -> None:
    """Sets `authorisation` of those lots for which it tells by which step they were made; `cut` None: as of now."""
    wanted = {
        (lot.gtin, lot.lot): lot for lot in lots if lot.produced_count > 0 and lot.gtin in registry.of_several_steps
    }
    if not wanted:
        return
    said = await _productions(connection, cut or await cut_now(connection), list(wanted))
    named = sorted((item.produced_on, item.authorisation, key) for key, item in said if item.authorisation)
    for _, authorisation, key in reversed(named):  # the earliest production has the last word
        if key in wanted:
            wanted[key].authorisation = authorisation


async def _productions(connection: Connection, cut: Cut, lots: list[LotKey]) -> list[tuple[LotKey, BatchProduced]]:
    """What was said of the production of these lots, and perhaps others, as it counts after corrections."""
    keys = [[gtin for gtin, _ in lots], [lot for _, lot in lots]]
    rows = await connection.fetch(_PRODUCED, *cut.columns, *keys)
    said: dict[bytes, msgspec.Struct | None] = {
        key: reader.read_data("supply.batch.produced.v1", value) for key, value, cause in rows if cause is None
    }
    touched = said.keys() | {cause for _, _, cause in rows if cause is not None}
    by_target, roots = await families(connection, cut, touched)
    said.update((root.key, Family(root, by_target).effective().data) for root in roots)
    return [(_lot(data), data) for data in said.values() if isinstance(data, BatchProduced)]


def _lot(data: Any) -> LotKey:
    return int(data.gtin), data.lot
