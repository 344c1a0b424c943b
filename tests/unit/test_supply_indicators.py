"""Domestic shares against tables worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.supply.facts import Fact
from services.supply.figures import Measured, quotient
from services.supply.indicators import measure
from services.supply.lot import LotState
from services.supply.scopes import parse_scope
from services.supply.supplied import window_start
from tests.supply_given import GTIN, MAKER, gtin
from tests.unit.supply_market import ON, fact, granted, lot, market_of, price

IMPORTED = gtin(2)
NONE, ALL = Decimal(0), Decimal(1)


def volume(lots: list[LotState], facts: list[Fact], scope: str = "all", **more: Any) -> Measured:
    return measure("domestic_share_volume", scope, market_of(lots, facts, **more))


def value(lots: list[LotState], facts: list[Fact], scope: str = "all", **more: Any) -> Measured:
    return measure("domestic_share_value", scope, market_of(lots, facts, **more))


MADE = lot(made=1, consumed=60, available=20)
BROUGHT = lot(gtin=IMPORTED, imported=1, consumed=10, available=50)
REGISTERED = [granted(ddd="2"), granted(IMPORTED, ddd="0.5", origin="import")]


def test_products_are_summed_in_daily_doses() -> None:
    """80 packs x 2 DDD = 160 from here, 60 packs x 0.5 DDD = 30 from abroad."""
    found = volume([MADE, BROUGHT], REGISTERED)
    assert found.value == Decimal("0.842105263158")
    assert (found.inputs["domestic"], found.inputs["imported"], found.inputs["unit"]) == ("160", "30", "ddd")
    assert found.coverage == 1


def test_one_product_is_counted_in_packs() -> None:
    """80 packs made here and 20 of another lot brought in; a DDD is not needed."""
    lots = [MADE, lot("L2", imported=1, available=20)]
    found = volume(lots, [granted(ddd=None)], f"gtin:{GTIN}")
    assert (found.value, found.inputs["unit"], found.coverage) == (Decimal("0.8"), "packs", ALL)


def test_an_unregistered_product_counts_alone_and_not_in_sums() -> None:
    assert volume([MADE], [], f"gtin:{GTIN}").value == 1
    found = volume([MADE], [])
    assert (found.value, found.why, found.coverage) == (None, "no_supply", NONE)


def test_a_product_without_daily_doses_is_left_out_and_lowers_the_coverage() -> None:
    found = volume([MADE, BROUGHT], [granted(ddd=None), REGISTERED[1]])
    assert (found.value, found.coverage) == (NONE, Decimal("0.5"))


def test_a_lot_of_unknown_origin_is_on_neither_side_and_lowers_the_coverage() -> None:
    found = volume([MADE, BROUGHT, lot("L9", available=1000)], REGISTERED)
    assert (found.value, found.coverage) == (Decimal("0.842105263158"), Decimal("0.666666666667"))


def test_a_lot_both_made_and_imported_is_domestic() -> None:
    assert volume([lot(made=1, imported=1, available=5), BROUGHT], REGISTERED).inputs["domestic"] == "10"


@pytest.mark.parametrize(("step", "share"), [(None, 1), ("full", 1), ("fill_finish", 1), ("packaging", 0)])
def test_a_lot_made_by_a_step_that_does_not_count_is_import(step: str | None, share: int) -> None:
    assert volume([MADE], [granted(local_step=step)]).value == share


def test_what_was_exported_destroyed_or_used_up_counts_for_nobody() -> None:
    gone = lot(made=1, available=10, exported=500, destroyed=500, transformed=500, quarantine=500, rejected=500)
    assert volume([gone], REGISTERED).inputs["domestic"] == "20"


def test_what_the_shelf_count_found_or_missed_counts() -> None:
    """Missing packs went to `adjusted`: they were supplied. Found packs came from there."""
    assert volume([lot(made=1, adjusted=3, available=7)], REGISTERED).inputs["domestic"] == "20"
    assert volume([lot(made=1, adjusted=-3, available=13)], REGISTERED).inputs["domestic"] == "20"


RECALL: dict[str, Any] = {"gtin": GTIN, "level": 1, "reason": "impurity"}


@pytest.mark.parametrize(
    ("recall", "domestic"),
    [
        ({"lot": "L1", "recalled_on": "2026-06-30"}, "120"),
        ({"lot": "L1", "recalled_on": "2026-07-01"}, "160"),
        ({"lot": "L2", "recalled_on": "2026-06-30"}, "160"),
        ({"recalled_on": "2026-06-30"}, "120"),
    ],
)
def test_of_a_recalled_lot_only_what_was_used_counts(recall: dict[str, Any], domestic: str) -> None:
    facts = [*REGISTERED, fact("batch.recalled", **RECALL, **recall)]
    assert volume([MADE], facts).inputs["domestic"] == domestic


def test_a_recall_of_all_lots_covers_those_that_were_there() -> None:
    facts = [*REGISTERED, fact("batch.recalled", **RECALL, recalled_on="2026-06-29")]
    assert volume([MADE], facts).inputs["domestic"] == "160"


def test_closing_a_recall_unblocks_nothing() -> None:
    recalled = fact("batch.recalled", **RECALL, lot="L1", recalled_on="2026-06-01")
    closed = fact("recall.closed", gtin=GTIN, lot="L1", closed_on="2026-06-10", recovered=20)
    assert volume([MADE], [*REGISTERED, recalled, closed]).inputs["domestic"] == "120"


@pytest.mark.parametrize(("days_ago", "inside"), [(-1, False), (0, True), (364, True), (365, False)])
def test_the_window_is_the_365_days_up_to_the_day(days_ago: int, inside: bool) -> None:
    found = volume([lot(made=1, available=1, supplied_on=ON - timedelta(days=days_ago))], REGISTERED)
    assert (found.value == 1) is inside


@pytest.mark.parametrize(
    ("window", "first"),
    [("days_365", date(2025, 7, 1)), ("calendar_year", date(2026, 1, 1)), ("ever", date.min)],
)
def test_a_window_begins_where_its_name_says(window: Any, first: date) -> None:
    assert window_start(ON, window) == first


def test_a_window_at_the_beginning_of_time_is_cut() -> None:
    assert window_start(date(1, 3, 1), "days_365") == date.min


def test_a_lot_that_never_reached_available_supplies_nothing() -> None:
    assert volume([lot(made=1, supplied_on=None, quarantine=100)], REGISTERED).why == "no_supply"


def test_the_unnamed_lot_supplies_nothing() -> None:
    assert volume([lot("", available=-40, consumed=40)], REGISTERED).why == "no_supply"


def test_nothing_supplied_is_no_supply_without_coverage() -> None:
    found = volume([], REGISTERED)
    assert (found.value, found.why, found.coverage) == (None, "no_supply", None)


def test_a_negative_side_is_told_before_an_empty_sum() -> None:
    """-10 packs x 2 DDD here and 40 packs x 0.5 DDD abroad add up to nothing."""
    lots = [lot(made=1, available=-10), lot(gtin=IMPORTED, imported=1, available=40)]
    assert (volume(lots, REGISTERED).value, volume(lots, REGISTERED).why) == (None, "negative_supply")
    assert volume(lots[:1], REGISTERED).why == "negative_supply"
    assert volume([MADE, lot(gtin=IMPORTED, imported=1, available=-1)], REGISTERED).why == "negative_supply"


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        (1, 3, "0.333333333333"),
        (2, 3, "0.666666666667"),
        (1, 2 * 10**12, "0.000000000000"),
        (3, 2 * 10**12, "0.000000000002"),
        (5, 2 * 10**12, "0.000000000002"),
        (10**24 + 1, 2 * 10**24, "0.500000000000"),
    ],
)
def test_quotients_are_rounded_half_even_to_twelve_decimals(above: int, below: int, expected: str) -> None:
    assert format(quotient(above, below), "f") == expected


PRICES = [price(1000, "2026-01-01"), price(3000, "2026-01-01", IMPORTED)]


def test_value_is_packs_times_price_and_needs_no_daily_doses() -> None:
    """80 packs x 1,000 VND from here, 60 packs x 3,000 VND from abroad; 80,000 / 260,000."""
    found = value([MADE, BROUGHT], [granted(ddd=None), *PRICES])
    assert (found.value, found.coverage) == (Decimal("0.307692307692"), ALL)
    assert (found.inputs["domestic"], found.inputs["imported"], found.inputs["unit"]) == ("80000", "180000", "vnd")


def test_a_lot_without_a_price_is_left_out_and_lowers_the_coverage() -> None:
    found = value([MADE, BROUGHT], [*REGISTERED, PRICES[0]])
    assert (found.value, found.coverage) == (ALL, Decimal("0.5"))


def test_without_any_price_there_is_no_supply_of_value() -> None:
    found = value([MADE, BROUGHT], REGISTERED)
    assert (found.value, found.why, found.coverage) == (None, "no_supply", NONE)


def test_the_price_is_that_of_the_day_the_lot_was_first_available() -> None:
    prices = [price(1000, "2026-01-01"), price(5000, "2026-06-30"), price(9000, "2026-07-01")]
    lots = [lot("A", made=1, available=1, supplied_on=date(2026, 6, 29)), lot("B", made=1, available=1)]
    assert value(lots, prices, f"gtin:{GTIN}").inputs["domestic"] == "6000"


def test_sums_of_value_are_exact() -> None:
    """Thirty lots of 10^12 packs at 10^15 VND and one pack at 1 VND: 29 digits."""
    lots = [lot(f"L{number}", made=1, available=10**12) for number in range(30)]
    facts = [price(10**15, "2026-01-01"), price(1, "2026-01-01", IMPORTED)]
    found = value([lot(gtin=IMPORTED, made=1, available=1), *lots], facts)
    assert found.inputs["domestic"] == f"{30 * 10**27 + 1}"


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        ("all", True),
        ("atc:A10", True),
        ("atc:C", False),
        ("substance:metformin", True),
        ("substance:met", False),
        (f"gtin:{GTIN}", True),
        (f"gtin:{GTIN.lstrip('0')}", True),
        (f"gtin:{IMPORTED}", False),
        ("agreement:by-registration", True),
        ("agreement:by-product", True),
        ("agreement:unknown", False),
        (f"brand:{MAKER}", True),
        ("brand:9520000000011", False),
    ],
)
def test_a_scope_holds_its_products(scope: str, inside: bool) -> None:
    signed = fact(
        "transfer.signed",
        agreement="by-product",
        title="T",
        originator=MAKER,
        recipient=MAKER,
        signed_on="2026-01-01",
        products=[{"name": "Med", "substance": "metformin", "gtins": [GTIN]}],
        milestones=[],
    )
    facts = [granted(agreement="by-registration", product={"brand_owner": MAKER}), signed]
    assert (volume([MADE], facts, scope).value == 1) is inside


@pytest.mark.parametrize("scope", ["", "all:x", "gtin:", "gtin:abc", "gtin:1", "gtin:١٢٣٤٥٦٧٨", "atc", "country:VN"])
def test_a_scope_that_is_none_is_refused_with_a_reason(scope: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        parse_scope(scope)
