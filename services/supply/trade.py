"""Says what one product did on the market by day of effect, as known: what its lots alone do not tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, Literal, NamedTuple

import msgspec

Named = tuple[str, str]  # an event's source and id


class Report(NamedTuple):
    """Packs that reports of one period say were used; several of one period are added up."""

    start: date
    end: date
    packs: int


class Change(NamedTuple):
    """Packs by which something changed on a day."""

    on: date
    packs: int


class Shipment(NamedTuple):
    """One export, as it stands after corrections; `value` in VND."""

    lot: str
    on: date
    packs: int
    destination: str
    value: int | None
    said_by: Named
    by_regulator: bool = False


class Introduction(NamedTuple):
    """How packs of a lot came into being, as it stands after corrections."""

    lot: str
    kind: Literal["produced", "imported"]
    on: date
    expires_on: date
    firm: str  # GLN of the manufacturer, or of the importer
    site: str | None
    country: str | None  # of origin
    authorisation: str | None
    basis: str  # registered, permit, donation
    said_by: Named
    by_regulator: bool = False


class Trade(msgspec.Struct):
    """One product: its consumption reports, net packs consumed a lot and day, net packs that came to `available` a day,
    the days on which anything moved (rising), exports, and how its lots came into being."""

    reports: Sequence[Report] = ()
    used: Mapping[str, Sequence[Change]] = {}
    stock: Sequence[Change] = ()
    moved: Sequence[date] = ()
    shipments: Sequence[Shipment] = ()
    introductions: Sequence[Introduction] = ()


NO_TRADE: Final = Trade()


def ordered(item: Introduction | Shipment) -> tuple[date, str, Named]:
    """In which order introductions and shipments stand."""
    return (item.on, item.lot, item.said_by)


def merged(before: Trade, more: Trade) -> Trade:
    """A product's trade with what was recorded since, if nothing of either was corrected by the other."""
    used = {lot: list(changes) for lot, changes in before.used.items()}
    for lot, changes in more.used.items():
        used[lot] = _added(used.get(lot, ()), changes)
    return Trade(
        reports=_reports_added(before.reports, more.reports),
        used=used,
        stock=_added(before.stock, more.stock),
        moved=sorted({*before.moved, *more.moved}),
        shipments=sorted([*before.shipments, *more.shipments], key=ordered),
        introductions=sorted([*before.introductions, *more.introductions], key=ordered),
    )


def _added(before: Sequence[Change], more: Sequence[Change]) -> list[Change]:
    packs = dict(before)
    for on, change in more:
        packs[on] = packs.get(on, 0) + change
    return [Change(on, change) for on, change in sorted(packs.items()) if change]


def _reports_added(before: Sequence[Report], more: Sequence[Report]) -> list[Report]:
    packs = {(start, end): told for start, end, told in before}
    for start, end, told in more:
        packs[start, end] = packs.get((start, end), 0) + told
    return [Report(start, end, told) for (start, end), told in sorted(packs.items())]
