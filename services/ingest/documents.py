"""The one place where a record whose content is an EPCIS document is handed on."""

from __future__ import annotations

from typing import Protocol

from services.ingest.inbound import Accepted, Document, Inbound, Refused
from services.ingest.intake import MEDIA_TYPE
from shared.keys import Principal


class Documents(Protocol):
    """Whoever captures EPCIS documents."""

    async def capture(self, document: Document, record: Inbound, sender: Principal) -> Accepted | Refused:
        """The events of the catalogue that the document comes to (none, one or many), each judged; or a refusal.

        They are published after this, and the record's place is committed after that: it is called again, with the same
        record, after a crash or while something is away, so whatever it keeps it keeps once by topic, partition and
        offset. Raises Transient while something it needs is away: the record is kept and tried again.
        """
        ...


class NoDocuments:
    """Until there is a capture for them: every document is refused."""

    async def capture(self, document: Document, record: Inbound, sender: Principal) -> Accepted | Refused:
        return Refused(MEDIA_TYPE, "EPCIS documents are not taken over Kafka")
