"""Computes how much supply rests on few manufacturers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction

from services.supply.figures import Measured, covered, figure, rounded
from services.supply.market import Market
from services.supply.scopes import is_one_product


def concentration_hhi(scope: str, market: Market) -> Measured:
    """The sum of the squared manufacturers' shares of D + I, times 10,000."""

    def value(amounts: Collection[int], total: int) -> Fraction:
        return Fraction(10_000 * sum(amount * amount for amount in amounts), total * total)

    return _measured("concentration_hhi", scope, market, value)


def largest_supplier_share(scope: str, market: Market) -> Measured:
    """The greatest of the manufacturers' shares of D + I."""
    return _measured("largest_supplier_share", scope, market, lambda amounts, total: Fraction(max(amounts), total))


def largest(scope: str, market: Market) -> str | None:
    """The manufacturer that supplied most."""
    amounts, _, _ = market.made_by(scope)
    return min(amounts, key=lambda maker: (-amounts[maker], maker), default=None)


def _measured(name: str, scope: str, market: Market, value_of: Callable[[Collection[int], int], Fraction]) -> Measured:
    amounts, counted, of = market.made_by(scope)
    total, scale, first = sum(amounts.values()), market.scale(scope), largest(scope, market)
    why = "negative_supply" if min(amounts.values(), default=0) < 0 else "no_supply" if total == 0 else None
    return Measured(
        name=name,
        scope=scope,
        on=market.on,
        value=None if why else rounded(value_of(amounts.values(), total)),
        why=why,
        coverage=covered(counted, of),
        inputs={
            "total": figure(Fraction(total, scale)),
            "manufacturers": str(len(amounts)),
            "largest": first or "",
            "largest_supply": figure(Fraction(amounts[first], scale)) if first is not None else "0",
            "unit": "packs" if is_one_product(scope) else "ddd",
            "counted_packs": str(counted),
            "reached_packs": str(of),
        },
    )
