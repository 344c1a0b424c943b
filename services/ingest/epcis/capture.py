"""Says of every event of a document what becomes of it. Pure: what lies outside the document is handed in.

`needs(document)` tells what to look up, `captured(document, …)` decides. A later event of a document may rest on an
earlier one: on the lots of serials that it told, on what it became where a declaration takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.ingest.epcis import identifiers
from services.ingest.epcis.contexts import contexts
from services.ingest.epcis.documents import Document
from services.ingest.epcis.event import INPUTS, LOT_NUMBER, OBJECT, TRANSFORMATION, Event, event
from services.ingest.epcis.formats import moment
from services.ingest.epcis.goods import Goods, Lots, named
from services.ingest.epcis.mapping import Present, original, outcome
from services.ingest.epcis.occasion import Known, Occasion, Sender
from services.ingest.epcis.outcome import VALIDATION, Mapped, Outcome, Refused
from services.ingest.epcis.places import Atlas, countries
from shared.errors import Fault


@dataclass(frozen=True, slots=True)
class SerialLot:
    """An event has told that a serial of a product is of a lot; what was told later holds."""

    gtin: str
    serial: str
    lot: str
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Captured:
    """An event as it was sent and what became of it.

    `id` is its eventID or else its GS1 event hash, None only if it is not valid and has none. What it `teaches` is
    to be kept unless it is refused, or its document with it.
    """

    index: int
    event: Any
    id: str | None
    outcome: Outcome
    teaches: tuple[SerialLot, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What the events of a document need to know: countries of GLNs, lots of (gtin, serial), originals by eventID."""

    glns: frozenset[str]
    serials: frozenset[tuple[str, str]]
    originals: frozenset[str]


def captured(document: Document, sender: Sender, known: Known, present: Present) -> list[Captured]:
    """What becomes of each event. With faults of the document outside its events all are refused."""
    atlas = Atlas({} if document.faults else countries(document.master_data), known.countries)
    lots, originals = dict(known.lots), dict(known.originals)
    found: list[Captured] = []
    for index, raw in enumerate(document.events):
        faults = [*document.faults, *document.event_faults(index)]
        if faults:
            found.append(_refused(index, raw, faults))
            continue
        said = _event(document, raw)
        became = outcome(Occasion(said, sender, atlas, lots), present, originals.get(said.id, ()))
        teaches = () if isinstance(became, Refused) else tuple(_teaches(said))
        lots.update({(one.gtin, one.serial): one.lot for one in teaches})
        if isinstance(became, Mapped) and said.declaration is None:
            originals[said.id] = tuple(original(one) for one in became.events)
        found.append(Captured(index, raw, said.id, became, teaches))
    return found


def needs(document: Document) -> Needs:
    """What to look up before `captured`; of events that are not valid nothing."""
    valid = [] if document.faults else [n for n in range(len(document.events)) if not document.event_faults(n)]
    events = [_event(document, document.events[n]) for n in valid]
    mapped = [one for one in events if one.goods]
    return Needs(
        glns=frozenset(gln for one in mapped for uri in _whereabouts(one) if (gln := identifiers.gln(uri))),
        serials=frozenset(serial for one in mapped for serial in _serials(one)),
        originals=frozenset(one.id for one in mapped if one.declaration is not None),
    )


def _event(document: Document, raw: Any) -> Event:
    return event(raw, contexts(document.context, raw.get("@context")))


def _refused(index: int, raw: Any, faults: list[Fault]) -> Captured:
    told = raw.get("eventID") if isinstance(raw, dict) else None
    return Captured(index, raw, told if isinstance(told, str) else None, Refused(VALIDATION, tuple(faults)))


def _teaches(said: Event) -> Iterator[SerialLot]:
    """The lot in ilmd, or beside the serial, of what was made or marked; nothing if it is declared an error."""
    adds = said.type == TRANSFORMATION or (said.type == OBJECT and said.action == "ADD")
    if not adds or said.goods is None or said.declaration is not None:
        return
    told = said.extension(LOT_NUMBER)
    for one in named(said.raw, said.goods, Lots(told if isinstance(told, str) else None, {})):
        if isinstance(one, Goods) and one.serial is not None and one.lot is not None:
            yield SerialLot(one.gtin, one.serial, one.lot, moment(said.time).instant)


def _whereabouts(said: Event) -> Iterator[str]:
    yield from (place for name in ("readPoint", "bizLocation") if (place := said.place(name)))
    yield from (uri for side in ("source", "destination") for _, uri in said.parties(side))


def _serials(said: Event) -> Iterator[tuple[str, str]]:
    for lists in (said.goods, INPUTS):
        for one in named(said.raw, lists, Lots(None, {})) if lists else ():
            if isinstance(one, Goods) and one.serial is not None and one.lot is None:
                yield one.gtin, one.serial
