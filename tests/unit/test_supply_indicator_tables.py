"""Indicators against tables worked out by hand: use, demand, stock, suppliers, exports, plants; edges and nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from services.supply.behind import behind
from services.supply.facts import Fact
from services.supply.figures import Measured
from services.supply.goal_files import load_goals
from services.supply.goals import assess
from services.supply.indicators import INDICATORS, measure
from services.supply.lot import LotState
from services.supply.months import average, complete_before, first_of, months_of
from services.supply.registry import Registry
from services.supply.regulatory import duties
from services.supply.trade import Change, Introduction, Report, Shipment, Trade
from services.supply.whatif import Source, hardest, losses, shares
from tests.supply_given import GTIN, MAKER, gtin
from tests.unit.scenario_told import GOALS_DIR
from tests.unit.supply_market import ON, fact, granted, lot, market_of, price

IMPORTED = gtin(2)
OTHER = "9520002000002"
ONE = f"gtin:{GTIN}"


def figure(
    name: str,
    lots: Iterable[LotState] = (),
    facts: Iterable[Fact] = (),
    *,
    scope: str = "all",
    trades: dict[str, Trade] | None = None,
    **more: Any,
) -> Measured:
    by_gtin = {int(product): trade for product, trade in (trades or {}).items()}
    return measure(name, scope, market_of(lots, facts, trades=by_gtin, **more))


# Use.


def used(*rows: tuple[str, str, int]) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    for name, on, packs in rows:
        found.setdefault(name, []).append(Change(date.fromisoformat(on), packs))
    return found


def test_the_share_of_use_counts_what_was_consumed_in_the_window_net_of_returns() -> None:
    """30 - 5 packs of a lot made here, 15 of an imported one; what was used a day too early is not in the window."""
    lots = [lot(made=1), lot("L2", imported=1)]
    trade = Trade(used=used(("L1", "2025-06-30", 99), ("L1", "2025-07-01", 30), ("L1", "2026-06-30", -5),
                            ("L2", "2026-06-30", 15), ("L2", "2026-07-01", 99)))  # fmt: skip
    found = figure("domestic_share_use", lots, scope=ONE, trades={GTIN: trade})
    assert (found.value, found.coverage) == (Decimal("0.625"), Decimal(1))
    assert found.inputs["consumed_packs"] == "40"


@pytest.mark.parametrize(
    ("origins", "value", "coverage"),
    [(["domestic"], "1", "1"), (["import"], "0", "1"), (["domestic", "import"], None, "0"), ([], None, "0")],
)
def test_the_unnamed_lot_counts_with_the_origin_that_all_authorisations_share(
    origins: list[str], value: str | None, coverage: str
) -> None:
    facts = [granted(authorisation=f"A-{origin}", origin=origin) for origin in origins]
    trade = Trade(used=used(("", "2026-06-30", 10)))
    found = figure("domestic_share_use", [lot("")], facts, scope=ONE, trades={GTIN: trade})
    assert (found.value, found.coverage) == (None if value is None else Decimal(value), Decimal(coverage))


def test_without_use_there_is_no_share_of_it() -> None:
    assert figure("domestic_share_use", [lot(made=1)]).why == "no_use"
    back = Trade(used=used(("L1", "2026-06-30", -10)))
    assert figure("domestic_share_use", [lot(made=1)], scope=ONE, trades={GTIN: back}).why == "negative_use"


# Demand.


def needed(quantity: int, year: int = 2026, **of: Any) -> Fact:
    return fact("demand.estimated", id=f"{year}-{of}", year=year, quantity=quantity, **{"unit": "ddd", **of})


METFORMIN: dict[str, Any] = {"substance": "metformin", "form": "tablet"}
EVEN = [needed(36500, 2025, **METFORMIN), needed(36500, 2026, **METFORMIN)]


@pytest.mark.parametrize(
    ("packs", "value"), [(18_250, "1"), (9_125, "0.5"), (36_500, "1"), (0, "0")], ids=["all", "half", "twice", "none"]
)
def test_demand_is_met_at_most_once(packs: int, value: str) -> None:
    """36,500 DDD a year, packs of 2 DDD."""
    found = figure("domestic_demand_met", [lot(made=1, available=packs)], [granted(), *EVEN])
    assert found.value == Decimal(value)
    assert found.inputs["demand"] == "36500"


def test_demand_is_taken_pro_rata_of_the_days_of_each_year() -> None:
    """1 July 2025 to 30 June 2026: 184 days of 2025, 365 a day, and 181 of 2026, 730 a day."""
    facts = [granted(), needed(365 * 365, 2025, **METFORMIN), needed(730 * 365, 2026, **METFORMIN)]
    found = figure("domestic_demand_met", [lot(made=1, available=1)], facts)
    assert found.inputs["demand"] == str(184 * 365 + 181 * 730)


def test_a_leap_year_has_366_days_to_share_its_demand() -> None:
    """The 365 days up to 31 December 2024 leave 1 January out."""
    facts = [granted(granted_on="2023-01-01"), needed(36600, 2024, **METFORMIN)]
    found = figure("domestic_demand_met", [], facts, on=date(2024, 12, 31))
    assert found.inputs["demand"] == "36500"
    on_leap_day = figure("domestic_demand_met", [], facts, on=date(2024, 2, 29), window="calendar_year")
    assert on_leap_day.inputs["demand"] == "6000"


def test_estimates_of_a_product_and_of_its_substance_are_added_up() -> None:
    """36,500 DDD of the substance, and 1,000 packs of 2 DDD of one product; of that product alone 1,000 packs."""
    facts = [granted(), *EVEN]
    facts += [needed(1000, year, gtin=GTIN, unit="packs") for year in (2025, 2026)]
    assert figure("domestic_demand_met", [], facts).inputs["demand"] == "38500"
    alone = figure("domestic_demand_met", [lot(made=1, available=250)], facts, scope=ONE)
    assert (alone.value, alone.inputs["demand"], alone.inputs["unit"]) == (Decimal("0.25"), "1000", "packs")


def test_without_an_estimate_there_is_no_demand() -> None:
    assert figure("domestic_demand_met", [lot(made=1, available=1)], [granted()]).why == "no_demand"


def test_what_is_supplied_beyond_one_substances_demand_does_not_meet_anothers() -> None:
    facts = [
        granted(),
        *EVEN,
        needed(36500, 2025, substance="x", form="tablet"),
        needed(36500, 2026, substance="x", form="tablet"),
    ]
    assert figure("domestic_demand_met", [lot(made=1, available=10**6)], facts).value == Decimal("0.5")


def test_imports_depend_on_what_shares_leave() -> None:
    lots = [lot(made=1, available=30), lot("L2", imported=1, available=10)]
    assert figure("import_dependency", lots, scope=ONE).value == Decimal("0.25")
    assert figure("import_dependency").why == "no_supply"


# Months.


def month(year: int, number: int, packs: int) -> Report:
    first = date(year, number, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return Report(first, last, packs)


STOCKED = [Change(date(2020, 1, 1), 10**9)]


def reported(*packs: int, last: date = ON, stock: list[Change] | None = None) -> Trade:
    """Reports of whole months, the last of them that of `last`."""
    reports = []
    for number, quantity in enumerate(reversed(packs)):
        at = last.year * 12 + last.month - 1 - number
        reports.append(month(at // 12, at % 12 + 1, quantity))
    return Trade(reports=sorted(reports), stock=STOCKED if stock is None else stock)


def test_months_of_stock_is_usable_stock_by_the_average_of_six_months() -> None:
    """10 + 20 + … + 60 = 210 in six months; the 1,000 before them are too old."""
    found = figure("months_of_stock", [lot(made=1, available=105)], scope=ONE,
                   trades={GTIN: reported(1000, 10, 20, 30, 40, 50, 60)})  # fmt: skip
    assert (found.value, found.inputs["monthly_use"]) == (Decimal(3), "35")
    assert found.inputs["months"] == "2026-01 2026-02 2026-03 2026-04 2026-05 2026-06"


@pytest.mark.parametrize(("on", "last"), [(date(2026, 6, 30), "2026-06"), (date(2026, 6, 29), "2026-05")])
def test_a_month_counts_from_its_last_day_on(on: date, last: str) -> None:
    found = figure("months_of_stock", [lot(made=1, available=1)], scope=ONE, trades={GTIN: reported(5, 5)}, on=on)
    assert found.inputs["months"].split()[-1] == last


def test_a_period_is_spread_evenly_over_its_days() -> None:
    """90 packs over the 90 days of January to March 2026: 31, 28, 31."""
    trade = Trade(reports=[Report(date(2026, 1, 1), date(2026, 3, 31), 90)], stock=STOCKED)
    by_month = months_of(trade, ON)
    assert [by_month[2026 * 12 + number].used for number in range(3)] == [31, 28, 31]


def test_february_of_a_leap_year_has_29_days() -> None:
    trade = Trade(reports=[Report(date(2024, 2, 1), date(2024, 3, 31), 60)], stock=STOCKED)
    by_month = months_of(trade, date(2024, 3, 31))
    assert (by_month[2024 * 12 + 1].used, by_month[2024 * 12 + 2].used) == (Fraction(29), Fraction(31))
    assert average([(1, by_month)], date(2024, 3, 31)).a_day == 1


def test_a_month_with_a_day_that_nobody_reported_is_passed_over() -> None:
    whole = reported(7, last=date(2026, 5, 31)).reports[0]
    half = Report(date(2026, 6, 2), date(2026, 6, 30), 100)
    found = figure("months_of_stock", [lot(made=1, available=14)], scope=ONE,
                   trades={GTIN: Trade(reports=[whole, half], stock=STOCKED)})  # fmt: skip
    assert (found.value, found.inputs["months"]) == (Decimal(2), "2026-05")


def test_months_without_stock_are_passed_over_for_earlier_ones() -> None:
    """From 1 March 2026 nothing was in stock: what was used before counts."""
    stock = [Change(date(2020, 1, 1), 50), Change(date(2026, 2, 28), -50)]
    found = figure("months_of_stock", [lot(made=1, available=10)], scope=ONE,
                   trades={GTIN: reported(20, 20, 0, 0, 0, 0, stock=stock)})  # fmt: skip
    assert (found.value, found.inputs["months"]) == (Decimal("0.5"), "2026-01 2026-02")


def test_it_is_looked_back_four_years_and_no_further() -> None:
    months = list(complete_before(ON))
    assert (first_of(months[0]), first_of(months[-1]), len(months)) == (date(2026, 6, 1), date(2022, 7, 1), 48)
    old = reported(10, last=date(2022, 6, 30))
    assert (
        figure("months_of_stock", [lot(made=1, available=1)], scope=ONE, trades={GTIN: old}).why == "no_reported_month"
    )


def test_without_reports_or_use_there_are_no_months_of_stock() -> None:
    assert figure("months_of_stock", [lot(made=1, available=1)], scope=ONE).why == "no_reported_month"
    assert figure("months_of_stock", scope=ONE, trades={GTIN: reported(0, 0)}).why == "no_use"


def test_what_is_recalled_or_expired_is_no_usable_stock() -> None:
    recall = fact("batch.recalled", gtin=GTIN, lot="R", level=1, recalled_on="2026-06-30", reason="x")
    lots = [
        lot("A", made=1, available=10),
        lot("R", made=1, available=100),
        lot("E", made=1, available=1000, expires_on=ON - timedelta(days=1)),
        lot("T", made=1, available=5, expires_on=ON),  # expires today, and may still be used today
        lot("", available=-3, supplied_on=None),  # used without naming a lot
    ]
    found = figure("months_of_stock", lots, [recall], scope=ONE, trades={GTIN: reported(6)})
    assert (found.value, found.inputs["usable"]) == (Decimal(2), "12")


# Expiry.


def expiring(lots: list[LotState], *packs: int) -> Measured:
    return figure("stock_expiring", lots, scope=ONE, trades={GTIN: reported(*packs)})


def ends(name: str, packs: int, days: int) -> LotState:
    return lot(name, made=1, available=packs, expires_on=ON + timedelta(days=days))


def test_what_expires_before_it_is_used_is_the_most_over_the_days() -> None:
    """DESIGN's example: 100 on day 10, 100 on day 90, 2 a day: 100 - 20 = 80; on day 90 200 - 180 = 20."""
    assert expiring([ends("A", 100, 10), ends("B", 100, 90)], 60).value == 80  # 60 in the 30 days of June


