"""Kafka's way in: every record of every producer's topic ends as an accepted event or as one rejection.

A pipeline of two steps, so that Kafka and PostgreSQL work while we judge: `_read` takes records and judges them,
`_settle` publishes what is accepted, keeps what is refused, and only then commits the place. What cannot be settled is
tried again for as long as it takes; meanwhile no more is taken than the two batches that have been judged already.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from services.ingest import inbound, metrics
from services.ingest.documents import Documents
from services.ingest.inbound import Accepted, Document, Inbound, Refused
from services.ingest.inbound_reader import Ends, InboundReader, Taken
from services.ingest.producers import Producers, name_of
from services.ingest.publisher import Publisher
from services.ingest.rejection import Refusal, told
from services.ingest.rejections import Rejections
from services.ingest.second_reader import SecondReader
from services.ingest.settings import IngestSettings
from shared.clock import Clock
from shared.errors import Transient
from shared.events.cloudevent import Record
from shared.keys import Principal
from shared.patience import patiently
from shared.telemetry import logger

# How long a judged batch may wait before Kafka is asked to send no more.
PAUSE_AFTER_SECONDS: Final = 1.0
JUDGED_AT_ONCE: Final = 50

log = logger(__name__)


@dataclass(slots=True)
class Judged:
    """A batch, ready to be settled."""

    ends: Ends
    records: list[Record] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    nameless: list[int] = field(default_factory=list)  # which of `refusals` still lack their headers
    documents: list[tuple[Document, Inbound, Principal]] = field(default_factory=list)
    accepted: int = 0

    def note(self, record: Inbound, sender: Principal | None, outcome: Accepted | Refused | Document) -> None:
        """What becomes of one record."""
        if isinstance(outcome, Accepted):
            self.records.append(outcome.record())
            self.accepted += 1
        elif isinstance(outcome, Refused):
            self.refusals.append(Refusal(name_of(record.topic), record, outcome))
        else:
            assert sender is not None
            self.documents.append((outcome, record, sender))


class Edge:
    """Run `run` as a task."""

    def __init__(
        self,
        settings: IngestSettings,
        clock: Clock,
        producers: Producers,
        publisher: Publisher,
        rejections: Rejections,
        documents: Documents,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ahead = timedelta(seconds=settings.future_tolerance_seconds)
        self._producers = producers
        self._publisher = publisher
        self._rejections = rejections
        self._documents = documents
        self._reader = InboundReader(settings)
        self._second = SecondReader(settings)
        self._judged: asyncio.Queue[Judged] = asyncio.Queue(maxsize=1)

    @property
    def joined(self) -> bool:
        """Whether the group has told this instance its partitions, or there is none yet."""
        return self._reader.joined

    async def run(self) -> None:
        try:
            await self._reader.open()
            async with asyncio.TaskGroup() as steps:
                steps.create_task(self._read())
                steps.create_task(self._settle_all())
        finally:
            await self._second.close()
            await self._reader.close(self._settings.shutdown_timeout_seconds / 2)

    # Take and judge.

    async def _read(self) -> None:
        while True:
            taken = await self._reader.take(self._settings.edge_batch_records)
            metrics.EDGE_LAG.set(self._reader.lag)
            await self._read_again(taken)
            if taken.ends:
                await self._hand_over(await self._judge(taken))

    async def _read_again(self, taken: Taken) -> None:
        """Reads on where the client library could not. It tells us again of places where this fails."""
        for place, (tenure, offset) in taken.unread.items():
            try:
                found = await self._second.read(*place, offset)
            except Transient as error:
                log.warning("cannot be read yet", error=error.detail)
                continue
            taken.records += found.records
            taken.ends[place] = tenure, found.next_offset
            await self._reader.skip(place, tenure, found.next_offset)

    async def _judge(self, taken: Taken) -> Judged:
        names = {record.topic: name_of(record.topic) for record in taken.records}
        senders = await patiently("producers", lambda: self._producers.named(names.values()), metrics.EDGE_RETRIES)
        nameless = set(taken.nameless)
        judged = Judged(ends=taken.ends)
        now = self._clock.now()
        for index, record in enumerate(taken.records):
            if index % JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)  # requests over HTTP are answered in between
            sender = senders[names[record.topic]]
            judged.note(record, sender, inbound.read(record, sender, now, self._ahead))
            if index in nameless:
                judged.nameless.append(len(judged.refusals) - 1)
        return judged

    async def _hand_over(self, judged: Judged) -> None:
        """Waits for room. While that takes long no more is fetched, but we stay in the group."""
        putting = asyncio.create_task(self._judged.put(judged))
        try:
            await asyncio.wait([putting], timeout=PAUSE_AFTER_SECONDS)
            if not putting.done():
                await self._pause_until(putting)
        finally:
            putting.cancel()

    async def _pause_until(self, done: asyncio.Task[None]) -> None:
        await self._reader.pause()
        log.warning("paused")
        while not done.done():
            started = time.monotonic()
            await self._reader.poll()
            metrics.EDGE_PAUSED_SECONDS.inc(time.monotonic() - started)
        await self._reader.resume()
        log.info("resumed")

    # Settle.

    async def _settle_all(self) -> None:
        while True:
            judged = await self._judged.get()
            with metrics.EDGE_SETTLE_SECONDS.time():
                await patiently("records to settle", partial(self._settle, judged), metrics.EDGE_RETRIES)

    async def _settle(self, judged: Judged) -> None:
        """Each step that is done is not done again. Raises Transient."""
        while judged.documents:
            document, record, sender = judged.documents[0]
            outcome = await self._documents.capture(document, record, sender)
            if isinstance(outcome, Refused):
                judged.note(record, sender, outcome)
            else:
                judged.accepted += 1
            del judged.documents[0]
        if judged.records:
            places = await self._publisher.publish(judged.records)
            metrics.count_accepted(place.topic for place in places)
            judged.records = []
        if judged.refusals:
            await self._keep(judged)
        await self._reader.commit(judged.ends)
        metrics.EDGE_RECORDS.labels("accepted").inc(judged.accepted)

    async def _keep(self, judged: Judged) -> None:
        await self._name_headers(judged)
        await self._rejections.keep(judged.refusals, self._tell)
        for code, number in Counter(refusal.why.code for refusal in judged.refusals).items():
            metrics.REJECTIONS.labels(code).inc(number)
        metrics.EDGE_RECORDS.labels("rejected").inc(len(judged.refusals))
        judged.refusals = []

    async def _tell(self, refusals: Sequence[Refusal]) -> None:
        now = datetime.now(UTC)
        await self._publisher.publish([told(refusal, now) for refusal in refusals])

    async def _name_headers(self, judged: Judged) -> None:
        """What is refused for the name of a header is kept with that header."""
        found: dict[tuple[str, int, int], Inbound] = {}
        while judged.nameless:
            refusal = judged.refusals[judged.nameless[0]]
            place = refusal.record.topic, refusal.record.partition, refusal.record.offset
            if place not in found:
                again = await self._second.read(*place)
                found = {(record.topic, record.partition, record.offset): record for record in again.records}
            if place in found:
                named = refusal.record._replace(headers=found[place].headers)
                judged.refusals[judged.nameless[0]] = refusal._replace(record=named)
            del judged.nameless[0]
