"""Reads what the cross-checks of lots need beside lots and trades, and the events behind what is overdrawn."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final

import asyncpg

from services.supply.anomalies import Behind, Turn
from services.supply.asof import ENTRIES_AT, Cut, LotKey
from services.supply.by_day import lot_days_at
from services.supply.cross_checks import Product, Validity, suspects, words_of_marks
from services.supply.lot import LotState, MarketLot
from services.supply.places import Place
from services.supply.statements import ENTRY, with_events
from services.supply.trade import NO_TRADE, Trade
from services.supply.words import Speakers, words_of

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
MAX_EVENTS: Final = 20  # named by one anomaly
TURNS_A_QUERY: Final = 1_000

_TURNS = f"""
SELECT {ENTRY} FROM journal j WHERE {ENTRIES_AT}
AND (gtin, lot, effective_on) IN (SELECT * FROM unnest($2::bigint[], $3::text[], $4::date[]))
AND (debit IN (3, 4) OR credit IN (3, 4)) ORDER BY recorded_at, topic_id, partition, kafka_offset, seq
"""


async def products_to_check(
    connection: Connection,
    cut: Cut,
    lots: Sequence[LotState | MarketLot],
    trades: Mapping[int, Trade],
    speakers: Speakers,
    validity: Validity,
    on: date,
    gtins: Collection[int] | None = None,
) -> list[Product]:
    """Every product of these lots and trades, with the words that may be foreign and the days of counted lots.

    `gtins` None: all products; else the lots, trades and speakers are theirs.
    """
    said = await asyncio.to_thread(suspects, speakers, trades, validity, on)
    words = await words_of(connection, cut, said)
    wanted = None if gtins is None else frozenset(gtins)
    counted = [key for key in validity.registry.counts if wanted is None or key[0] in wanted]
    days = await lot_days_at(connection, cut, counted)
    return await asyncio.to_thread(
        _products, lots, trades, words, {key: days.get(key, []) for key in counted}, validity
    )


def _products(
    lots: Sequence[LotState | MarketLot],
    trades: Mapping[int, Trade],
    words: Mapping[LotKey, Sequence[Any]],
    days: Mapping[LotKey, Sequence[Any]],
    validity: Validity,
) -> list[Product]:
    by_gtin: dict[int, list[LotState | MarketLot]] = defaultdict(list)
    for lot in lots:
        by_gtin[lot.gtin].append(lot)
    of_words: dict[int, list[Any]] = defaultdict(list)
    for (gtin, _), found in words.items():
        of_words[gtin] += found
    of_days: dict[int, dict[str, Sequence[Any]]] = defaultdict(dict)
    for (gtin, lot_name), told in days.items():
        of_days[gtin][lot_name] = told
    return [
        Product(
            gtin,
            by_gtin.get(gtin, ()),
            trades.get(gtin, NO_TRADE),
            [*of_words.get(gtin, ()), *words_of_marks(validity.registry, gtin)],
            of_days.get(gtin, {}),
        )
        for gtin in by_gtin.keys() | trades.keys() | of_days.keys()
    ]


async def turned_by(connection: Connection, cut: Cut, turns: Collection[Turn]) -> dict[Turn, tuple[Behind, ...]]:
    """The events that took packs out of a place of a lot on a day, or brought them to it."""
    found: dict[Turn, tuple[Behind, ...]] = {}
    ordered = sorted(turns, key=lambda turn: (turn.gtin, turn.lot, turn.on))
    for start in range(0, len(ordered), TURNS_A_QUERY):
        part = ordered[start : start + TURNS_A_QUERY]
        columns = [[turn.gtin for turn in part], [turn.lot for turn in part], [turn.on for turn in part]]
        rows = await connection.fetch(_TURNS, cut.ends, *columns)
        moves: dict[tuple[int, str, date], list[Any]] = defaultdict(list)
        for row, entry in zip(rows, await with_events(connection, rows), strict=True):
            moves[row[11], row[12], row[3]].append((row[0], row[1], entry["event"]))
        for turn in part:
            events = [
                Behind(event["source"], event["id"])
                for debit, credit, event in moves[turn.gtin, turn.lot, turn.on]
                if (credit if turn.into else debit) == Place[turn.place.upper()].value
            ]
            found[turn] = tuple(dict.fromkeys(events))[:MAX_EVENTS]
    return found
