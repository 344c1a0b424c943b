"""Decides where a lot comes from, by everything that is known, whatever day is asked for. Pure.

Domestic if it was produced here (also if it was imported as well), import if received, else not yet known. What was
made here by a local step that does not count as domestic production is import. By which step a lot was made, its
authorisation says as it stood when the lot was introduced: the one that its production names, if it is one of its
product's; else, of its product's, the domestic one that was granted last by then, or first afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final, Literal

from services.supply.lot import LotState, MarketLot
from services.supply.posting import UNNAMED_LOT
from services.supply.registry import Authorisation, Registry

Origin = Literal["domestic", "import", "unknown"]
DOMESTIC: Final = "domestic"


class Origins:
    """The origins of lots by one registry; `domestic_local_steps` are the steps that count as domestic production."""

    def __init__(self, registry: Registry, domestic_local_steps: frozenset[str]) -> None:
        self.registry = registry
        self._steps = {*domestic_local_steps, None}  # of which nothing is said, that counts
        self._histories: dict[str, list[tuple[date, Authorisation]]] = {}

    def of(self, lot: LotState | MarketLot) -> Origin:
        """Unknown for the unnamed lot."""
        if lot.lot == UNNAMED_LOT:
            return "unknown"
        if lot.produced_count > 0:
            return "domestic" if self._counts(lot) else "import"
        return "import" if lot.imported_count > 0 else "unknown"

    def under(self, held: Authorisation) -> Origin:
        """The origin of what is made or imported under an authorisation."""
        return "domestic" if held.origin == DOMESTIC and held.local_step in self._steps else "import"

    def _counts(self, lot: LotState | MarketLot) -> bool:
        named = self.registry.local_steps.get(lot.gtin, {})
        if all(steps <= self._steps for steps in named.values()):
            return True
        return self._under(lot, named).local_step in self._steps

    def _under(self, lot: LotState | MarketLot, names: Iterable[str]) -> Authorisation:
        """The authorisation under which a lot was made, of those of its product (at least one)."""
        day = lot.introduced_on or date.max
        held = {name: self._on(name, day) for name in names}
        if lot.authorisation in held:
            return held[lot.authorisation]
        by_then = [item for item in held.values() if item.granted_on <= day]
        if by_then:
            return max(by_then, key=lambda item: (item.origin == DOMESTIC, item.granted_on, item.authorisation))
        return min(held.values(), key=lambda item: (item.origin != DOMESTIC, item.granted_on, item.authorisation))

    def _on(self, authorisation: str, day: date) -> Authorisation:
        """As it stood on `day`, or at first."""
        history = self._histories.get(authorisation)
        if history is None:
            history = self._histories[authorisation] = self.registry.history(authorisation)
        return next((held for since, held in reversed(history) if since <= day), history[0][1])
