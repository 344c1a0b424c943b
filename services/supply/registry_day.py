"""The registry on one day as the figures ask it: products, what holds, who may make what, which scope holds what. Pure.

Everything is worked out when it is first asked for, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property
from math import lcm

from services.supply.agreements import Agreement
from services.supply.interruptions import Interruption
from services.supply.origin import Origin, Origins
from services.supply.plants import Certificate
from services.supply.registry import Authorisation, Packing, Registry
from services.supply.scopes import parse_scope, products_in


class RegistryDay:
    """What `origins.registry` says on the day `on`."""

    def __init__(self, on: date, origins: Origins) -> None:
        self.on = on
        self.origins = origins
        self._inside: dict[str, Callable[[int], bool]] = {}
        self._gtins: dict[str, Sequence[int]] = {}

    @property
    def registry(self) -> Registry:
        return self.origins.registry

    @cached_property
    def packings(self) -> Mapping[int, Packing]:
        return self.registry.packings(self.on)

    @cached_property
    def agreements(self) -> Mapping[str, Agreement]:
        return {agreement.agreement: agreement for agreement in self.registry.agreements(self.on)}

    @cached_property
    def authorisations(self) -> Sequence[Authorisation]:
        return self.registry.authorisations(self.on)

    @cached_property
    def valid(self) -> Sequence[Authorisation]:
        """The authorisations that hold on the day."""
        return [held for held in self.authorisations if held.valid_on(self.on)]

    @cached_property
    def certificates(self) -> Sequence[Certificate]:
        return self.registry.certificates(self.on)

    @cached_property
    def interruptions(self) -> Sequence[Interruption]:
        return self.registry.interruptions(self.on)

    @cached_property
    def authorisations_of(self) -> Mapping[int, Sequence[Authorisation]]:
        """By GTIN, every authorisation granted up to the day that names it."""
        found: dict[int, list[Authorisation]] = {}
        for held in self.authorisations:
            for pack in held.packs:
                found.setdefault(int(pack.gtin), []).append(held)
        return found

    def shared_origin(self, gtin: int) -> Origin:
        """The origin that all authorisations of a product share."""
        origins = {self.origins.under(held) for held in self.authorisations_of.get(gtin, ())}
        return next(iter(origins)) if len(origins) == 1 else "unknown"

    @cached_property
    def doses_scale(self) -> int:
        """Into how many equal parts a defined daily dose is divided, so that every pack holds a whole number."""
        exact = (Fraction(item.ddd_per_pack) for item in self.packings.values() if item.ddd_per_pack is not None)
        return lcm(*{doses.denominator for doses in exact})

    @cached_property
    def scaled_doses(self) -> Mapping[int, int]:
        """By GTIN, the defined daily doses in a pack, in such parts; only those that have any."""
        return {
            gtin: int(Fraction(item.ddd_per_pack) * self.doses_scale)
            for gtin, item in self.packings.items()
            if item.ddd_per_pack is not None
        }

    def doses(self, gtin: int) -> Fraction | None:
        """The defined daily doses in a pack."""
        scaled = self.scaled_doses.get(gtin)
        return None if scaled is None else Fraction(scaled, self.doses_scale)

    @cached_property
    def _by_substance(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for gtin, item in self.packings.items():
            found.setdefault(item.product.substance, []).append(gtin)
        return found

    def gtins(self, scope: str) -> Sequence[int]:
        """The GTINs of a scope that is not `all`: those that the registry names."""
        if scope not in self._gtins:
            kind, key = parse_scope(scope)
            if kind == "gtin":
                return [int(key)]
            if kind == "substance":
                return self._by_substance.get(key, [])
            inside = self.inside(scope)
            named = {int(gtin) for item in self.agreements.values() for made in item.products for gtin in made.gtins}
            self._gtins[scope] = [gtin for gtin in sorted(self.packings.keys() | named) if inside(gtin)]
        return self._gtins[scope]

    def inside(self, scope: str) -> Callable[[int], bool]:
        """Whether a scope holds a GTIN."""
        if scope not in self._inside:
            self._inside[scope] = products_in(scope, self.packings, self.agreements)
        return self._inside[scope]
