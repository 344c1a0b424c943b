"""The registry on one day as the figures ask it: products, what holds, who may make what, which scope holds what. Pure.

Everything is worked out when it is first asked for, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property

from services.supply.agreements import Agreement
from services.supply.origin import Origin, Origins
from services.supply.plants import Certificate
from services.supply.registry import Authorisation, Packing, Registry
from services.supply.scopes import products_in


class RegistryDay:
    """What `origins.registry` says on the day `on`."""

    def __init__(self, on: date, origins: Origins) -> None:
        self.on = on
        self.origins = origins
        self._inside: dict[str, Callable[[int], bool]] = {}
        self._doses: dict[int, Fraction | None] = {}

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

    def doses(self, gtin: int) -> Fraction | None:
        """The defined daily doses in a pack."""
        if gtin not in self._doses:
            packing = self.packings.get(gtin)
            known = packing is not None and packing.ddd_per_pack is not None
            self._doses[gtin] = Fraction(packing.ddd_per_pack) if known else None  # type: ignore[union-attr, arg-type]
        return self._doses[gtin]

    def inside(self, scope: str) -> Callable[[int], bool]:
        """Whether a scope holds a GTIN."""
        if scope not in self._inside:
            self._inside[scope] = products_in(scope, self.packings, self.agreements)
        return self._inside[scope]
