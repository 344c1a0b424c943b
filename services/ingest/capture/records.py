"""Captures documents that come in Kafka records, and once more what was incomplete: the other ways to the same end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from services.ingest import inbound, metrics
from services.ingest.capture.capturer import Broken, Capturer
from services.ingest.capture.entry import document_of, lessons
from services.ingest.capture.negotiation import ROLLBACK
from services.ingest.capture.store import Became, Captures, Kept
from services.ingest.capture.verdict import Decided, verdict
from services.ingest.documents import Published, Settled
from services.ingest.epcis import documents
from services.ingest.epcis.documents import Document
from services.ingest.epcis.occasion import Sender
from services.ingest.epcis.outcome import Incomplete, Refused
from services.ingest.inbound import Inbound
from services.ingest.intake import TOO_MANY
from services.ingest.publisher import Place
from services.ingest.tables import Rejection
from shared.errors import Fault
from shared.faults import OTHER
from shared.keys import Principal

_NAMESPACE: Final = UUID("5d0d5f4e-2d6b-4c0e-9a5e-6c1a3b7c9f10")


class RecordCapture:
    """Every method raises Transient while something it needs is away."""

    def __init__(self, capturer: Capturer, captures: Captures, limit_events: int) -> None:
        self._capturer = capturer
        self._captures = captures
        self._limit = limit_events

    async def capture(self, said: inbound.Document, record: Inbound, sender: Principal) -> Settled | inbound.Refused:
        """All or nothing, as one capture with an id by the record's place."""
        document = await asyncio.to_thread(documents.read, said.content)
        if len(document.events) > self._limit:
            return inbound.Refused(TOO_MANY, f"{len(document.events)} events; a record holds up to {self._limit}")
        speaker = _speaker(sender)
        decided = await self._decided(document, speaker)
        if isinstance(decided, inbound.Refused):
            return decided
        told, entries = verdict(decided, ROLLBACK)
        became = await self._capturer.publish(speaker, entries)
        id = uuid5(_NAMESPACE, f"{record.topic}/{record.partition}/{record.offset}")
        learned = lessons(entries, self._capturer.latest())
        kept = Kept(sender.name, id, entries, became, learned, record)
        await self._captures.record(told, kept, len(record.value or b""))
        metrics.count_capture(told.state, told.counts)
        return _settled(one for events in became.values() for one in events)

    async def again(self, row: Rejection, sender: Principal) -> Settled | inbound.Refused:
        assert row.captured is not None, "what is incomplete was captured"
        event = await self._captures.one(row.captured)
        earlier = [] if event.declared else await self._captures.told(event.event_id, sender.name)
        if earlier:
            return _settled(earlier)  # it has been told in full meanwhile
        speaker = _speaker(sender)
        decided = await self._decided(document_of(event.event, event.frame), speaker)
        if isinstance(decided, inbound.Refused):
            return decided
        (entry,) = decided.entries
        if isinstance(entry.outcome, Incomplete):
            return inbound.refused(entry.outcome.faults)
        became = await self._capturer.publish(speaker, decided.entries)
        await self._captures.amend(row.captured, entry, became.get(entry.key, ()))
        return _settled(became.get(entry.key, ()))

    async def _decided(self, document: Document, sender: Sender) -> Decided | inbound.Refused:
        try:
            decided = await self._capturer.decide(document, sender)
        except Broken:
            return inbound.Refused(OTHER, "this document makes us fail; nothing of it was captured")
        faults = list(_faults(decided))
        return inbound.refused(faults) if faults else decided


def _speaker(sender: Principal) -> Sender:
    return Sender(sender.name, sender.roles, tuple(sorted(sender.glns)))


def _faults(decided: Decided) -> Iterable[Fault]:
    """Those around the events, then those of each event; empty if nothing is refused."""
    around = decided.document.faults
    yield from around
    for one in decided.found:
        if isinstance(one.outcome, Refused):
            yield from (replace(fault, id=one.id) for fault in one.outcome.faults[len(around) :])


def _settled(became: Iterable[Became]) -> Settled:
    return Settled(tuple(Published(one.id, one.type, Place(one.topic, one.partition, one.offset)) for one in became))
