"""Computes the indicators from supplied packs: exact decimals, with inputs and coverage. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import msgspec

from services.supply.agreements import Agreement
from services.supply.registry import Packing
from services.supply.supplied import Supplied, SuppliedBy

EXACT: Final = Context(prec=60)
TWELVE: Final = Decimal("1e-12")
SCOPE_KINDS: Final = ("all", "atc", "substance", "gtin", "agreement", "brand")


class Measured(msgspec.Struct, frozen=True):
    """One value of an indicator: exact to 12 decimals, or None with `why` (no_supply, negative_supply)."""

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


class Market(msgspec.Struct, frozen=True):
    """What a measurement looks at on a day: supplied packs, what each GTIN is, and the agreements."""

    on: date
    supplied: SuppliedBy
    packings: Mapping[int, Packing]
    agreements: Mapping[str, Agreement]


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


def parse_scope(scope: str) -> tuple[str, str]:
    """(kind, key). Raises ValueError that names what is wrong."""
    kind, _, key = scope.partition(":")
    if kind not in SCOPE_KINDS or (kind == "all") != (key == ""):
        raise ValueError(f"a scope is 'all' or one of {', '.join(SCOPE_KINDS[1:])} with a key, not {scope!r}")
    if kind == "gtin" and re.fullmatch("[0-9]{8,14}", key) is None:
        raise ValueError(f"the scope of a product is gtin: and 8 to 14 digits, not {scope!r}")
    return kind, key


def products_in(scope: str, market: Market) -> Callable[[int], bool]:
    """Which GTINs a scope holds on the market's day."""
    kind, key = parse_scope(scope)
    if kind == "all":
        return lambda gtin: True
    if kind == "gtin":
        return lambda gtin: gtin == int(key)
    if kind == "agreement":
        named = _named_by(market.agreements.get(key))
        return lambda gtin: gtin in named or _packing_is(market, gtin, lambda packing: packing.agreement == key)
    belongs: dict[str, Callable[[Packing], bool]] = {
        "atc": lambda packing: packing.product.atc.startswith(key),
        "substance": lambda packing: packing.product.substance == key,
        "brand": lambda packing: packing.product.brand_owner == key,
    }
    return lambda gtin: _packing_is(market, gtin, belongs[kind])


def _named_by(agreement: Agreement | None) -> frozenset[int]:
    products = () if agreement is None else agreement.products
    return frozenset(int(gtin) for product in products for gtin in product.gtins)


def _packing_is(market: Market, gtin: int, belongs: Callable[[Packing], bool]) -> bool:
    packing = market.packings.get(gtin)
    return packing is not None and belongs(packing)


class Sums(msgspec.Struct):
    """Domestic and imported amounts in one unit, and the packs they cover of all that reached available."""

    domestic: Decimal = Decimal(0)
    imported: Decimal = Decimal(0)
    counted_packs: int = 0
    reached_packs: int = 0


def sum_up(rows: Iterable[tuple[int, str, Supplied]], amount: Callable[[int, Supplied], Decimal | None]) -> Sums:
    """`amount` gives a row's amount in the unit of the sum, None where it has none (then it lowers the coverage)."""
    sums = Sums()
    for gtin, origin, row in rows:
        sums.reached_packs += row.reached
        value = None if origin == "unknown" else amount(gtin, row)
        if value is None:
            continue
        sums.counted_packs += row.reached
        if origin == "domestic":
            sums.domestic = EXACT.add(sums.domestic, value)
        else:
            sums.imported = EXACT.add(sums.imported, value)
    return sums


def domestic_share_volume(scope: str, market: Market) -> Measured:
    """D / (D + I): a GTIN in packs, any other scope in defined daily doses."""
    one_product = scope.startswith("gtin:")

    def amount(gtin: int, row: Supplied) -> Decimal | None:
        if one_product:
            return Decimal(row.packs)
        packing = market.packings.get(gtin)
        if packing is None or packing.ddd_per_pack is None:
            return None
        return EXACT.multiply(row.packs, packing.ddd_per_pack)

    sums = sum_up(_rows(scope, market), amount)
    return _share("domestic_share_volume", scope, market.on, sums, "packs" if one_product else "ddd")


def domestic_share_value(scope: str, market: Market) -> Measured:
    """The same with packs times the price of the day on which each lot first reached available. Needs no DDD.

    A GTIN's lots without a price are left out of both sides.
    """
    sums = Sums()
    for _, origin, row in _rows(scope, market):
        sums.reached_packs += row.reached
        if origin == "unknown":
            continue
        sums.counted_packs += row.priced
        if origin == "domestic":
            sums.domestic = EXACT.add(sums.domestic, row.value)
        else:
            sums.imported = EXACT.add(sums.imported, row.value)
    return _share("domestic_share_value", scope, market.on, sums, "vnd")


def _rows(scope: str, market: Market) -> Iterable[tuple[int, str, Supplied]]:
    inside = products_in(scope, market)
    return ((gtin, origin, row) for (gtin, origin), row in market.supplied.items() if inside(gtin))


def _share(name: str, scope: str, on: date, sums: Sums, unit: str) -> Measured:
    """A negative side is tested before an empty sum."""
    total = EXACT.add(sums.domestic, sums.imported)
    why = "negative_supply" if min(sums.domestic, sums.imported) < 0 else "no_supply" if total == 0 else None
    return Measured(
        name=name,
        scope=scope,
        on=on,
        value=None if why else quotient(sums.domestic, total),
        why=why,
        coverage=quotient(sums.counted_packs, sums.reached_packs) if sums.reached_packs else None,
        inputs={
            "domestic": text(sums.domestic) or "0",
            "imported": text(sums.imported) or "0",
            "unit": unit,
            "counted_packs": str(sums.counted_packs),
            "reached_packs": str(sums.reached_packs),
        },
    )


INDICATORS: Final[Mapping[str, Callable[[str, Market], Measured]]] = {
    "domestic_share_volume": domestic_share_volume,
    "domestic_share_value": domestic_share_value,
}
