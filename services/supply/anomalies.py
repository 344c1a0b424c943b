"""Decides what in the state contradicts itself: open while it does, gone when it no longer does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from services.supply.lot import LotState, gtin_text
from services.supply.places import Place


class Behind(msgspec.Struct, frozen=True):
    """An event behind an anomaly; `place` (topic, partition, offset) tells records that claim to be one event apart."""

    source: str
    id: str
    place: tuple[str, int, int] | None = None

    def as_json(self) -> dict[str, Any]:
        named = {"source": self.source, "id": self.id}
        return named if self.place is None else {**named, **dict(zip(_PLACE, self.place, strict=True))}


_PLACE: Final = ("topic", "partition", "offset")


class Anomaly(msgspec.Struct, frozen=True):
    """One contradiction. `subject` is `<gtin>/<lot>` or `<source>/<id>` percent-encoded; `events` show it."""

    kind: str
    subject: str
    since: date
    detail: str
    events: tuple[Behind, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.subject}"

    @property
    def rank(self) -> tuple[date, tuple[str, int, int]]:
        """Of several records with which one event contradicts itself the first in this order is told."""
        return (self.since, (self.events[-1].place if self.events else None) or _NO_PLACE)

    def as_json(self) -> dict[str, Any]:
        """An item of GET /anomalies, open."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "since": self.since.isoformat(),
            "until": None,
            "detail": self.detail,
            "events": [event.as_json() for event in self.events],
            "ended_by": [],
        }


_NO_PLACE: Final = ("", 0, 0)


