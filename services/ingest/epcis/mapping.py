"""Decides what one EPCIS event is in the catalogue, and whether its sender may say so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from services.ingest import authority, judgement
from services.ingest.epcis import goods
from services.ingest.epcis.event import INPUTS, TRANSFORMATION, Event
from services.ingest.epcis.formats import moment
from services.ingest.epcis.goods import Line
from services.ingest.epcis.occasion import Occasion, Original, Sender
from services.ingest.epcis.outcome import SECURITY, VALIDATION, Incomplete, Mapped, NotApplicable, Outcome, Refused
from services.ingest.epcis.rows import NOT_GIVEN, ROWS, Row, may_say
from services.ingest.epcis.verdict import Unknown, Verdict
from services.ingest.epcis.vocabulary import ERROR_REASON, short
from shared.errors import Fault, Invalid
from shared.events import cloudevent
from shared.events.cloudevent import CloudEvent, Said
from shared.events.corrections import SOURCE_PREFIX, EventCorrected

# Where EPCIS says what the catalogue requires.
_SAID_BY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "expires_on": "cbvmda:itemExpirationDate in ilmd, or sw:expiresOn",
        "manufacturer": "sw:manufacturer, unless the sender has a single GLN",
        "country_of_origin": "cbvmda:countryOfOrigin or sw:countryOfOrigin",
        "holder": "a bizLocation with a GLN",
        "level": "sw:recallLevel",
        "reason": "sw:reason",
        "authorisation": "sw:authorisation",
        "certificate": "the business transaction of type cert",
    }
)


@dataclass(frozen=True, slots=True)
class Present:
    """The present, and how far ahead of it a time may be."""

    now: datetime
    ahead: timedelta


def outcome(occasion: Occasion, present: Present, originals: Sequence[Original] = ()) -> Outcome:
    """What becomes of a valid event; `originals` are what its eventID has become earlier, if that is known."""
    found = _told(occasion)
    if occasion.event.declaration is not None:
        if isinstance(found, Mapped):
            originals = originals or tuple(original(event) for event in found.events)
        found = _withdrawn(occasion, occasion.event.declaration, originals) if originals else found
    return _judged(found, occasion.sender, present) if isinstance(found, Mapped) else found


def original(event: CloudEvent) -> Original:
    return Original(event.source, event.id, event.type, event.data.key())


def _told(occasion: Occasion) -> Outcome:
    """What the event says, its declaration of an error aside."""
    if occasion.event.goods is None:
        return NotApplicable(f"{occasion.event.type} says nothing about supply")
    row, verdict = _row(occasion)
    if row is None:
        return NotApplicable(_nothing(occasion.event))
    packs = occasion.goods(occasion.event.goods)
    if not packs:
        return NotApplicable("names no trade items")
    forbidden = authority.role_fault(occasion.sender.principal(), row.model.TYPE, "type")
    if forbidden:
        return Refused(SECURITY, (forbidden,))
    lines, faults = goods.lines(packs, row.needs_lot, row.quantity)
    used, more = goods.inputs(occasion.inputs(INPUTS)) if occasion.event.type == TRANSFORMATION else ([], [])
    missing = (*(verdict.faults if isinstance(verdict, Unknown) else ()), *faults, *more)
    return Incomplete(row.model.TYPE, missing) if missing else _said(occasion, row, lines, used)


def _row(occasion: Occasion) -> tuple[Row | None, Verdict]:
    """The row that applies: a recall, else the first; else the first that might, of what the sender may say."""
    verdicts = [(row, verdict) for row in ROWS if (verdict := row.applies(occasion)) is not False]
    certain = [(row, verdict) for row, verdict in verdicts if verdict is True]
    recalls = [(row, verdict) for row, verdict in certain if row.recalls]
    possible = [(row, verdict) for row, verdict in verdicts if may_say(occasion, row.model.TYPE)]
    return next(iter(recalls or certain or possible), (None, False))


def _nothing(event: Event) -> str:
    words = " ".join(word for word in (event.type, event.action, event.step, event.disposition) if word)
    return f"{words}: nothing about supply that this sender can say"


def _said(occasion: Occasion, row: Row, lines: Iterable[Line], used: Sequence[Line]) -> Outcome:
    """The catalogue's events, one a line; the inputs of a transformation belong to the first of its outputs."""
    type_, time = row.model.TYPE, occasion.event.time
    events: list[CloudEvent] = []
    faults: list[Fault] = []
    for line in lines:
        data = {"gtin": line.gtin, "lot": line.lot, **row.data(occasion)}
        if row.amount:
            data[row.amount] = line.quantity
        if used and not events:
            data["inputs"] = [{"gtin": one.gtin, "lot": one.lot, "quantity": one.quantity} for one in used]
        try:
            events.append(_event(occasion, f"{occasion.event.id}/{line.gtin}/{line.lot or ''}", type_, data, time))
        except Invalid as error:
            faults += error.faults
    return _faulty(type_, faults) if faults else Mapped(tuple(events))


def _event(occasion: Occasion, id_: str, type_: str, data: Mapping[str, Any], time: str) -> CloudEvent:
    """A valid event of the catalogue, said at `time`. Raises Invalid."""
    attributes = {
        "specversion": cloudevent.SPEC_VERSION,
        "id": id_,
        "source": SOURCE_PREFIX + occasion.gln,
        "type": type_,
        "time": moment(time).instant.isoformat(),
    }
    return cloudevent.check(Said(attributes, {name: value for name, value in data.items() if value is not None}))


def _faulty(type_: str, faults: Sequence[Fault]) -> Outcome:
    """What the catalogue requires of the data and the event lacks makes it incomplete; all else is an error."""
    of_data = [_explained(fault) for fault in faults if fault.field and fault.field.startswith("data")]
    return Incomplete(type_, tuple(of_data)) if of_data else Refused(VALIDATION, tuple(faults))


def _explained(fault: Fault) -> Fault:
    said_by = _SAID_BY.get((fault.field or "").removeprefix("data.").partition("[")[0])
    return Fault(fault.field, fault.code, f"{fault.detail}; EPCIS says it by {said_by}" if said_by else fault.detail)


def _withdrawn(occasion: Occasion, declaration: Mapping[str, Any], originals: Sequence[Original]) -> Outcome:
    """One correction, without replacement, of each event that the original became."""
    event = occasion.event
    time: str = declaration["declarationTime"]
    told = declaration.get("sw:reason", short(ERROR_REASON, declaration.get("reason", NOT_GIVEN)))
    corrections: list[CloudEvent] = []
    for one in originals:
        data = {
            "corrects": {"source": one.source, "id": one.id, "type": one.type},
            "key": one.key,
            "corrected_on": event.day_of(time).isoformat(),
            "reason": told,
        }
        id_ = f"{event.id}/error/{time}/{one.id.removeprefix(event.id + '/')}"
        try:
            corrections.append(_event(occasion, id_, EventCorrected.TYPE, data, time))
        except Invalid as error:
            return _faulty(EventCorrected.TYPE, error.faults)
    return Mapped(tuple(corrections))


def _judged(found: Mapped, sender: Sender, present: Present) -> Outcome:
    """Judged like any event: its time, and who says it."""
    future = [event for event in found.events if event.time > present.now + present.ahead]
    if future:
        detail = f"the time is more than {present.ahead.total_seconds():.0f} s ahead of ours, {present.now.isoformat()}"
        return Refused(VALIDATION, (Fault("time", judgement.FUTURE_TIME, detail, id=future[0].id),))
    faults = [fault for event in found.events for fault in authority.faults(sender.principal(), event)]
    return Refused(SECURITY, tuple(faults)) if faults else found
