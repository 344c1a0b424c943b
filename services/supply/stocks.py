"""Computes how long stock lasts and what of it will expire before it is used. Pure."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from services.supply.figures import Measured, covered, figure, rounded
from services.supply.market import Market
from services.supply.months import Average, average, first_of
from services.supply.product_day import EXPIRING_DAYS
from services.supply.scopes import is_one_product
from services.supply.shares import cause_of


def months_of_stock(scope: str, market: Market) -> Measured:
    """Usable stock / average monthly consumption of the last 6 complete reported months with stock."""
    stock, counted, of = usable(scope, market)
    used = average_use(scope, market)
    why = None
    if not used.months:
        why = "no_reported_month"
    elif used.used <= 0:
        why = "no_use"
    return Measured(
        name="months_of_stock",
        scope=scope,
        on=market.on,
        value=None if why else rounded(stock / used.a_month),
        why=why,
        coverage=covered(counted, of),
        inputs={
            "usable": figure(stock),
            "monthly_use": figure(used.a_month) if used.months else "0",
            "used": figure(used.used),
            "months": " ".join(_name(month) for month in sorted(used.months)),
            "unit": _unit(scope),
            **_reached(counted, of),
            **cause_of(scope, market),
        },
    )


def stock_expiring(scope: str, market: Market) -> Measured:
    """Packs (DDD) that will expire within 90 days if use goes on as it did, a product at a time."""
    unit, scale = market.unit(scope), market.scale(scope)
    total, daily, unknown = Fraction(0), Fraction(0), 0
    counted = of = 0
    for held in market.of(scope):
        if not held.stocked:
            continue
        packs = held.usable_packs
        of += packs
        weight = unit(held.gtin)
        if weight is None or not held.average.months:
            unknown += 1
            continue
        counted += packs
        daily += weight * held.average.a_day
        total += weight * held.expiring
    why = "no_reported_month" if unknown and not counted else None
    return Measured(
        name="stock_expiring",
        scope=scope,
        on=market.on,
        value=None if why else rounded(total / scale),
        why=why,
        coverage=covered(counted, of),
        inputs={
            "daily_use": figure(daily / scale),
            "within_days": str(EXPIRING_DAYS),
            "unit": _unit(scope),
            "counted_packs": str(counted),
            "usable_packs": str(of),
        },
    )


def usable(scope: str, market: Market) -> tuple[Fraction, int, int]:
    """Usable stock in the scope's unit; of the packs that reached available in the window those that have that unit."""
    unit = market.unit(scope)
    stock = counted = of = 0
    for held in market.of(scope):
        weight = unit(held.gtin)
        of += held.reached
        if weight is not None:
            stock += weight * held.usable
            counted += held.reached
    return Fraction(stock, market.scale(scope)), counted, of


def average_use(scope: str, market: Market) -> Average:
    """What the scope uses in a month, in its unit."""
    if is_one_product(scope):
        return next((held.average for held in market.of(scope)), Average(Fraction(0), ()))
    rows = ((market.day.scaled_doses.get(held.gtin), held) for held in market.of(scope))
    found = average(((weight, held.months) for weight, held in rows if weight is not None), market.on)
    return Average(found.used / market.scale(scope), found.months)


def _reached(counted: int, of: int) -> dict[str, str]:
    return {"counted_packs": str(counted), "reached_packs": str(of)}


def _name(month: int) -> str:
    first: date = first_of(month)
    return f"{first:%Y-%m}"


def _unit(scope: str) -> str:
    return "packs" if is_one_product(scope) else "ddd"
