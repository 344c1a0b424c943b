"""Turns consumed records into what the ledger writes: typed, hashed, chained, packed; each partition without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.supply.claims import Claim, Place
from services.supply.fold import presumed
from services.supply.journal import Advance
from services.supply.record import Consumed, link, named_in, pack_headers, read
from services.supply.rows import identity_row, posted_rows
from shared.events import reader

# Each answer of PostgreSQL waits for the next of these pauses, and a batch has a dozen answers.
YIELD_EVERY_RECORDS: Final = 20


class Gap(Exception):
    """Kafka delivered a record beyond the one that must come next."""

    def __init__(self, session: int, place: Place, expected: int, found: int) -> None:
        self.session = session
        self.place = place
        self.expected = expected
        super().__init__(f"{place[0]}[{place[1]}]: expected offset {expected}, got {found}")


class Batch(msgspec.Struct):
    """A lane's decoded records and the steps they make; `session` names the claims under which they were decoded."""

    session: int
    advances: list[Advance]
    records: list[Consumed]


async def decode(
    raw: Sequence[Any], claims: dict[Place, Claim], session: int, lanes: int
) -> tuple[list[Batch], Gap | None]:
    """Decodes what is claimed and new, a batch for each lane; moves the claims on. A gap ends its partition's part."""
    batches = [Batch(session, [], []) for _ in range(lanes)]
    started: dict[Place, int] = {}
    gap: Gap | None = None
    for number, message in enumerate(raw, 1):
        if number % YIELD_EVERY_RECORDS == 0:
            await asyncio.sleep(0)
        place = (message.topic, message.partition)
        held = claims.get(place)
        if held is None or message.offset < held.next_offset:
            continue
        if message.offset > held.next_offset:
            gap = gap or Gap(session, place, held.next_offset, message.offset)
            continue
        started.setdefault(place, held.next_offset)
        batches[held.partition % lanes].records.append(_consumed(message, held))
    for place, old in started.items():
        held = claims[place]
        batches[held.partition % lanes].advances.append(_advance(held, old))
    return batches, gap


def _advance(held: Claim, old_offset: int) -> Advance:
    return Advance(held.topic_id, held.partition, held.epoch, old_offset, held.next_offset, held.chain)


def _consumed(message: Any, held: Claim) -> Consumed:
    """The record as the journal keeps it; the claim's chain and offset move on past it."""
    key, value, offset, timestamp_ms = message.key, message.value, message.offset, message.timestamp
    headers = pack_headers(message.headers)
    held.chain = chain = link(
        held.chain, held.topic.encode(), held.partition, offset, timestamp_ms, key, headers, value
    )
    held.next_offset = offset + 1
    place = (held.topic_id, held.partition, offset, timestamp_ms)
    try:
        event = read(key, message.headers, value)
    except reader.Unreadable as error:
        return Consumed(*place, key, headers, value, chain, None, _key_of_unreadable(message), None, error.reason)
    identity = (reader.event_key(event.source, event.id), reader.content_hash(event))
    record = Consumed(*place, key, headers, value, chain, event, *identity)
    if (moved := presumed(event)) is not None:
        record.rows, record.identity = posted_rows(record, moved), identity_row(record)
    return record


def _key_of_unreadable(message: Any) -> bytes | None:
    """By which its sender can ask what became of it."""
    named = named_in(message.headers)
    return None if named is None else reader.event_key(*named)
