"""Says what one value of an indicator is: an exact decimal with inputs and coverage, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec

EXACT: Final = Context(prec=60)
TWELVE: Final = Decimal("1e-12")
# Sums of packs, doses and money are exact whatever their size; a quotient is rounded once.
_WIDE: Final = Context(prec=400)


class Measured(msgspec.Struct, frozen=True):
    """One value of an indicator: exact to 12 decimals, or None with `why` (no_supply, negative_supply, …)."""

    name: str
    scope: str
    on: date
    value: Decimal | None
    why: str | None
    coverage: Decimal | None
    inputs: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "scope": self.scope,
            "on": self.on.isoformat(),
            "value": text(self.value),
            "why": self.why,
            "coverage": text(self.coverage),
            "inputs": self.inputs,
        }


def text(value: Decimal | None) -> str | None:
    """Plain notation without trailing zeros."""
    if value is None:
        return None
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def quotient(above: Decimal | int, below: Decimal | int) -> Decimal:
    """above / below, rounded half-even to 12 decimals."""
    exact = EXACT.divide(Decimal(above), Decimal(below))
    return exact.quantize(TWELVE, rounding=ROUND_HALF_EVEN, context=EXACT)


def rounded(exact: Fraction) -> Decimal:
    """A fraction, rounded half-even to 12 decimals."""
    whole = round(exact * 10**12)  # of a Fraction: exact, half to even
    return Decimal(whole).scaleb(-12, context=_WIDE)


def figure(exact: Fraction) -> str:
    """An input in plain notation, rounded half-even to 12 decimals."""
    return text(rounded(exact)) or "0"


def covered(counted: int, of: int) -> Decimal | None:
    """The coverage: None where there is nothing to count."""
    return quotient(counted, of) if of else None


def parts(amounts: Mapping[str, Fraction | int]) -> dict[str, str]:
    """Inputs by name, the greatest first: `amounts` by country, class or manufacturer."""
    ranked = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    return {name: figure(Fraction(amount)) for name, amount in ranked}
