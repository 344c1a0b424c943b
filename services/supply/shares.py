"""Computes which part of supply and use is domestic, how much of demand that meets, what depends on imports. Pure."""

from __future__ import annotations

from calendar import isleap
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final

import msgspec

from services.supply.facts import Fact
from services.supply.figures import Measured, covered, figure, quotient, rounded
from services.supply.market import Market
from services.supply.scopes import is_one_product, parse_scope

Group = tuple[str, str]  # substance and form
MIN_LOTS: Final = 6  # in the 90 days before, for a change to say anything


class Sums(msgspec.Struct):
    """Domestic and imported amounts in parts of one unit (`scale` of them make one up), and the packs they cover of all
    that reached available."""

    scale: int
    domestic: int = 0
    imported: int = 0
    counted_packs: int = 0
    reached_packs: int = 0

    @property
    def total(self) -> int:
        return self.domestic + self.imported

    @property
    def why(self) -> str | None:
        """A negative side is tested before an empty sum."""
        if min(self.domestic, self.imported) < 0:
            return "negative_supply"
        return "no_supply" if self.total == 0 else None

    def add(self, origin: str, amount: int) -> None:
        if origin == "domestic":
            self.domestic += amount
        else:
            self.imported += amount


def domestic_share_volume(scope: str, market: Market) -> Measured:
    """D / (D + I): a GTIN in packs, any other scope in defined daily doses."""
    sums = in_units(scope, market)
    return _share("domestic_share_volume", scope, market, sums, sums.domestic, _unit(scope))


def import_dependency(scope: str, market: Market) -> Measured:
    """I / (D + I), the same sums."""
    sums = in_units(scope, market)
    return _share("import_dependency", scope, market, sums, sums.imported, _unit(scope))


def domestic_share_value(scope: str, market: Market) -> Measured:
    """The same with packs times the price of the day on which each lot first reached available. Needs no DDD.

    A GTIN's lots without a price are left out of both sides.
    """
    sums = Sums(1)
    for _, origin, row in market.rows(scope):
        sums.reached_packs += row.reached
        if origin != "unknown":
            sums.counted_packs += row.priced
            sums.add(origin, row.value)
    return _share("domestic_share_value", scope, market, sums, sums.domestic, "vnd")


def domestic_share_use(scope: str, market: Market) -> Measured:
    """Packs (DDD) consumed from domestic lots / all consumed in the window, net of returns.

    The unnamed lot counts with the origin that all authorisations of its product share, else it is left out, like what
    has no DDD; the coverage says how much of the packs consumed was counted.
    """
    unit = market.unit(scope)
    sums = Sums(market.scale(scope))
    for held in market.of(scope):
        weight = unit(held.gtin)
        for origin, packs in held.used.items():
            sums.reached_packs += abs(packs)
            if origin != "unknown" and weight is not None:
                sums.counted_packs += abs(packs)
                sums.add(origin, weight * packs)
    why = "negative_use" if sums.why == "negative_supply" else "no_use" if sums.why else None
    inputs = _inputs(sums, _unit(scope))
    inputs["consumed_packs"] = inputs.pop("reached_packs")
    coverage = covered(sums.counted_packs, sums.reached_packs)
    value = None if why else rounded(Fraction(sums.domestic, sums.total))
    return Measured("domestic_share_use", scope, market.on, value, why, coverage, inputs)


def domestic_demand_met(scope: str, market: Market) -> Measured:
    """Sum of min(D, demand) / sum of demand, a substance and form at a time, in DDD (one product: in packs)."""
    met, needed, domestic = Fraction(0), Fraction(0), Fraction(0)
    sums = in_units(scope, market)
    made = _domestic_by_group(scope, market)
    wanted = demand(scope, market)
    why = None
    for group, amount in wanted.items():
        held = made.get(group, Fraction(0))
        why = "negative_supply" if held < 0 else why
        met += min(held, amount)
        domestic += held
        needed += amount
    why = why or ("no_demand" if needed == 0 else None)
    return Measured(
        name="domestic_demand_met",
        scope=scope,
        on=market.on,
        value=None if why else rounded(met / needed),
        why=why,
        coverage=covered(sums.counted_packs, sums.reached_packs),
        inputs={
            "met": figure(met),
            "demand": figure(needed),
            "domestic": figure(domestic),
            "unit": _unit(scope),
            "groups": str(len(wanted)),
            "counted_packs": str(sums.counted_packs),
            "reached_packs": str(sums.reached_packs),
        },
    )


def supply_change(scope: str, market: Market) -> Measured:
    """Packs (DDD) that reached available in the last 30 days / those of a month of the 90 days before - 1, by lots
    first supplied then. Where fewer than 6 lots came in the 90 days it says nothing: lots come one by one."""
    unit, scale = market.unit(scope), market.scale(scope)
    recent = before = lots = counted = of = 0
    for held in market.of(scope):
        weight = unit(held.gtin)
        of += held.arrived[0] + held.arrived[1]
        if weight is not None:
            counted += held.arrived[0] + held.arrived[1]
            recent += weight * held.arrived[0]
            before += weight * held.arrived[1]
            lots += held.arrived[2]
    why = "too_few_lots" if lots < MIN_LOTS else "no_supply" if before <= 0 else None
    inputs = {
        "recent": figure(Fraction(recent, scale)),
        "month_before": figure(Fraction(before, 3 * scale)),
        "lots_before": str(lots),
        "unit": _unit(scope),
        "counted_packs": str(counted),
        "reached_packs": str(of),
        **cause_of(scope, market),
    }
    value = None if why else rounded(Fraction(3 * recent, before) - 1)
    return Measured("supply_change", scope, market.on, value, why, covered(counted, of), inputs)


