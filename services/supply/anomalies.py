"""Decides what in the state contradicts itself: open while it does, gone when it no longer does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import quote

import msgspec

from services.supply.lot import LotState, gtin_text
from services.supply.places import Place


class Anomaly(msgspec.Struct, frozen=True):
    """One contradiction. `subject` is `<gtin>/<lot>` or `<source>/<id>` percent-encoded; `events` show it."""

    kind: str
    subject: str
    since: date
    detail: str
    events: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.subject}"

    def as_json(self, until: date | None = None) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "since": self.since.isoformat(),
            "until": until and until.isoformat(),
            "detail": self.detail,
            "events": [{"source": source, "id": id_} for source, id_ in self.events],
        }


class OddRecord(msgspec.Struct, frozen=True):
    """A record that the journal marks as a conflict or as unreadable."""

    kind: str
    place: str
    on: date
    detail: str
    source: str | None = None
    id: str | None = None


def lot_subject(gtin: int, lot: str) -> str:
    return f"{gtin_text(gtin)}/{quote(lot, safe='')}"


def event_subject(source: str, id_: str) -> str:
    return f"{quote(source, safe='')}/{quote(id_, safe='')}"


def of_lot(lot: LotState, day: date) -> list[Anomaly]:
    """What contradicts itself in one lot, with its packs up to `day`. The unnamed lot is never overdrawn."""
    if not lot.named:
        return []
    subject, since = lot_subject(lot.gtin, lot.lot), lot.introduced_on or day
    found = []
    if lot.available < 0:
        detail = f"{-lot.available} packs more have left the lot than became available"
        found.append(Anomaly("overdrawn_lot", subject, since, detail))
    if (quarantine := lot.packs[Place.QUARANTINE]) < 0:
        detail = f"{-quarantine} packs more have left quarantine than entered it"
        found.append(Anomaly("quarantine_overdrawn", subject, since, detail))
    if lot.origin_conflict:
        found.append(Anomaly("origin_conflict", subject, since, "the lot was both produced here and imported"))
    return found


def of_records(odd: Iterable[OddRecord]) -> list[Anomaly]:
    """Events whose id was used before with other content, and records that no reader understands."""
    found: dict[str, Anomaly] = {}
    for record in odd:
        known = record.source is not None and record.id is not None
        subject = event_subject(record.source or "", record.id or "") if known else record.place
        events = ((record.source or "", record.id or ""),) if known else ()
        anomaly = Anomaly(record.kind, subject, record.on, record.detail, events)
        if anomaly.key not in found or anomaly.since < found[anomaly.key].since:
            found[anomaly.key] = anomaly
    return list(found.values())
