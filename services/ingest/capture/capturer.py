"""Takes a document from what it says to what is published of it: looks up, decides beside the event loop, publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.ingest import metrics
from services.ingest.capture.entry import Entry, Key, entries
from services.ingest.capture.store import Became, Captures
from services.ingest.capture.verdict import Decided
from services.ingest.epcis import capture
from services.ingest.epcis.documents import Document
from services.ingest.epcis.mapping import Present
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Mapped
from services.ingest.judgement import sent_on
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from shared.clock import Clock
from shared.errors import Transient
from shared.telemetry import logger

log = logger(__name__)


class Broken(Exception):
    """A fault of ours: this document makes the decision fail. It is told so, and the others go on."""


class Capturer:
    """Every method raises Transient while something it needs is away."""

    def __init__(self, settings: IngestSettings, clock: Clock, publisher: Publisher, captures: Captures) -> None:
        self._clock = clock
        self._ahead = timedelta(seconds=settings.future_tolerance_seconds)
        self._publisher = publisher
        self._captures = captures

    async def decide(self, document: Document, sender: Sender) -> Decided:
        """What becomes of each of its events by what is known now. Raises Broken."""
        try:
            needs = await asyncio.to_thread(capture.needs, document)
            known = await self._captures.known(sender.producer, needs)
            return await asyncio.to_thread(self._decided, document, sender, known)
        except Transient:
            raise
        except Exception as error:
            # A document must not be able to stop the door for all: were it to end the process, it would again and
            # again. Nothing was changed by deciding, so that going on is safe.
            log.critical("a bug refused a document", producer=sender.producer, exc_info=error)
            metrics.CAPTURE_BUGS.inc()
            raise Broken from error

    def _decided(self, document: Document, sender: Sender, known: Known) -> Decided:
        found = capture.captured(document, sender, known, Present(self._clock.now(), self._ahead))
        return Decided(document, found, entries(found))

    async def publish(self, sender: Sender, entries: Sequence[Entry]) -> dict[Key, Sequence[Became]]:
        """What the mapped ones of `entries` became, acknowledged by Kafka.

        One that was mapped when it was captured before stays what it became then, whatever has been told since: so the
        same document sent twice never comes to count twice.
        """
        mapped = {entry.key: entry.outcome.events for entry in entries if isinstance(entry.outcome, Mapped)}
        became: dict[Key, Sequence[Became]] = {**await self._captures.mapped(sender.producer, entries)}
        fresh = [(key, event) for key, events in mapped.items() if key not in became for event in events]
        places = await self._publisher.publish([sent_on(event, sender.roles) for _, event in fresh])
        metrics.count_accepted(place.topic for place in places)
        published: dict[Key, list[Became]] = {}
        for (key, event), place in zip(fresh, places, strict=True):
            told = Became(event.source, event.id, event.type, event.data.key(), *place)
            published.setdefault(key, []).append(told)
        return {**became, **published}

    def latest(self) -> datetime:
        """The last moment that is not in the future."""
        return self._clock.now() + self._ahead
