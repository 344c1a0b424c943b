"""What would be left if one source of supply stopped today, by tables worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.supply.market import Market
from services.supply.trade import Change, Introduction, Report, Trade
from services.supply.whatif import Source, forecast, hardest, losses, product_json, ranked, shares
from tests.supply_given import GTIN, MAKER, gtin
from tests.unit.supply_market import ON, granted, lot, market_of

OTHER, IMPORTER, SITE = "9520002000002", "9520015000006", "9520001000102"
SECOND = gtin(2)


def introduced(name: str, kind: Any, firm: str, **more: Any) -> Introduction:
    about = {"site": None, "country": None, "authorisation": None, "basis": "registered", "said_by": ("", name)}
    return Introduction(name, kind, ON, date(2028, 1, 1), firm, **{**about, **more})


def used(packs: int) -> dict[str, Any]:
    """So many in June 2026, always in stock."""
    reports = [Report(date(2026, 6, 1), date(2026, 6, 30), packs)]
    return {"reports": reports, "stock": [Change(date(2020, 1, 1), 10**9)]}


def two_suppliers() -> Market:
    """60 packs made at a site here and still there, 40 imported from France; 20 are used a month."""
    lots = [lot("A", made=1, available=60), lot("B", imported=1, available=40)]
    said = [introduced("A", "produced", MAKER, site=SITE), introduced("B", "imported", IMPORTER, country="FR")]
    facts = [granted(manufacturer=OTHER, origin="import")]
    return market_of(lots, facts, trades={int(GTIN): Trade(introductions=said, **used(20))}, reached=60)


@pytest.mark.parametrize(
    ("source", "volume", "dependency", "lost"),
    [
        (Source("site", SITE), "0", "1", 60),
        (Source("manufacturer", MAKER), "0", "1", 60),
        (Source("manufacturer", OTHER), "1", "0", 40),  # as the authorisation says of the imported lot
        (Source("importer", IMPORTER), "1", "0", 40),
        (Source("country", "FR"), "1", "0", 40),
        (Source("country", "VN"), "0", "1", 60),
        (Source("importer", MAKER), "0.6", "0.4", 0),
    ],
)
def test_without_a_source_the_shares_are_those_of_the_others(
    source: Source, volume: str, dependency: str, lost: int
) -> None:
    seen = two_suppliers()
    found = losses(seen, "all", source)
    told = shares(found, "all", seen)
    assert told["domestic_share_volume"] == {"now": "0.6", "without": volume}
    assert told["import_dependency"] == {"now": "0.4", "without": dependency}
    assert [loss.lost for loss in ranked(found)] == ([lost] if lost else [])


def test_stock_lasts_as_long_as_use_is_more_than_what_comes() -> None:
    """100 packs, 20 a month used; 120 came in six months, 20 a month: it does not run out. Without the importer 10 come
    a month, 10 are missing: ten months."""
    (loss,) = ranked(losses(two_suppliers(), f"gtin:{GTIN}", Source("importer", IMPORTER)))
    told = product_json(loss)
    assert (told["months_of_stock"], told["lasts_months"]) == ("5", {"now": None, "without": "10"})
    assert told["runs_out_on"] == "2027-04-30"  # 304 days
    assert (told["lost"], told["lost_share"]) == (40, "0.4")


def test_who_runs_out_first_comes_first() -> None:
    soon = lot("S", gtin=SECOND, made=1, available=10)
    seen = market_of(
        [lot("A", made=1, available=60), soon],
        [],
        trades={
            int(GTIN): Trade(introductions=[introduced("A", "produced", MAKER)], **used(20)),
            int(SECOND): Trade(introductions=[introduced("S", "produced", MAKER)], **used(20)),
        },
    )
    found = ranked(losses(seen, "all", Source("manufacturer", MAKER)))
    assert [loss.held.gtin for loss in found] == [int(SECOND), int(GTIN)]
    assert [product_json(loss)["lasts_months"]["without"] for loss in found] == ["0.5", "3"]


def test_the_sources_with_most_of_the_supply_are_told_by_kind() -> None:
    found = hardest(two_suppliers(), "all")
    assert [(item["source"], item["share"]) for item in found["country"]] == [("VN", "0.6"), ("FR", "0.4")]
    assert [item["source"] for item in found["manufacturer"]] == [MAKER, OTHER]
    assert [item["supply"] for item in found["importer"]] == ["80"]  # 40 packs of 2 DDD
    assert found["site"] == [{"source": SITE, "supply": "120", "share": "0.6", "products": 1}]


def test_of_each_kind_ten_are_told() -> None:
    lots = [lot(f"L{number}", made=1, available=number + 1) for number in range(12)]
    said = [introduced(f"L{number}", "produced", f"95200010{number:05d}") for number in range(12)]
    told = hardest(market_of(lots, [granted()], trades={int(GTIN): Trade(introductions=said)}), "all")["manufacturer"]
    assert [item["supply"] for item in told] == [str(2 * packs) for packs in range(12, 2, -1)]


def test_nothing_is_lost_where_nothing_is() -> None:
    seen = market_of([])
    assert ranked(losses(seen, "all", Source("country", "FR"))) == []
    assert hardest(seen, "all") == {"site": [], "manufacturer": [], "importer": [], "country": []}
    assert shares([], "all", seen)["domestic_share_volume"] == {"now": None, "without": None}


def test_stock_is_forecast_from_the_last_six_months() -> None:
    """100 packs; 20 a month are used, 60 came in six months: 10 fewer each month, 5 months of stock shrink by half."""
    lots = [lot("A", made=1, available=100)]
    trade = Trade(introductions=[introduced("A", "produced", MAKER)], **used(20))
    (held,) = market_of(lots, trades={int(GTIN): trade}, reached=60).of(f"gtin:{GTIN}")
    assert [(row["usable"], row["months_of_stock"]) for row in forecast(held, 3)] == [
        ("90", "4.5"),
        ("80", "4"),
        ("70", "3.5"),
    ]
    assert forecast(market_of(lots).of(f"gtin:{GTIN}")[0], 3) == []
