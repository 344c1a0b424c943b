"""Judges once more what was refused, by today's rules and the producer's authority, and publishes what is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.ingest import inbound, metrics
from services.ingest.documents import Documents, Published, Settled
from services.ingest.inbound import Accepted, Document, Refused
from services.ingest.producers import Producers
from services.ingest.publisher import Place, Publisher
from services.ingest.rejection import INCOMPLETE, record_of
from services.ingest.rejections import Rejections
from services.ingest.settings import IngestSettings
from services.ingest.tables import Rejection
from shared.audit import Author
from shared.clock import Clock
from shared.keys import Principal

# Each of up to a mebibyte, all in memory.
CHUNK_REJECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one rejection: its events with their places, or why it is refused still."""

    id: int
    events: tuple[Published, ...]
    refused: Refused | None


class Replayer:
    """Raises Transient while something is away; what had been replayed before stays so."""

    def __init__(
        self,
        settings: IngestSettings,
        clock: Clock,
        producers: Producers,
        publisher: Publisher,
        rejections: Rejections,
        documents: Documents,
    ) -> None:
        self._ahead = timedelta(seconds=settings.future_tolerance_seconds)
        self._clock = clock
        self._producers = producers
        self._publisher = publisher
        self._rejections = rejections
        self._documents = documents

    async def replay(self, ids: Sequence[int], author: Author) -> list[Replayed]:
        """Of `ids`, in their order; the event's id and source stay what they were."""
        found: list[Replayed] = []
        for at in range(0, len(ids), CHUNK_REJECTIONS):
            found += await self._chunk(ids[at : at + CHUNK_REJECTIONS], author)
        for outcome, number in Counter("rejected" if one.refused else "accepted" for one in found).items():
            metrics.REPLAYS.labels(outcome).inc(number)
        return found

    async def _chunk(self, ids: Sequence[int], author: Author) -> list[Replayed]:
        found: dict[int, Replayed] = {}

        async def decide(rows: Sequence[Rejection]) -> Mapping[int, Refused | None]:
            senders = await self._producers.named({row.producer for row in rows})
            judged = {row.id or 0: await self._judged(row, senders[row.producer]) for row in rows}
            found.update(await self._published(judged))
            return {id: one.refused for id, one in found.items()}

        await self._rejections.replay(ids, author, datetime.now(UTC), decide)
        return [found[id] for id in ids if id in found]

    async def _judged(self, row: Rejection, sender: Principal | None) -> Accepted | Refused | Settled:
        if row.kind == INCOMPLETE:
            return inbound.UNKNOWN if sender is None else await self._documents.again(row, sender)
        record = record_of(row)
        outcome = inbound.read(record, sender, self._clock.now(), self._ahead)
        if isinstance(outcome, Document):
            assert sender is not None
            return await self._documents.capture(outcome, record, sender)
        return outcome

    async def _published(self, judged: Mapping[int, Accepted | Refused | Settled]) -> dict[int, Replayed]:
        accepted = [outcome for outcome in judged.values() if isinstance(outcome, Accepted)]
        places = await self._publisher.publish([one.record() for one in accepted])
        metrics.count_accepted(place.topic for place in places)
        left = iter(places)
        return {id: _replayed(id, outcome, left) for id, outcome in judged.items()}


def _replayed(id: int, outcome: Accepted | Refused | Settled, places: Iterator[Place]) -> Replayed:
    """`places` are those of all that are accepted, in their order."""
    if isinstance(outcome, Refused):
        return Replayed(id, (), outcome)
    if isinstance(outcome, Settled):
        return Replayed(id, outcome.events, None)
    return Replayed(id, (Published(outcome.event.id, outcome.event.type, next(places)),), None)
