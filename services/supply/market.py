"""What a measurement looks at on a day: the products on the market over a window that ends with it, and the registry.

Pure. Products of which nothing changed are taken over from the measurement before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date

from services.supply.lot import MarketLot
from services.supply.origin import Origin
from services.supply.product_day import ProductDay
from services.supply.registry_day import RegistryDay
from services.supply.scopes import is_one_product
from services.supply.supplied import Supplied, Window, window_start
from services.supply.trade import NO_TRADE, Trade


class Market:
    """The market on the registry's day."""

    def __init__(self, day: RegistryDay, window: Window, products: Mapping[int, ProductDay]) -> None:
        self.day = day
        self.window = window
        self.products = products
        self._held: dict[str, list[ProductDay]] = {}
        self._made_by: dict[str, tuple[Mapping[str, int], int, int]] = {}

    @property
    def on(self) -> date:
        return self.day.on

    @property
    def first(self) -> date:
        """The first day of the window."""
        return window_start(self.on, self.window)

    def inside(self, scope: str) -> Callable[[int], bool]:
        return self.day.inside(scope)

    def of(self, scope: str) -> list[ProductDay]:
        """The scope's products of which anything is known."""
        if scope not in self._held:
            if scope == "all":
                self._held[scope] = list(self.products.values())
            else:
                found = map(self.products.get, self.day.gtins(scope))
                self._held[scope] = [held for held in found if held is not None]
        return self._held[scope]

    def unit(self, scope: str) -> Callable[[int], int | None]:
        """What a pack counts for in a scope, in parts of its unit (see `scale`): of one product in packs, of several in
        defined daily doses, if it has any."""
        return (lambda gtin: 1) if is_one_product(scope) else self.day.scaled_doses.get

    def scale(self, scope: str) -> int:
        """How many parts make up one unit."""
        return 1 if is_one_product(scope) else self.day.doses_scale

    def made_by(self, scope: str) -> tuple[Mapping[str, int], int, int]:
        """Supplied amounts by manufacturer, in parts of the scope's unit; packs that reached available of lots that are
        counted, and of all."""
        if scope not in self._made_by:
            unit = self.unit(scope)
            found: dict[str, int] = defaultdict(int)
            counted = of = 0
            for held in self.of(scope):
                amounts, of_makers, reached = held.made_by
                of += reached
                weight = unit(held.gtin)
                if weight is not None:
                    counted += of_makers
                    for maker, packs in amounts.items():
                        found[maker] += weight * packs
            self._made_by[scope] = (found, counted, of)
        return self._made_by[scope]

    def rows(self, scope: str) -> Iterator[tuple[int, Origin, Supplied]]:
        """GTIN, origin and supplied packs of the scope's products."""
        return ((held.gtin, origin, row) for held in self.of(scope) for origin, row in held.supplied.items())


def products_on(
    day: RegistryDay,
    window: Window,
    lots: Iterable[MarketLot],
    trades: Mapping[int, Trade],
    released_on: Mapping[int, date] | None = None,
) -> dict[int, ProductDay]:
    """By GTIN, the products of these lots and trades."""
    by_gtin: dict[int, list[MarketLot]] = defaultdict(list)
    for lot in lots:
        by_gtin[lot.gtin].append(lot)
    first = released_on or {}
    return {
        gtin: ProductDay(gtin, day, window, by_gtin.get(gtin, ()), trades.get(gtin, NO_TRADE), first.get(gtin))
        for gtin in by_gtin.keys() | trades.keys()
    }


def taken_over(
    before: Mapping[int, ProductDay], fresh: Mapping[int, ProductDay], gone: Collection[int]
) -> dict[int, ProductDay]:
    """The products of the measurement before, with those that changed (`gone`) replaced."""
    return {**{gtin: held for gtin, held in before.items() if gtin not in gone}, **fresh}