def cause_of(scope: str, market: Market) -> dict[str, str]:
    """The open interruption that explains what is odd about one product: of the product, or of a site that makes it."""
    if is_one_product(scope):
        for held in market.of(scope):
            for interruption in market.day.interruptions:
                if interruption.resolved_on is None and held.is_hit_by(interruption):
                    return {"cause": interruption.interruption}
    return {}


def in_units(scope: str, market: Market) -> Sums:
    """The supplied packs of a scope in its unit; what has none, or no known origin, lowers the coverage."""
    unit = market.unit(scope)
    sums = Sums(market.scale(scope))
    for gtin, origin, row in market.rows(scope):
        sums.reached_packs += row.reached
        weight = None if origin == "unknown" else unit(gtin)
        if weight is not None:
            sums.counted_packs += row.reached
            sums.add(origin, weight * row.packs)
    return sums


def demand(scope: str, market: Market) -> Mapping[Group | int, Fraction]:
    """What the scope needed in the window, pro rata of its days: by substance and form in DDD, of one product in packs.

    Estimates of a product and of its substance and form are added up.
    """
    one, found = is_one_product(scope), defaultdict[Any, Fraction](Fraction)
    groups = None if one else _groups(scope, market)
    inside = market.inside(scope)
    for fact in market.day.registry.demands:
        data: Any = fact.data
        share = _pro_rata(data.year, market.first, market.on)
        if not share:
            continue
        if data.gtin is None:
            if groups is not None and (groups == "all" or (data.substance, data.form) in groups):
                found[data.substance, data.form] += data.quantity * share
            continue
        gtin = int(data.gtin)
        amount = _amount(data, gtin, market, in_packs=one) if inside(gtin) else None
        if amount is not None:
            found[gtin if one else _group(market, gtin)] += amount * share
    return found


def estimates(scope: str, market: Market) -> list[Fact]:
    """The estimates that `demand` counts."""
    groups = None if is_one_product(scope) else _groups(scope, market)
    inside = market.inside(scope)
    return [
        fact
        for fact in market.day.registry.demands
        if _pro_rata(fact.data.year, market.first, market.on)  # type: ignore[attr-defined]
        and _counts(fact.data, groups, inside)
    ]


def _counts(data: Any, groups: Any, inside: Callable[[int], bool]) -> bool:
    if data.gtin is not None:
        return inside(int(data.gtin))
    return groups is not None and (groups == "all" or (data.substance, data.form) in groups)


def _amount(data: Any, gtin: int, market: Market, *, in_packs: bool) -> Fraction | None:
    """An estimate of one product in the unit of the sum; None where that needs DDD and there are none."""
    doses = market.day.doses(gtin)
    if (data.unit == "packs") == in_packs:
        return Fraction(data.quantity)
    if doses is None:
        return None
    return Fraction(data.quantity) / doses if in_packs else Fraction(data.quantity) * doses


def _groups(scope: str, market: Market) -> Any:
    """The substances and forms whose estimates a scope holds."""
    kind, key = parse_scope(scope)
    if kind == "all":
        return "all"
    inside = market.inside(scope)
    held = {_group(market, gtin) for gtin in market.day.packings if inside(gtin)}
    if kind == "substance":
        said: list[Any] = [fact.data for fact in market.day.registry.demands]
        held |= {(data.substance, data.form) for data in said if data.substance == key}
    return held


def _group(market: Market, gtin: int) -> Group:
    packing = market.day.packings.get(gtin)
    return ("", str(gtin)) if packing is None else (packing.product.substance, packing.product.form)


def _domestic_by_group(scope: str, market: Market) -> Mapping[Any, Fraction]:
    unit, one, scale = market.unit(scope), is_one_product(scope), market.scale(scope)
    found: dict[Any, int] = defaultdict(int)
    for gtin, origin, row in market.rows(scope):
        weight = unit(gtin)
        if origin == "domestic" and weight is not None:
            found[gtin if one else _group(market, gtin)] += weight * row.packs
    return {group: Fraction(amount, scale) for group, amount in found.items()}


def _pro_rata(year: int, first: date, last: date) -> Fraction:
    """Which part of a year's days lies from `first` to `last`."""
    start, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
    days = (end - start + timedelta(days=1)).days
    return Fraction(max(0, days), 366 if isleap(year) else 365)


def _share(name: str, scope: str, market: Market, sums: Sums, part: int, unit: str) -> Measured:
    why = sums.why
    return Measured(
        name=name,
        scope=scope,
        on=market.on,
        value=None if why else rounded(Fraction(part, sums.total)),
        why=why,
        coverage=quotient(sums.counted_packs, sums.reached_packs) if sums.reached_packs else None,
        inputs=_inputs(sums, unit),
    )


def _inputs(sums: Sums, unit: str) -> dict[str, str]:
    return {
        "domestic": figure(Fraction(sums.domestic, sums.scale)),
        "imported": figure(Fraction(sums.imported, sums.scale)),
        "unit": unit,
        "counted_packs": str(sums.counted_packs),
        "reached_packs": str(sums.reached_packs),
    }


def _unit(scope: str) -> str:
    return "packs" if is_one_product(scope) else "ddd"
