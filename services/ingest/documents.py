"""The one place where what EPCIS says is handed on, by Kafka's way in and by replays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.ingest.inbound import Document, Inbound, Refused
from services.ingest.publisher import Place
from services.ingest.tables import Rejection
from shared.keys import Principal


@dataclass(frozen=True, slots=True)
class Published:
    """An event of the catalogue that is acknowledged, and where it lies."""

    id: str
    type: str
    place: Place


@dataclass(frozen=True, slots=True)
class Settled:
    """What something came to, none, one or many; all of it is published and kept."""

    events: tuple[Published, ...]


class Documents(Protocol):
    """Whoever captures EPCIS documents."""

    async def capture(self, document: Document, record: Inbound, sender: Principal) -> Settled | Refused:
        """The document is captured as a whole, or refused as a whole.

        The record's place is committed after this: it is called again, with the same record, after a crash or while
        something is away, so whatever it keeps it keeps once by topic, partition and offset. Raises Transient while
        something it needs is away: the record is kept and tried again.
        """
        ...

    async def again(self, row: Rejection, sender: Principal) -> Settled | Refused:
        """What an event that was incomplete comes to by what is known today; it keeps its id. Raises Transient.

        `row` is locked by the caller, who notes in it what came out.
        """
        ...