def comes_before(new: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether of two anomalies as JSON with one key `new` is to be told, and `told` stands no longer."""
    return told["until"] is not None or _told_rank(new) < _told_rank(told)


def _told_rank(told: Mapping[str, Any]) -> tuple[str, bool, list[Any]]:
    """As Anomaly.rank; one whose record is not named is the last."""
    behind = told["events"][-1] if told["events"] else {}
    return (told["since"], "topic" not in behind, [behind.get(name) for name in _PLACE if name in behind])


def lot_subject(gtin: int, lot: str) -> str:
    return f"{gtin_text(gtin)}/{quote(lot, safe='')}"


def event_subject(source: str, id_: str) -> str:
    return f"{quote(source, safe='')}/{quote(id_, safe='')}"


def lot_of(subject: str) -> tuple[int, str]:
    """The gtin and lot that `lot_subject` named."""
    gtin, _, lot = subject.partition("/")
    return int(gtin), unquote(lot)


LOT_KINDS: Final = ("overdrawn_lot", "quarantine_overdrawn", "origin_conflict")
PLACE_OF_KIND: Final = {"overdrawn_lot": "available", "quarantine_overdrawn": "quarantine"}


class Turn(msgspec.Struct, frozen=True):
    """A day on which packs left a place of a lot, or came `into` it: what took it below zero, or brought it back."""

    gtin: int
    lot: str
    place: str
    on: date
    into: bool = False


def turn_of(kind: str, subject: str, on: date, *, into: bool = False) -> Turn | None:
    """What begins an anomaly of this kind on a day, or ends it; None for one that is not about a place."""
    place = PLACE_OF_KIND.get(kind)
    return None if place is None else Turn(*lot_of(subject), place, on, into)


class LotDay(msgspec.Struct, frozen=True):
    """What took effect of one lot on one day: net packs that came to `available` and to `quarantine`, and net packs by
    which it was `produced` here and `imported`."""

    on: date
    available: int
    quarantine: int
    produced: int
    imported: int


def contradicts(lot: LotState) -> bool:
    """Whether anything is odd about a lot. The unnamed lot is never overdrawn."""
    return lot.named and (lot.available < 0 or lot.packs[Place.QUARANTINE] < 0 or lot.origin_conflict)


Turned = Mapping[Turn, tuple[Behind, ...]]
NOTHING: Final[Turned] = {}


def of_lot(lot: LotState, days: Sequence[LotDay], on: date, turned: Turned = NOTHING) -> list[Anomaly]:
    """What contradicts itself in one lot with its packs up to `on`. `days`: all that took effect of it, by day;
    `turned`: the events behind the days on which a place was overdrawn.

    An overdrawn place is odd since the first day of the run of days below zero in which `on` lies.
    """
    if not contradicts(lot):
        return []
    subject = lot_subject(lot.gtin, lot.lot)
    found = []
    if lot.available < 0:
        detail = f"{-lot.available} packs more have left the lot than became available"
        since = below_zero_since(_packs(days, "overdrawn_lot"), on) or on
        events = turned.get(Turn(lot.gtin, lot.lot, "available", since), ())
        found.append(Anomaly("overdrawn_lot", subject, since, detail, events))
    if (quarantine := lot.packs[Place.QUARANTINE]) < 0:
        detail = f"{-quarantine} packs more have left quarantine than entered it"
        since = below_zero_since(_packs(days, "quarantine_overdrawn"), on) or on
        events = turned.get(Turn(lot.gtin, lot.lot, "quarantine", since), ())
        found.append(Anomaly("quarantine_overdrawn", subject, since, detail, events))
    if lot.origin_conflict:
        since = _both_since(days) or lot.introduced_on or on
        found.append(Anomaly("origin_conflict", subject, since, "the lot was both produced here and imported"))
    return found


def ends_on(told: Mapping[str, Any], days: Sequence[LotDay], on: date) -> date:
    """When a lot's anomaly that was told as open and no longer is ended: the first day from `since` on which, as known
    now, nothing is odd. That is `since` itself where it never was, as known now."""
    since = date.fromisoformat(told["since"])
    if told["kind"] not in PLACE_OF_KIND:
        return since
    return not_below_zero_from(_packs(days, told["kind"]), since) or on


def ended(told: Mapping[str, Any], until: date, ended_by: Sequence[Behind] = ()) -> dict[str, Any]:
    """An anomaly as JSON that is open no longer, with the events that ended it, where single events did."""
    return {**told, "until": until.isoformat(), "ended_by": [event.as_json() for event in ended_by]}


def _packs(days: Sequence[LotDay], kind: str) -> list[tuple[date, int]]:
    """The changes of the balance that an anomaly of this kind speaks of."""
    return [(day.on, day.available if kind == "overdrawn_lot" else day.quarantine) for day in days]


def below_zero_since(changes: Iterable[tuple[date, int]], on: date) -> date | None:
    """The first day of the run of days below zero in which `on` lies; None if `on` is not below zero.

    `changes` are (day, packs) by rising day, from zero.
    """
    packs, since = 0, None
    for day, change in changes:
        if day > on:
            break
        packs += change
        since = None if packs >= 0 else since or day
    return since


def not_below_zero_from(changes: Sequence[tuple[date, int]], first: date) -> date | None:
    """The first day from `first` on that is not below zero; None if all are."""
    packs = sum(change for day, change in changes if day <= first)
    if packs >= 0:
        return first
    for day, change in changes:
        if day > first:
            packs += change
            if packs >= 0:
                return day
    return None


def _both_since(days: Sequence[LotDay]) -> date | None:
    """The first day up to which the lot had been produced here and been imported."""
    produced = next((day.on for day in days if day.produced > 0), None)
    imported = next((day.on for day in days if day.imported > 0), None)
    return None if produced is None or imported is None else max(produced, imported)


def turns(
    odd: Iterable[LotState],
    were: Collection[Mapping[str, Any]],
    days: Mapping[tuple[int, str], Sequence[LotDay]],
    on: date,
) -> set[Turn]:
    """The days on which something became overdrawn, or was no longer."""
    begun = (
        turn_of(anomaly.kind, anomaly.subject, anomaly.since)
        for lot in odd
        for anomaly in of_lot(lot, days.get((lot.gtin, lot.lot), ()), on)
    )
    over = (
        turn_of(data["kind"], data["subject"], ends_on(data, days.get(lot_of(data["subject"]), ()), on), into=True)
        for data in were
    )
    return {turn for turn in (*begun, *over) if turn is not None}
