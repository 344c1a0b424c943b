"""Computes how long stock lasts and what of it will expire before it is used. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Final

from services.supply.figures import Measured, covered, figure, rounded
from services.supply.lot import MarketLot
from services.supply.market import Market
from services.supply.months import Average, average, first_of
from services.supply.posting import UNNAMED_LOT
from services.supply.scopes import is_one_product

EXPIRING_DAYS: Final = 90


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
        },
    )


def stock_expiring(scope: str, market: Market) -> Measured:
    """Packs (DDD) that will expire within 90 days if use goes on as it did, a product at a time."""
    unit = market.unit(scope)
    total, daily, unknown = Fraction(0), Fraction(0), 0
    counted = of = 0
    for held in market.of(scope):
        if not held.stocked:
            continue
        packs = sum(abs(lot.available) for lot in held.stocked)
        of += packs
        weight = unit(held.gtin)
        if weight is None or not held.average.months:
            unknown += 1
            continue
        counted += packs
        daily += weight * held.average.a_day
        total += weight * expiring(held.stocked, held.average.a_day, market.on)
    why = "no_reported_month" if unknown and not counted else None
    return Measured(
        name="stock_expiring",
        scope=scope,
        on=market.on,
        value=None if why else rounded(total),
        why=why,
        coverage=covered(counted, of),
        inputs={
            "daily_use": figure(daily),
            "within_days": str(EXPIRING_DAYS),
            "unit": _unit(scope),
            "counted_packs": str(counted),
            "usable_packs": str(of),
        },
    )


def expiring(lots: Sequence[MarketLot], a_day: Fraction, on: date) -> Fraction:
    """The most, over the next 90 days, of (usable packs of one product that expire by then - what is used by then),
    never below 0. What was consumed without naming a lot is taken from the lots that expire first."""
    unnamed = sum(lot.available for lot in lots if lot.lot == UNNAMED_LOT)
    left = max(0, -unnamed)
    most, by_then = Fraction(0), 0
    for lot in sorted((lot for lot in lots if lot.lot != UNNAMED_LOT), key=_by_expiry):
        taken = min(left, max(0, lot.available))
        left -= taken
        days = None if lot.expires_on is None else (lot.expires_on - on).days
        if days is None or days > EXPIRING_DAYS:
            break
        by_then += lot.available - taken
        most = max(most, by_then - a_day * days)
    return most


def _by_expiry(lot: MarketLot) -> tuple[date, str]:
    """First expiry first out; what has no expiry lasts longest."""
    return (lot.expires_on or date.max, lot.lot)


def usable(scope: str, market: Market) -> tuple[Fraction, int, int]:
    """Usable stock in the scope's unit; of the packs that reached available in the window those that have that unit."""
    unit = market.unit(scope)
    stock = Fraction(0)
    counted = of = 0
    for held in market.of(scope):
        weight = unit(held.gtin)
        reached = sum(row.reached for row in held.supplied.values())
        of += reached
        if weight is not None:
            stock += weight * held.usable
            counted += reached
    return stock, counted, of


def average_use(scope: str, market: Market) -> Average:
    """What the scope uses in a month, in its unit."""
    if is_one_product(scope):
        return next((held.average for held in market.of(scope)), Average(Fraction(0), ()))
    rows = ((market.day.doses(held.gtin), held) for held in market.of(scope))
    return average(((weight, held.months) for weight, held in rows if weight is not None), market.on)


def _reached(counted: int, of: int) -> dict[str, str]:
    return {"counted_packs": str(counted), "reached_packs": str(of)}


def _name(month: int) -> str:
    first: date = first_of(month)
    return f"{first:%Y-%m}"


def _unit(scope: str) -> str:
    return "packs" if is_one_product(scope) else "ddd"
