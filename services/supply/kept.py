"""What one evaluation keeps for the next: products worked out on a day, and what is odd about each. Pure.

As long as the day and the registry are the same, only products of which something was recorded are worked out anew; the
sums over products are made each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from services.supply.anomalies import Anomaly, contradicts
from services.supply.cross_checks import Lapse, Product, Validity, checked, lapsed, lapses
from services.supply.lot import LotState, market_lot
from services.supply.market import Market, products_on, taken_over
from services.supply.origin import Origins
from services.supply.registry import Registry
from services.supply.registry_day import RegistryDay
from services.supply.supplied import Window
from services.supply.trade import Trade

LotKey = tuple[int, str]


class Kept:
    """The products as they were worked out last."""

    def __init__(self, domestic_local_steps: frozenset[str], windows: Collection[Window]) -> None:
        self._steps = domestic_local_steps
        self._windows = windows
        self._day: RegistryDay | None = None
        self._validity: Validity | None = None
        self._odd: dict[int, tuple[list[Anomaly], list[Lapse]]] = {}
        self._overdrawn: dict[int, list[LotState]] = {}
        self.markets: dict[Window, Market] = {}

    def day(self, registry: Registry, on: date) -> RegistryDay:
        """The registry on a day: the one worked out before, if it still is that."""
        if self._day is None or self._day.on != on or self._day.registry is not registry:
            return RegistryDay(on, Origins(registry, self._steps))
        return self._day

    def move_on(
        self,
        day: RegistryDay,
        lots: Mapping[int, Sequence[LotState]],
        reached: Mapping[LotKey, int],
        trades: Mapping[int, Trade],
        products: Mapping[int, Product],
        changed: Collection[int] | None,
    ) -> frozenset[int] | None:
        """Works out what changed; `changed` are the products of which anything did (None: any may have), and their lots
        and trades are those given. Gives back which products were worked out anew; None for all."""
        if changed is None or not self.markets or self._day is not day:
            changed = None
        fresh = lots.keys() | trades.keys() if changed is None else changed
        of_fresh = [lot for gtin in fresh for lot in lots.get(gtin, ())]
        sold = [market_lot(lot, reached.get((lot.gtin, lot.lot), 0)) for lot in of_fresh]
        their_trades = {gtin: trades[gtin] for gtin in fresh if gtin in trades}
        for window in self._windows:
            found = products_on(day, window, sold, their_trades)
            if changed is not None:
                found = taken_over(self.markets[window].products, found, fresh)
            self.markets[window] = Market(day, window, found)
        self._day = day
        self._check(day, lots, products, fresh, all_of_them=changed is None)
        return None if changed is None else frozenset(changed)

    def _check(
        self,
        day: RegistryDay,
        lots: Mapping[int, Sequence[LotState]],
        products: Mapping[int, Product],
        fresh: Iterable[int],
        *,
        all_of_them: bool,
    ) -> None:
        if all_of_them or self._validity is None:
            self._validity = Validity(day.registry)
            self._odd.clear()
            self._overdrawn.clear()
        validity = self._validity
        for gtin in {*fresh, *(products if all_of_them else ())}:
            self._odd.pop(gtin, None)
            self._overdrawn.pop(gtin, None)
            if gtin in products:
                found = list(checked(products[gtin], validity, day.on)), list(lapses(products[gtin], validity, day.on))
                if found[0] or found[1]:
                    self._odd[gtin] = found
            overdrawn = [lot for lot in lots.get(gtin, ()) if contradicts(lot)]
            if overdrawn:
                self._overdrawn[gtin] = overdrawn

    @property
    def overdrawn(self) -> list[LotState]:
        """The lots that contradict themselves."""
        return [lot for _, found in sorted(self._overdrawn.items()) for lot in found]

    @property
    def odd(self) -> list[Anomaly]:
        """What the cross-checks found."""
        after_end = [lapse for _, found in self._odd.values() for lapse in found]
        return [anomaly for found, _ in self._odd.values() for anomaly in found] + lapsed(after_end)


def by_product(lots: Iterable[LotState]) -> dict[int, list[LotState]]:
    found: dict[int, list[LotState]] = defaultdict(list)
    for lot in lots:
        found[lot.gtin].append(lot)
    return dict(found)