@pytest.mark.parametrize(
    ("lots", "value"),
    [
        ([ends("A", 100, 0)], 100),  # expires today: none of it will be used after today
        ([ends("A", 100, 90)], 0),
        ([ends("A", 200, 90)], 20),
        ([ends("A", 200, 91)], 0),  # further than is looked
        ([ends("A", 10, 1), ends("B", 500, 50)], 410),
        ([], 0),
        ([ends("A", 100, 10), lot("", available=-30, supplied_on=None)], 50),  # 70 left, 20 used by then
        ([ends("A", 100, 10), ends("B", 100, 20), lot("", available=-130, supplied_on=None)], 30),
    ],
)
def test_stock_that_expires_by_the_table(lots: list[LotState], value: int) -> None:
    """2 packs a day."""
    assert expiring(lots, 60).value == value


def test_of_several_products_what_expires_is_added_up_in_daily_doses() -> None:
    """80 packs of 2 DDD as above, and 10 of 0.5 DDD that nobody uses any more."""
    lots = [ends("A", 100, 10), ends("B", 100, 90)]
    other = ends("C", 10, 5)
    other.gtin = int(IMPORTED)
    trades = {GTIN: reported(60), IMPORTED: reported(0)}
    facts = [granted(), granted(IMPORTED, ddd="0.5")]
    found = figure("stock_expiring", [*lots, other], facts, trades=trades)
    assert (found.value, found.coverage) == (Decimal(165), Decimal(1))


