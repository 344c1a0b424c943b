"""Reads the events behind the inputs of an indicator, page by page, as known at a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import quote

import asyncpg
import msgspec
from msgspec import Meta

from services.supply.asked import NO_NUL, Number, Small
from services.supply.asof import BEFORE, CUT, Cut
from services.supply.behind import Behind, LotKey
from services.supply.record import unpack_headers
from services.supply.statements import ENTRY, place_json, with_events
from services.supply.trade import Named
from shared.events.reader import event_key

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
LOTS_A_QUERY: Final = 1_000
FIRST_PLACE: Final = (-1, -1, -1, -1)

_OF_LOTS = f"""
SELECT {ENTRY} FROM journal j {CUT}
WHERE {BEFORE} AND debit IS NOT NULL AND (gtin, lot) IN (SELECT * FROM unnest($4::bigint[], $5::text[]))
AND effective_on BETWEEN $6 AND $7 AND ($8::smallint IS NULL OR $8 IN (debit, credit))
AND (gtin, lot, topic_id, partition, kafka_offset, seq) > ($9, $10, $11, $12, $13, $14)
ORDER BY gtin, lot, topic_id, partition, kafka_offset, seq LIMIT $15
"""
_SAID = f"""
SELECT e.event_key, topic_id, partition, kafka_offset, j.recorded_at, j.headers
FROM event_ids e JOIN journal j USING (topic_id, partition, kafka_offset) {CUT}
WHERE {BEFORE} AND j.seq = 0 AND e.event_key = ANY($4::bytea[])
"""


class At(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins: behind which input; of its said events the number of the first, then after which entry."""

    input: Annotated[int, Meta(ge=0)] = 0
    said: Annotated[int, Meta(ge=0)] = 0
    gtin: Number = -1
    lot: Annotated[str, Meta(max_length=20, pattern=NO_NUL)] = ""
    place: tuple[Small, Small, Number, Small] = FIRST_PLACE


async def events_of(
    connection: Connection, cut: Cut, inputs: Sequence[Behind], at: At, limit: int
) -> tuple[list[dict[str, Any]], At | None]:
    """At most `limit` events, and where the next page begins; None after the last."""
    found: list[dict[str, Any]] = []
    for number in range(at.input, len(inputs)):
        begin = at if number == at.input else At(number)
        items, following = await _of_input(connection, cut, inputs[number], begin, limit - len(found))
        found += items
        if following is not None:
            return found, following
        if len(found) >= limit:
            return found, At(number + 1) if number + 1 < len(inputs) else None
    return found, None


async def _of_input(
    connection: Connection, cut: Cut, item: Behind, at: At, limit: int
) -> tuple[list[dict[str, Any]], At | None]:
    said = item.said[at.said : at.said + limit]
    found = await _said(connection, cut, item.input, said)
    done = at.said + len(said)
    if done < len(item.said):
        return found, At(at.input, done)
    lots = [key for key in item.lots if key >= (at.gtin, at.lot)]
    rows: list[Any] = []
    left = limit - len(found)
    for start in range(0, len(lots), LOTS_A_QUERY):
        if len(rows) > left:
            break
        part = lots[start : start + LOTS_A_QUERY]
        rows += await _entries(connection, cut, item, part, at, left + 1 - len(rows))
    shown = rows[:left]
    found += [_entry(item.input, entry) for entry in await with_events(connection, shown)]
    if len(rows) <= left:
        return found, None
    if not shown:
        return found, At(at.input, done, at.gtin, at.lot, at.place)
    last = shown[-1]
    return found, At(at.input, done, last[11], last[12], (last[5], last[6], last[7], last[8]))


async def _entries(
    connection: Connection, cut: Cut, item: Behind, lots: Sequence[LotKey], at: At, limit: int
) -> list[Any]:
    columns = [[gtin for gtin, _ in lots], [lot for _, lot in lots]]
    days = (max(item.first, date(1, 1, 1)), item.last)
    only = None if item.only is None else item.only.value
    after = (at.gtin, at.lot, *at.place)
    rows: list[Any] = await connection.fetch(_OF_LOTS, *cut.columns, *columns, *days, only, *after, limit)
    return rows


async def _said(connection: Connection, cut: Cut, name: str, said: Sequence[Named]) -> list[dict[str, Any]]:
    """The recorded events of these names, in their order."""
    if not said:
        return []
    keys = {event_key(*named): named for named in said}
    rows = {row[0]: row for row in await connection.fetch(_SAID, *cut.columns, list(keys))}
    return [_fact(name, named, rows[key]) for key, named in keys.items() if key in rows]


def _fact(name: str, named: Named, row: Any) -> dict[str, Any]:
    kind = dict(unpack_headers(row[5])).get("ce_type", b"").decode("utf-8", "replace")
    about = {"input": name, "source": named[0], "id": named[1], "type": kind}
    return {**about, **place_json(*row[1:5]), "links": {"event": event_link(*named)}}


def _entry(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    event = entry.pop("event")
    lot = f"/lots/{entry['gtin']}/{quote(entry['lot'] or '', safe='')}" if entry["lot"] else None
    links = {"event": event_link(event["source"], event["id"]), "lot": lot}
    return {"input": name, **event, **entry, "links": links}


def event_link(source: str, id_: str) -> str:
    return f"/events/{quote(source, safe='')}/{quote(id_, safe='')}"
