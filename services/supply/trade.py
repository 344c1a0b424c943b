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