def test_where_use_is_not_known_nothing_is_said() -> None:
    found = figure("stock_expiring", [ends("A", 100, 10)], scope=ONE)
    assert (found.value, found.why, found.coverage) == (None, "no_reported_month", Decimal(0))


# Suppliers.


def produced(name: str, firm: str) -> Introduction:
    return Introduction(name, "produced", ON, ON, firm, None, None, None, "registered", ("", name))


def imported(name: str, authorisation: str | None) -> Introduction:
    return Introduction(name, "imported", ON, ON, OTHER, None, "FR", authorisation, "registered", ("", name))


def test_concentration_is_the_sum_of_squared_shares() -> None:
    """60 and 40 of 100: 0.36 + 0.16, times 10,000."""
    lots = [lot("A", made=1, available=60), lot("B", made=1, available=40)]
    trades = {GTIN: Trade(introductions=[produced("A", MAKER), produced("B", OTHER)])}
    found = figure("concentration_hhi", lots, scope=ONE, trades=trades)
    assert (found.value, found.inputs["manufacturers"]) == (Decimal(5200), "2")
    largest = figure("largest_supplier_share", lots, scope=ONE, trades=trades)
    assert (largest.value, largest.inputs["largest"]) == (Decimal("0.6"), MAKER)


@pytest.mark.parametrize(("name", "value"), [("concentration_hhi", 10_000), ("largest_supplier_share", 1)])
def test_one_supplier_has_all(name: str, value: int) -> None:
    trades = {GTIN: Trade(introductions=[produced("L1", MAKER)])}
    assert figure(name, [lot(made=1, available=7)], scope=ONE, trades=trades).value == value


