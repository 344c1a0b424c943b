"""Names every indicator: its formula in words, what it needs to know, and how it is measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from services.supply import counts, shares, stocks, suppliers
from services.supply.counts import REPORTED
from services.supply.figures import Measured
from services.supply.market import Market
from shared.language import translatable

# What a figure needs beside lots and registry: `trade` are reports, use and days of movement; `introductions` how lots
# came into being; `shipments` exports with destination and value.
Need = Literal["trade", "introductions", "shipments"]


class Indicator(msgspec.Struct, frozen=True):
    """`inputs` says what each of its inputs means; those by country or class are named by what they begin with."""

    name: str
    measure: Callable[[str, Market], Measured]
    formula: str
    unit: str
    inputs: Mapping[str, str]
    needs: frozenset[Need] = frozenset()


_COVERED: Final = {
    "counted_packs": translatable("packs of these that could be counted"),
    "reached_packs": translatable("packs of the scope that reached available in the window"),
}
_OF_SUPPLIERS: Final = {
    "total": translatable("D + I in the unit"),
    "manufacturers": translatable("how many there are"),
    "largest": translatable("GLN of the one who supplied most"),
    "largest_supply": translatable("what that one supplied, in the unit"),
    "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
    **_COVERED,
}
_SIDES: Final = {
    "domestic": translatable("D: supplied packs of lots made here, in the unit"),
    "imported": translatable("I: supplied packs of imported lots, in the unit"),
    "unit": translatable("packs for one product, defined daily doses (ddd) for several, or vnd"),
    **_COVERED,
}
_CAUSE: Final = translatable("the open interruption of the product, or of a site that made it in the window")
_ALL: Final = (
    Indicator("domestic_share_volume", shares.domestic_share_volume, translatable("D / (D + I)"), "share", _SIDES),
    Indicator(
        "domestic_share_value",
        shares.domestic_share_value,
        translatable("D / (D + I), packs times the price of the day on which each lot first reached available"),
        "share",
        _SIDES,
    ),
    Indicator(
        "domestic_share_use",
        shares.domestic_share_use,
        translatable("packs (ddd) consumed from domestic lots / all consumed in the window, net of returns"),
        "share",
        {
            "domestic": translatable("consumed from lots made here"),
            "imported": translatable("consumed from imported lots"),
            "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
            "counted_packs": translatable("packs of these that could be counted"),
            "consumed_packs": translatable("packs consumed in the window"),
        },
        frozenset({"trade"}),
    ),
    Indicator(
        "domestic_demand_met",
        shares.domestic_demand_met,
        translatable(
            "sum of min(D, demand) / sum of demand, a substance and form at a time; "
            "demand pro rata of the window's days"
        ),
        "share",
        {
            "met": translatable("sum of min(D, demand)"),
            "demand": translatable("sum of the estimates, pro rata"),
            "domestic": translatable("D of the substances and forms with an estimate"),
            "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
            "groups": translatable("substances and forms with an estimate"),
            **_COVERED,
        },
    ),
    Indicator("import_dependency", shares.import_dependency, translatable("I / (D + I)"), "share", _SIDES),
    Indicator(
        "supply_change",
        shares.supply_change,
        translatable("packs (ddd) that reached available in the last 30 days / a month of the 90 days before - 1"),
        "share",
        {
            "recent": translatable("of lots first supplied in the last 30 days, in the unit"),
            "month_before": translatable("of lots first supplied in the 90 days before, a third of it"),
            "lots_before": translatable("how many lots these are"),
            "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
            "counted_packs": translatable("packs of these that could be counted"),
            "reached_packs": translatable("packs that reached available in the 120 days"),
            "cause": _CAUSE,
        },
        frozenset({"introductions"}),
    ),
    Indicator(
        "months_of_stock",
        stocks.months_of_stock,
        translatable("usable stock / average monthly consumption of the last 6 complete reported months with stock"),
        "months",
        {
            "usable": translatable("available, neither recalled nor expired, in the unit"),
            "monthly_use": translatable("used / number of months"),
            "used": translatable("consumption in the months, periods spread evenly by day"),
            "months": translatable("those that were counted"),
            "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
            "cause": _CAUSE,
            **_COVERED,
        },
        frozenset({"trade", "introductions"}),
    ),
    Indicator(
        "stock_expiring",
        stocks.stock_expiring,
        translatable(
            "a product: the most, over d <= 90 days, of (usable packs that expire by d - daily use x d), never below 0"
        ),
        "packs or ddd",
        {
            "daily_use": translatable("consumption of the months that months_of_stock counts / their days"),
            "within_days": translatable("how far is looked ahead"),
            "unit": translatable("packs for one product, defined daily doses (ddd) for several"),
            "counted_packs": translatable("usable packs whose daily use is known"),
            "usable_packs": translatable("usable packs"),
        },
        frozenset({"trade"}),
    ),
    Indicator(
        "concentration_hhi",
        suppliers.concentration_hhi,
        translatable("sum of the squared manufacturers' shares of D + I, x 10,000"),
        "points",
        _OF_SUPPLIERS,
        frozenset({"introductions"}),
    ),
    Indicator(
        "largest_supplier_share",
        suppliers.largest_supplier_share,
        translatable("the greatest of the manufacturers' shares of D + I"),
        "share",
        _OF_SUPPLIERS,
        frozenset({"introductions"}),
    ),
    Indicator(
        "export_value",
        counts.export_value,
        translatable("sum of the declared value of exports of domestic lots in the window"),
        "vnd",
        {
            "unit": "vnd",
            "exported_packs": translatable("packs of domestic lots exported in the window"),
            "counted_packs": translatable("packs of these with a declared value"),
            "to_": translatable("declared value by country of destination"),
        },
        frozenset({"shipments"}),
    ),
    Indicator(
        "transferred_products",
        counts.transferred_products,
        translatable(
            "distinct (name, substance) with a valid domestic registration under an agreement "
            "and a released domestic lot"
        ),
        "products",
        {"unit": translatable("products"), "": translatable("products by class")},
    ),
    Indicator(
        "registered_products",
        counts.registered_products,
        translatable("distinct (name, substance) with a valid domestic registration; of an agreement: under it"),
        "products",
        {"unit": translatable("products"), "": translatable("products by class")},
    ),
    Indicator(
        "produced_products",
        counts.produced_products,
        translatable("distinct (name, substance) of which a domestic lot was made in the window"),
        "products",
        {"unit": translatable("products"), "": translatable("products by class")},
        frozenset({"introductions"}),
    ),
    Indicator(
        "therapeutic_areas",
        counts.therapeutic_areas,
        translatable("distinct therapeutic subgroups (ATC, three characters) of the transferred products"),
        "areas",
        {"unit": translatable("areas"), "": translatable("transferred registrations by subgroup")},
    ),
    Indicator(
        "asean_destinations",
        counts.asean_destinations,
        translatable("countries of ASEAN to which packs of domestic lots were exported in the window"),
        "countries",
        {"unit": translatable("countries"), "to_": translatable("packs by country of destination")},
        frozenset({"shipments"}),
    ),
    Indicator(
        "gmp_sites",
        counts.gmp_sites,
        translatable("domestic sites with a valid EU-GMP or PIC/S certificate"),
        "sites",
        {
            "unit": translatable("sites"),
            "eu_gmp_or_pics": translatable("sites with one of these"),
            "certified": translatable("sites with any certificate"),
        },
    ),
    Indicator(
        "gmp_site_share",
        counts.gmp_site_share,
        translatable(
            "domestic sites with a valid EU-GMP or PIC/S certificate / domestic sites with any valid certificate"
        ),
        "share",
        {
            "unit": translatable("sites"),
            "eu_gmp_or_pics": translatable("sites with one of these"),
            "certified": translatable("sites with any certificate"),
        },
    ),
    Indicator(
        "reporting_coverage",
        counts.reporting_coverage,
        translatable("valid authorisations with movements in the window / valid authorisations"),
        "share",
        {
            "unit": translatable("authorisations"),
            "with_movements": translatable("valid authorisations of which any pack moved in the window"),
            "valid": translatable("valid authorisations"),
        },
        frozenset({"trade"}),
    ),
)
INDICATORS: Final[Mapping[str, Indicator]] = {indicator.name: indicator for indicator in _ALL}


def indicator(name: str) -> Indicator | None:
    """The indicator of a name, also of a reported figure; None if there is none."""
    if name.startswith(REPORTED) and len(name) > len(REPORTED):
        inputs = {
            "value": translatable("as reported"),
            "unit": translatable("of the value"),
            "period_end": translatable("the last day of what it speaks of"),
            "source": translatable("who published it"),
        }
        formula = translatable("the newest reported figure of the scope")
        return Indicator(name, lambda scope, seen: counts.reported(name, scope, seen), formula, "as reported", inputs)
    return INDICATORS.get(name)


def measure(name: str, scope: str, market: Market) -> Measured:
    """One value. Raises KeyError for a name that is none."""
    found = indicator(name)
    if found is None:
        raise KeyError(name)
    return found.measure(scope, market)


def needs(names: object) -> frozenset[Need]:
    """All that indicators of these names need."""
    assert isinstance(names, (list, tuple, set, frozenset))
    found = (indicator(name) for name in names)
    return frozenset(need for item in found if item is not None for need in item.needs)
