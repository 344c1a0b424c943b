"""Decides which dated duties of agreements are open, met or cancelled. Pure; alerts keeps the clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Literal

import msgspec

from services.supply.agreements import Agreement
from services.supply.lot import LotState
from services.supply.origin import Origins
from services.supply.registry import Packing
from shared.events.reader import Milestone, TransferAmended, TransferEnded, TransferReached, TransferSigned

State = Literal["open", "met", "cancelled"]


class Obligation(msgspec.Struct, frozen=True):
    """One duty: `obligation` is its id, `subject` what it is about, `events` what opened it and what ended it."""

    obligation: str
    kind: str
    subject: str
    title: str
    due_on: date | None
    state: State
    met_on: date | None
    opened_on: date | None = None
    events: tuple[tuple[str, str], ...] = ()
    products: tuple[str, ...] | None = None  # scopes of the products concerned, of an interruption

    def as_json(self) -> dict[str, Any]:
        return {
            "obligation": self.obligation,
            "kind": self.kind,
            "subject": self.subject,
            "title": self.title,
            "due_on": self.due_on and self.due_on.isoformat(),
            "state": self.state,
            "met_on": self.met_on and self.met_on.isoformat(),
            "opened_on": self.opened_on and self.opened_on.isoformat(),
            "events": [{"source": source, "id": id_} for source, id_ in self.events],
            **({} if self.products is None else {"products": list(self.products)}),
        }


class Evidence(msgspec.Struct):
    """The first days on which a GTIN's domestic lots were produced, released and exported, and it was registered."""

    first_produced: date | None = None
    first_registered: date | None = None
    first_released: date | None = None
    first_exported: date | None = None


def evidence(
    lots: Iterable[LotState],
    exported_on: Mapping[tuple[int, str], date],
    registered_on: Mapping[int, date],
    day: date,
    origins: Origins,
) -> dict[int, Evidence]:
    """By GTIN, up to `day`. `registered_on`: the first domestic authorisation of each GTIN."""
    found: dict[int, Evidence] = {}
    for gtin, granted_on in registered_on.items():
        found.setdefault(gtin, Evidence()).first_registered = granted_on if granted_on <= day else None
    for lot in lots:
        if origins.of(lot) == "domestic":
            held = found.setdefault(lot.gtin, Evidence())
            held.first_produced = _earlier(held.first_produced, lot.introduced_on, day)
            held.first_released = _earlier(held.first_released, lot.supplied_on, day)
            held.first_exported = _earlier(held.first_exported, exported_on.get((lot.gtin, lot.lot)), day)
    return found


def _earlier(held: date | None, found: date | None, day: date) -> date | None:
    if found is None or found > day:
        return held
    return found if held is None else min(held, found)


def milestones(
    agreements: Iterable[Agreement], packings: Mapping[int, Packing], seen: Mapping[int, Evidence]
) -> list[Obligation]:
    """The milestones of every agreement as obligations, by id."""
    return [
        _milestone(agreement, milestone, _first(agreement, milestone, packings, seen))
        for agreement in agreements
        for milestone in agreement.milestones
    ]


def _first(
    agreement: Agreement, milestone: Milestone, packings: Mapping[int, Packing], seen: Mapping[int, Evidence]
) -> date | None:
    """The first day on which any product of the agreement gave the evidence that meets the milestone."""
    if milestone.met_by is None:
        return None
    named = {int(gtin) for product in agreement.products for gtin in product.gtins}
    under_it = {gtin for gtin, packing in packings.items() if packing.agreement == agreement.agreement}
    days = [getattr(seen[gtin], milestone.met_by) for gtin in named | under_it if gtin in seen]
    return min((day for day in days if day is not None and day >= agreement.signed_on), default=None)


def _milestone(agreement: Agreement, milestone: Milestone, shown_on: date | None) -> Obligation:
    said_on = agreement.reached.get(milestone.milestone)
    met_on = min((day for day in (said_on, shown_on) if day is not None), default=None)
    state: State = "met" if met_on else "cancelled" if agreement.ended_on else "open"
    return Obligation(
        obligation=f"{agreement.agreement}:{milestone.milestone}",
        kind="milestone",
        subject=agreement.agreement,
        title=f"{agreement.title}: {milestone.title}",
        due_on=milestone.due_on,
        state=state,
        met_on=met_on,
        opened_on=agreement.signed_on,
        events=_events(agreement, milestone.milestone),
    )


def _events(agreement: Agreement, milestone: str) -> tuple[tuple[str, str], ...]:
    """The signing, amendments and end of the agreement, and what was said to have reached the milestone."""
    of_it = [
        fact
        for fact in agreement.events
        if isinstance(fact.data, TransferSigned | TransferAmended | TransferEnded)
        or (isinstance(fact.data, TransferReached) and fact.data.milestone == milestone)
    ]
    return tuple(dict.fromkeys((fact.source, fact.id) for fact in of_it))