def test_an_imported_lot_was_made_by_the_manufacturer_of_its_authorisation() -> None:
    facts = [
        granted(authorisation="VN-1", origin="import", manufacturer=MAKER),
        granted(authorisation="VN-2", origin="import", manufacturer=OTHER, granted_on="2025-01-01"),
    ]
    lots = [lot("A", imported=1, available=1), lot("B", imported=1, available=2)]
    trades = {GTIN: Trade(introductions=[imported("A", "VN-1"), imported("B", None)])}
    found = figure("largest_supplier_share", lots, facts, scope=ONE, trades=trades)
    assert (found.inputs["largest"], found.inputs["largest_supply"]) == (OTHER, "2")


def test_a_lot_whose_manufacturer_nobody_names_lowers_the_coverage() -> None:
    lots = [lot("A", made=1, available=1), lot("B", imported=1, available=2)]
    trades = {GTIN: Trade(introductions=[produced("A", MAKER), imported("B", None)])}
    found = figure("concentration_hhi", lots, scope=ONE, trades=trades)
    assert (found.value, found.coverage) == (Decimal(10_000), Decimal("0.5"))


@pytest.mark.parametrize(("packs", "why"), [(None, "no_supply"), (-1, "negative_supply")])
def test_without_supply_there_is_no_concentration(packs: int | None, why: str) -> None:
    lots = [] if packs is None else [lot(made=1, available=packs)]
    trades = {GTIN: Trade(introductions=[produced("L1", MAKER)])}
    assert figure("concentration_hhi", lots, scope=ONE, trades=trades).why == why


