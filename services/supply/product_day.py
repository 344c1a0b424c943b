"""One product on the market on a day, over a window that ends with it: what the figures sum up. Pure.

Everything is worked out when it is first asked for, and once: of a product of which nothing changed it need not be
worked out again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property
from operator import attrgetter
from typing import Final

from services.supply.interruptions import Interruption
from services.supply.lot import MarketLot
from services.supply.months import Average, Month, average, months_of
from services.supply.origin import Origin
from services.supply.posting import UNNAMED_LOT
from services.supply.registry import Authorisation
from services.supply.registry_day import RegistryDay
from services.supply.supplied import Supplied, Window, home_packs, supplied, window_start
from services.supply.trade import Change, Introduction, Shipment, Trade

EXPIRING_DAYS: Final = 90  # how far is looked ahead
MONTH_DAYS: Final = 30


class ProductDay:
    """`lots` are all lots, or at least those with packs available, those used in the window, and those first supplied
    in it; then `released_on` is the first release ever of a domestic lot."""

    def __init__(
        self,
        gtin: int,
        day: RegistryDay,
        window: Window,
        lots: Sequence[MarketLot],
        trade: Trade,
        released_on: date | None = None,
    ) -> None:
        self.gtin = gtin
        self.day = day
        self.lots = lots
        self.trade = trade
        self.first = window_start(day.on, window)
        self._window: Window = window
        self._released_on = released_on

    @cached_property
    def supplied(self) -> Mapping[Origin, Supplied]:
        """The supplied packs by origin."""
        found = supplied(self.lots, self.day.origins, self.day.on, self._window)
        return {origin: row for (_, origin), row in found.items()}

    @cached_property
    def supplied_lots(self) -> Sequence[MarketLot]:
        """The named lots that were first supplied in the window."""
        return [
            lot
            for lot in self.lots
            if lot.supplied_on is not None and self._in_window(lot.supplied_on) and lot.lot != UNNAMED_LOT
        ]

    @cached_property
    def stocked(self) -> Sequence[MarketLot]:
        """The lots with usable packs, which may be fewer than none: neither recalled nor expired."""
        return [lot for lot in self.lots if lot.available and not self._blocked(lot)]

    def _blocked(self, lot: MarketLot) -> bool:
        return (lot.expires_on is not None and lot.expires_on < self.day.on) or self.recalled(lot)

    def recalled(self, lot: MarketLot) -> bool:
        return self.recalled_on(lot) is not None

    def recalled_on(self, lot: MarketLot) -> date | None:
        return self.day.registry.recalled_on(lot.gtin, lot.lot, lot.introduced_on, self.day.on)

    @cached_property
    def usable(self) -> int:
        return sum(lot.available for lot in self.stocked)

    @cached_property
    def usable_packs(self) -> int:
        """As many as are counted, also where a lot has fewer than none."""
        return sum(abs(lot.available) for lot in self.stocked)

    @cached_property
    def reached(self) -> int:
        """The packs that reached available of the lots that were first supplied in the window."""
        return sum(row.reached for row in self.supplied.values())

    @cached_property
    def expiring(self) -> Fraction:
        """The packs that expire within 90 days before they are used, where use is known."""
        return expiring(self.stocked, self.average.a_day, self.day.on)

    @cached_property
    def months(self) -> Mapping[int, Month]:
        """What was reported, and whether there was stock, by month."""
        return months_of(self.trade, self.day.on)

    @cached_property
    def average(self) -> Average:
        """What is used in a month, in packs."""
        return average([(1, self.months)], self.day.on)

    @cached_property
    def used(self) -> Mapping[Origin, int]:
        """Net packs consumed in the window by origin; of the unnamed lot by the one that all authorisations share."""
        found: dict[Origin, int] = defaultdict(int)
        for lot, changes in self.trade.used.items():
            packs = _within(changes, self.first, self.day.on)
            if packs:
                found[self.origin_of_use(lot)] += packs
        return found

    def origin_of_use(self, lot: str) -> Origin:
        """Where consumed packs of a lot come from; of the unnamed lot if all authorisations of the product agree."""
        if lot == UNNAMED_LOT:
            return self.day.shared_origin(self.gtin)
        return self._origins.get(lot, "unknown")

    @cached_property
    def _origins(self) -> Mapping[str, Origin]:
        return {lot.lot: self.day.origins.of(lot) for lot in self.lots}

    def origin(self, lot: str) -> Origin:
        return self._origins.get(lot, "unknown")

    @cached_property
    def released_on(self) -> date | None:
        """The first day on which a domestic lot reached available."""
        if self._released_on is not None:
            return self._released_on
        days = (lot.supplied_on for lot in self.lots if self._origins[lot.lot] == "domestic")
        return min((day for day in days if day is not None), default=None)

    @cached_property
    def produced_in_window(self) -> bool:
        """Whether a lot that counts as domestic was made in the window."""
        return any(
            item.kind == "produced" and self._in_window(item.on) and self.origin(item.lot) == "domestic"
            for item in self.trade.introductions
        )

    @cached_property
    def moved(self) -> bool:
        """Whether any pack moved in the window."""
        days = self.trade.moved
        upto = bisect_right(days, self.day.on)
        return upto > 0 and days[upto - 1] >= self.first

    @cached_property
    def shipments(self) -> Sequence[Shipment]:
        """The exports of domestic lots in the window."""
        return [
            item for item in self.trade.shipments if self._in_window(item.on) and self.origin(item.lot) == "domestic"
        ]

    @cached_property
    def arrived(self) -> tuple[int, int, int]:
        """Packs that reached available of the lots first supplied in the last 30 days, and in the 90 days before; how
        many lots the latter are."""
        on = self.day.on
        recent = before = lots = 0
        for lot in self.lots:
            if lot.supplied_on is None or lot.supplied_on > on or lot.lot == UNNAMED_LOT:
                continue
            age = (on - lot.supplied_on).days
            if age < MONTH_DAYS:
                recent += lot.reached
            elif age < 4 * MONTH_DAYS:
                before += lot.reached
                lots += 1
        return recent, before, lots

    def is_hit_by(self, interruption: Interruption) -> bool:
        """Whether an interruption is about this product: itself, or a site or firm that made lots in the window."""
        if interruption.gtin is not None:
            return int(interruption.gtin) == self.gtin
        return interruption.site is not None and interruption.site in self.makers

    @cached_property
    def makers(self) -> frozenset[str]:
        """GLNs of the sites and firms that made its lots in the window."""
        made = [item for item in self.trade.introductions if item.kind == "produced" and self._in_window(item.on)]
        return frozenset(gln for item in made for gln in (item.site, item.firm) if gln is not None)

    @cached_property
    def made_by(self) -> tuple[Mapping[str, int], int, int]:
        """Supplied packs by manufacturer; packs that reached available of lots that are counted, and of all."""
        found: dict[str, int] = defaultdict(int)
        counted = of = 0
        for lot in self.supplied_lots:
            of += lot.reached
            maker = self.maker(lot)
            if maker is not None and self.origin(lot.lot) != "unknown":
                counted += lot.reached
                found[maker] += home_packs(lot, self.recalled_on(lot))
        return found, counted, of

    @cached_property
    def _introductions(self) -> Mapping[str, Sequence[Introduction]]:
        found: dict[str, list[Introduction]] = defaultdict(list)
        for item in self.trade.introductions:
            found[item.lot].append(item)
        return found

    def introductions_of(self, lot: str) -> Sequence[Introduction]:
        """How a lot came into being, in order."""
        return self._introductions.get(lot, ())

    def maker(self, lot: MarketLot) -> str | None:
        """A lot's manufacturer: as its production names it, else as its authorisation does; None where nobody says."""
        said = self.introductions_of(lot.lot)
        produced = next((item for item in said if item.kind == "produced"), None)
        if produced is not None:
            return produced.firm
        for item in said:
            held = item.authorisation and self.day.registry.authorisation(item.authorisation, max(item.on, self.day.on))
            if held:
                return held.manufacturer
        under = self._import_authorisation(lot.introduced_on or self.day.on)
        return None if under is None else under.manufacturer

    def _import_authorisation(self, day: date) -> Authorisation | None:
        """The import authorisation that was granted last by the day; else the last of any."""
        held = self.day.authorisations_of.get(self.gtin, ())
        by_then = [item for item in held if item.origin == "import" and item.granted_on <= day]
        return max(by_then or held, key=lambda item: (item.granted_on, item.authorisation), default=None)

    def _in_window(self, day: date) -> bool:
        return self.first <= day <= self.day.on


def expiring(lots: Sequence[MarketLot], a_day: Fraction, on: date) -> Fraction:
    """The most, over the next 90 days, of (usable packs of one product that expire by then - what is used by then),
    never below 0. What was consumed without naming a lot is taken from the lots that expire first."""
    unnamed = sum(lot.available for lot in lots if lot.lot == UNNAMED_LOT)
    left = max(0, -unnamed)
    most, by_then = Fraction(0), 0
    for lot in sorted((lot for lot in lots if lot.lot != UNNAMED_LOT), key=_by_expiry):
        taken = min(left, max(0, lot.available))
        left -= taken
        days = None if lot.expires_on is None else (lot.expires_on - on).days
        if days is None or days > EXPIRING_DAYS:
            break
        by_then += lot.available - taken
        most = max(most, by_then - a_day * days)
    return most


def _by_expiry(lot: MarketLot) -> tuple[date, str]:
    """First expiry first out; what has no expiry lasts longest."""
    return (lot.expires_on or date.max, lot.lot)


def _within(changes: Sequence[Change], first: date, last: date) -> int:
    day = attrgetter("on")
    start, end = bisect_left(changes, first, key=day), bisect_right(changes, last, key=day)
    return sum(change.packs for change in changes[start:end])
