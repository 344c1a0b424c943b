"""Says what is kept of a captured event and of the document around it, and makes a document of them again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.ingest.epcis.capture import Captured, SerialLot
from services.ingest.epcis.documents import Document
from services.ingest.epcis.outcome import Incomplete, Mapped, NotApplicable, Refused

# GS1 AI (21) and (10); what is longer, or cannot be written, is the serial or the lot of no pack.
SERIAL_CHARACTERS: Final = 20
LOT_CHARACTERS: Final = 20

# Which event of a producer: hashes of its id and of its content.
Key = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is captured: `event` is it as JSON, `declared` whether it declares an error."""

    key: Key
    id: str
    index: int
    event: str
    declared: bool
    outcome: Mapped | Incomplete | NotApplicable
    teaches: tuple[SerialLot, ...]


def entries(found: Iterable[Captured]) -> list[Entry]:
    """What is kept of the events that are not refused. Of the same event said twice the later holds."""
    kept: dict[Key, Entry] = {}
    for one in found:
        if not isinstance(one.outcome, Refused):
            assert one.id is not None
            key = id_hash(one.id), _content(one.event)
            declared = "errorDeclaration" in one.event
            kept[key] = Entry(key, one.id, one.index, _json(one.event), declared, one.outcome, one.teaches)
    return list(kept.values())


def id_hash(event_id: str) -> bytes:
    """By what an event is looked for: an id may be longer than an index bears."""
    return hashlib.sha256(event_id.encode()).digest()


def _content(event: Any) -> bytes:
    """Equal for the same JSON in whatever order its names stand."""
    return hashlib.sha256(json.dumps(event, sort_keys=True, ensure_ascii=False).encode()).digest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def lessons(kept: Sequence[Entry], latest: datetime) -> list[SerialLot]:
    """The lots of serials that are worth keeping: what was told last of each, and nothing from after `latest`."""
    found: dict[tuple[str, str], SerialLot] = {}
    for lesson in (one for entry in kept for one in entry.teaches):
        place = lesson.gtin, lesson.serial
        known = found.get(place)
        newer = known is None or known.told_at <= lesson.told_at
        if newer and lesson.told_at <= latest and _can_be_kept(lesson):
            found[place] = lesson
    return list(found.values())


def _can_be_kept(lesson: SerialLot) -> bool:
    return is_serial(lesson.serial) and len(lesson.lot) <= LOT_CHARACTERS and lesson.lot.isprintable()


def is_serial(text: str) -> bool:
    """Whether anyone can have told the lot of such a serial."""
    return len(text) <= SERIAL_CHARACTERS and text.isprintable()


def frame(document: Document) -> str:
    """What its events share, as JSON."""
    return _json({"context": document.context, "master_data": document.master_data})


def document_of(event: str, frame: str) -> Document:
    """A document of one event, which means in it what it meant in its own."""
    around = json.loads(frame)
    return Document((json.loads(event),), context=around["context"], master_data=tuple(around["master_data"]))
