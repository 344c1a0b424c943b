"""Reads what a day's measurement needs, live or as known at a checkpoint, in the caller's transaction."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import asyncpg

from services.supply.anomalies import LOT_KINDS, OddRecord, contradicts, lot_of
from services.supply.asof import BEFORE, CUT, Cut, lots_now, market_lots_at, reached_now
from services.supply.by_day import lot_days_now
from services.supply.claims import TOPIC_OF
from services.supply.correction import Correction, State
from services.supply.fold import Known, Verdict
from services.supply.known_events import correction_of, family, originals
from services.supply.lot import market_lot
from services.supply.measure import Ledger, Sales
from services.supply.record import named_in, unpack_headers
from services.supply.registry import Registry
from services.supply.told import open_anomalies
from shared.clock import day_of

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
# More odd records than this are a broken producer; the newest are shown.
MAX_ODD_RECORDS: Final = 1_000

_EXPORTED_NOW = """
SELECT gtin, lot, min(effective_on) FROM flows WHERE credit = 6 AND packs > 0 AND effective_on <= $1 GROUP BY gtin, lot
"""
_ODD = f"""
SELECT verdict, topic_id, partition, kafka_offset, recorded_at, headers FROM journal {CUT}
WHERE {BEFORE} AND verdict >= 2 ORDER BY recorded_at DESC LIMIT {MAX_ODD_RECORDS}
"""
# Only these can be waiting or in competition; the pure rules then say which are.
_DOUBTFUL = f"""
SELECT c.event_key, c.target, c.source, c.id, c.time, c.data::text, c.recorded FROM (
    SELECT *, count(*) OVER (PARTITION BY target) AS rivals, time AS recorded FROM corrections {CUT}
    WHERE {BEFORE}
) c LEFT JOIN event_ids e ON e.event_key = c.target WHERE e.event_key IS NULL OR c.rivals > 1
LIMIT {MAX_ODD_RECORDS}
"""


async def ledger_now(connection: Connection, cut: Cut, on: date, registry: Registry) -> Ledger:
    """The newest state, from the derived tables. The transaction must be the one that took `cut`."""
    lots = await lots_now(connection, on)
    told = await open_anomalies(connection, LOT_KINDS)
    odd = {(lot.gtin, lot.lot) for lot in lots if contradicts(lot)}
    return Ledger(
        on=on,
        lots=lots,
        reached=await reached_now(connection, on),
        exported_on={(gtin, lot): day for gtin, lot, day in await connection.fetch(_EXPORTED_NOW, on)},
        registry=registry,
        odd=await odd_records(connection, cut),
        days=await lot_days_now(connection, odd | {lot_of(data["subject"]) for data in told.values()}),
        open_anomalies=told,
    )


async def sales_now(connection: Connection, on: date, registry: Registry) -> Sales:
    """The market's part of the newest state, from the derived tables."""
    reached = await reached_now(connection, on)
    lots = [market_lot(lot, reached.get((lot.gtin, lot.lot), 0)) for lot in await lots_now(connection, on)]
    return Sales(on, lots, registry)


async def sales_at(connection: Connection, cut: Cut, on: date, registry: Registry) -> Sales:
    """The market's part of the state as known at `cut`, folded from the journal."""
    return Sales(on, await market_lots_at(connection, cut, on), registry)


async def odd_records(connection: Connection, cut: Cut) -> list[OddRecord]:
    """Conflicting and unreadable records, and corrections that wait or lost, as known at `cut`."""
    found = [odd_record(row) for row in await connection.fetch(_ODD, *cut.columns)]
    return found + await _odd_corrections(connection, cut)


def odd_record(row: Any) -> OddRecord:
    """The record in a row (verdict, topic_id, partition, kafka_offset, recorded_at, headers) that is a conflict or
    unreadable."""
    verdict, topic_id, partition, offset, recorded_at, headers = row
    place = f"{TOPIC_OF[topic_id]}/{partition}/{offset}"
    named = named_in(unpack_headers(headers))
    if verdict == Verdict.UNREADABLE:
        detail = f"no reader understands the record at {place}"
        return OddRecord("unreadable", place, day_of(recorded_at), detail, *(named or ()))
    assert named is not None
    detail = f"the record at {place} repeats the id of an event with other content; the first stands"
    return OddRecord("id_conflict", place, day_of(recorded_at), detail, *named)


async def _odd_corrections(connection: Connection, cut: Cut) -> list[OddRecord]:
    doubtful = [correction_of(row) for row in await connection.fetch(_DOUBTFUL, *cut.columns)]
    if not doubtful:
        return []
    starts = {correction.key for correction in doubtful}
    around = await family(connection, climb_from=starts, keys=starts | {item.target for item in doubtful})
    targets = {correction.target for correction in around.values()}
    known = Known({}, await originals(connection, targets - around.keys()), around.values())
    odd = (odd_correction(correction, known.state_of(correction)) for correction in doubtful)
    return [item for item in odd if item is not None]


_WHY_ODD: Final[dict[State, tuple[str, str]]] = {
    "waiting": ("correction_without_original", "the event that it corrects has not come"),
    "conflict": ("correction_conflict", "another correction of the same event holds"),
}


def odd_correction(correction: Correction, state: State) -> OddRecord | None:
    """What is odd about a correction in `state`; None for one that holds or has no effect."""
    if state not in _WHY_ODD:
        return None
    kind, detail = _WHY_ODD[state]
    return OddRecord(kind, "", day_of(correction.time), detail, correction.source, correction.id)
