"""Computes how much supply rests on few manufacturers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from services.supply.figures import Measured, covered, figure, rounded
from services.supply.market import Market
from services.supply.scopes import is_one_product


def concentration_hhi(scope: str, market: Market) -> Measured:
    """The sum of the squared manufacturers' shares of D + I, times 10,000."""

    def value(amounts: Sequence[Fraction], total: Fraction) -> Fraction:
        return sum((amount * amount for amount in amounts), Fraction(0)) * 10_000 / (total * total)

    return _measured("concentration_hhi", scope, market, value)


def largest_supplier_share(scope: str, market: Market) -> Measured:
    """The greatest of the manufacturers' shares of D + I."""
    return _measured("largest_supplier_share", scope, market, lambda amounts, total: max(amounts) / total)


def _measured(
    name: str, scope: str, market: Market, value_of: Callable[[Sequence[Fraction], Fraction], Fraction]
) -> Measured:
    amounts, counted, of = by_manufacturer(scope, market)
    total = sum(amounts.values(), Fraction(0))
    why = "negative_supply" if min(amounts.values(), default=0) < 0 else "no_supply" if total == 0 else None
    ranked = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    return Measured(
        name=name,
        scope=scope,
        on=market.on,
        value=None if why else rounded(value_of(list(amounts.values()), total)),
        why=why,
        coverage=covered(counted, of),
        inputs={
            "total": figure(total),
            "manufacturers": str(len(amounts)),
            "largest": ranked[0][0] if ranked else "",
            "largest_supply": figure(ranked[0][1]) if ranked else "0",
            "unit": "packs" if is_one_product(scope) else "ddd",
            "counted_packs": str(counted),
            "reached_packs": str(of),
        },
    )


def by_manufacturer(scope: str, market: Market) -> tuple[Mapping[str, Fraction], int, int]:
    """D + I of each manufacturer in the scope's unit, packs counted, packs that reached available in the window."""
    unit = market.unit(scope)
    found: dict[str, Fraction] = defaultdict(Fraction)
    counted = of = 0
    for held in market.of(scope):
        amounts, of_makers, reached = held.made_by
        of += reached
        weight = unit(held.gtin)
        if weight is not None:
            counted += of_makers
            for maker, packs in amounts.items():
                found[maker] += weight * packs
    return found, counted, of