# Exports.


def shipped(name: str, on: date, value: int | None, to: str = "LA", packs: int = 10) -> Shipment:
    return Shipment(name, on, packs, to, value, ("", name))


def test_exports_of_domestic_lots_in_the_window_are_added_up_by_destination() -> None:
    lots = [lot("A", made=1), lot("B", imported=1)]
    shipments = [
        shipped("A", ON, 500, "LA"),
        shipped("A", ON - timedelta(days=364), 300, "KH"),
        shipped("A", ON - timedelta(days=365), 9000),
        shipped("A", ON + timedelta(days=1), 9000),
        shipped("B", ON, 9000),
        shipped("A", ON, None, "LA", packs=20),
    ]
    found = figure("export_value", lots, trades={GTIN: Trade(shipments=shipments)})
    assert (found.value, found.coverage) == (Decimal(800), Decimal("0.5"))
    assert (found.inputs["to_LA"], found.inputs["to_KH"]) == ("500", "300")
    asean = figure("asean_destinations", lots, trades={GTIN: Trade(shipments=shipments)})
    assert (asean.value, asean.inputs["to_LA"]) == (Decimal(2), "30")


def test_without_exports_their_value_is_nothing() -> None:
    assert (figure("export_value").value, figure("export_value").coverage) == (Decimal(0), Decimal(1))


# What is counted.

UNDER_IT = granted(agreement="A-1")


@pytest.mark.parametrize(
    ("told", "released", "transferred", "registered"),
    [
        ({"agreement": "A-1"}, True, 1, 1),
        ({"agreement": "A-1"}, False, 0, 1),
        ({}, True, 0, 1),
        ({"agreement": "A-1", "origin": "import"}, True, 0, 0),
        ({"agreement": "A-1", "expires_on": "2026-06-30"}, True, 1, 1),
        ({"agreement": "A-1", "expires_on": "2026-06-29"}, True, 0, 0),
    ],
)
def test_a_product_is_transferred_once_it_is_registered_under_an_agreement_and_released(
    told: dict[str, Any], released: bool, transferred: int, registered: int
) -> None:
    lots = [lot(made=1, supplied_on=date(2024, 5, 5) if released else None)]
    assert figure("transferred_products", lots, [granted(**told)]).value == transferred
    assert figure("registered_products", lots, [granted(**told)]).value == registered


def test_two_packs_of_one_medicine_are_one_product() -> None:
    second = granted(IMPORTED, agreement="A-1", product={"name": f"Med {GTIN}"}, authorisation="VD-2")
    lots = [lot(made=1), lot(gtin=IMPORTED, made=1)]
    found = figure("transferred_products", lots, [UNDER_IT, second])
    assert (found.value, found.inputs["generic"]) == (Decimal(1), "1")


def certified(number: int, standard: str = "EU-GMP", **told: Any) -> Fact:
    site = f"952000100{number:04d}"
    about = {"site": site, "holder": MAKER, "country": "VN", "effective_on": "2025-01-01", "expires_on": "2028-01-01"}
    return fact("gmp.certified", id=f"c{number}", certificate=f"C-{number}", standard=standard, **{**about, **told})


@pytest.mark.parametrize(
    ("told", "sites"),
    [
        ({}, 1),
        ({"standard": "PIC/S-GMP"}, 1),
        ({"standard": "WHO-GMP"}, 0),
        ({"country": "FR"}, 0),
        ({"expires_on": "2026-06-30"}, 1),
        ({"expires_on": "2026-06-29"}, 0),
        ({"effective_on": "2026-07-01"}, 0),
    ],
)
def test_a_site_counts_while_its_certificate_holds(told: dict[str, Any], sites: int) -> None:
    facts = [certified(1, **told), certified(2, "WHO-GMP")]
    assert figure("gmp_sites", [], facts).value == sites
    share = figure("gmp_site_share", [], facts)
    assert share.inputs["certified"] == str(1 + (sites or told.get("standard") == "WHO-GMP"))


def test_a_withdrawn_certificate_no_longer_counts_from_its_day_on() -> None:
    withdrawn = fact("gmp.withdrawn", certificate="C-1", effective_on="2026-06-30", reason="x")
    assert figure("gmp_sites", [], [certified(1), withdrawn]).value == 0
    assert figure("gmp_sites", [], [certified(1), withdrawn], on=date(2026, 6, 29)).value == 1


def test_without_sites_there_is_no_share_of_them() -> None:
    assert figure("gmp_site_share").why == "no_sites"


@pytest.mark.parametrize(("moved_on", "value"), [("2025-07-01", 1), ("2025-06-30", 0), ("2026-07-01", 0)])
def test_an_authorisation_reports_if_anything_of_it_moved_in_the_window(moved_on: str, value: int) -> None:
    trade = Trade(moved=[date.fromisoformat(moved_on)])
    assert figure("reporting_coverage", [], [granted()], trades={GTIN: trade}).value == value


def test_without_authorisations_nobody_has_to_report() -> None:
    assert figure("reporting_coverage").why == "no_authorisations"


def said(value: str, period_end: str, **told: Any) -> Fact:
    about = {"figure": "market_value", "scope": "all", "unit": "USD", "source_": "press"}
    return fact("figure.reported", id=period_end, value=value, period_end=period_end, **{**about, **told})


@pytest.mark.parametrize(
    ("scope", "on", "value"),
    [
        ("all", date(2025, 12, 31), "8.5"),
        ("all", date(2025, 12, 30), "7.89"),
        ("all", date(2024, 12, 30), None),
        ("atc:C", date(2026, 1, 1), None),
    ],
)
def test_the_newest_reported_figure_whose_period_has_ended_counts(scope: str, on: date, value: str | None) -> None:
    facts = [said("8.5", "2025-12-31"), said("7.89", "2024-12-31")]
    found = figure("reported:market_value", [], facts, scope=scope, on=on)
    assert found.value == (None if value is None else Decimal(value))
    assert found.why == (None if value else "not_reported")


@pytest.mark.parametrize("name", sorted(INDICATORS))
@pytest.mark.parametrize("scope", ["all", ONE, "atc:C", "agreement:none", "brand:9520000000004", "substance:x"])
def test_of_nothing_every_indicator_says_nothing_or_none(name: str, scope: str) -> None:
    found = figure(name, scope=scope)
    assert (found.value is None) == (found.why is not None)
    assert found.value in (None, 0)
    assert found.coverage in (None, 1)


def test_averages_are_exact() -> None:
    """A third of a pack a day does not add up to 0.999…"""
    trade = Trade(reports=[Report(date(2026, 6, 1), date(2026, 6, 30), 10)], stock=STOCKED)
    assert average([(1, months_of(trade, ON))], ON).a_day == Fraction(1, 3)


def arriving(*days_ago: int) -> list[LotState]:
    return [lot(f"L{age}", made=1, supplied_on=ON - timedelta(days=age)) for age in days_ago]


@pytest.mark.parametrize(
    ("days_ago", "value", "why"),
    [
        ([0, 29, 30, 31, 60, 61, 90, 119], "0", None),  # 200 packs against 600 in three months
        ([0, 30, 31, 60, 61, 90, 119], "-0.5", None),
        ([30, 31, 60, 61, 90, 119], "-1", None),
        ([0, 30, 31, 60, 61, 90, 120], None, "too_few_lots"),  # the last one is too old
    ],
)
def test_supply_is_compared_with_the_three_months_before(
    days_ago: list[int], value: str | None, why: str | None
) -> None:
    """100 packs a lot."""
    found = figure("supply_change", arriving(*days_ago), scope=ONE)
    assert (found.value, found.why) == (None if value is None else Decimal(value), why)


def interrupted(**told: Any) -> Fact:
    about = {"interruption": "I-1", "cause": "fire", "started_on": "2026-06-01"}
    return fact("interruption.notified", id="n", **{**about, **told})


@pytest.mark.parametrize(
    ("told", "cause"),
    [({"site": MAKER}, "I-1"), ({"gtin": GTIN}, "I-1"), ({"site": OTHER}, None), ({"gtin": IMPORTED}, None)],
)
def test_an_open_interruption_is_named_as_the_cause(told: dict[str, Any], cause: str | None) -> None:
    trades = {GTIN: Trade(introductions=[produced("L1", MAKER)])}
    for name in ("months_of_stock", "supply_change"):
        found = figure(name, [lot(made=1, available=1)], [interrupted(**told)], scope=ONE, trades=trades)
        assert found.inputs.get("cause") == cause
    over = fact("interruption.resolved", id="r", interruption="I-1", resolved_on="2026-06-30")
    ended = figure("months_of_stock", [lot(made=1)], [interrupted(**told), over], scope=ONE, trades=trades)
    assert "cause" not in ended.inputs


@pytest.mark.parametrize("on", [date.min, date(1, 3, 1), date(9999, 12, 31)])
def test_the_first_and_the_last_day_that_there_are_can_be_asked_for(on: date) -> None:
    lots = [lot(made=1, available=5, expires_on=date(2199, 1, 1)), lot("", available=-1)]
    signed = fact(
        "transfer.signed", agreement="A-1", title="T", originator=MAKER, recipient=MAKER, signed_on="2026-01-01",
        products=[{"name": "Med", "substance": "metformin", "gtins": [GTIN]}], milestones=[],
    )  # fmt: skip
    facts = [granted(agreement="A-1"), signed, *EVEN, certified(1), interrupted(site=MAKER), price(5, "2026-01-01")]
    trade = Trade(introductions=[produced("L1", MAKER)], shipments=[shipped("L1", ON, 5)], **vars_of(reported(5, 5)))
    seen = market_of(lots, facts, on=on, trades={int(GTIN): trade})
    for name in (*INDICATORS, "reported:market_value"):
        for scope in ("all", ONE, "agreement:A-1"):
            assert measure(name, scope, seen).on == on
            behind(name, scope, seen)
    assert all(item.due_on is None or item.due_on.year < 2200 for item in duties(Registry(facts), on, {MAKER: [1]}))
    assert hardest(seen, "all") and shares(losses(seen, "all", Source("manufacturer", MAKER)), "all", seen)
    for goal in load_goals(GOALS_DIR):
        assess(goal, measure(goal.indicator, goal.scope, seen), on)


def vars_of(trade: Trade) -> dict[str, Any]:
    return {"reports": trade.reports, "stock": trade.stock}
