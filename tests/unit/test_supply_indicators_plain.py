"""Every indicator of every scope is, to the last decimal, what a plain script makes of the same events."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest

from services.supply.figures import text
from services.supply.indicators import INDICATORS, measure
from services.supply.measure import market
from services.supply.origin import Origins
from services.supply.trade import NO_TRADE, merged
from tests.market_flood import SCOPES, movements, registry
from tests.plain_indicators import Plain
from tests.unit.supply_market import STEPS
from tests.unit.supply_sales import registry_of, sales_of, trades_of

DAYS = (date(2024, 12, 31), date(2025, 7, 1), date(2026, 2, 28), date(2026, 7, 1))


@pytest.mark.parametrize("seed", range(3))
def test_every_indicator_is_what_a_plain_script_makes_of_the_events(seed: int) -> None:
    drawn = Random(seed)
    events = [*registry(drawn), *movements(drawn, 250, corrected=False)]
    plain, known = Plain.of(events), registry_of(events)
    for on in DAYS:
        seen = market(sales_of(plain, known, on), "days_365", Origins(known, STEPS))
        for name in INDICATORS:
            for scope in SCOPES:
                found = measure(name, scope, seen)
                shown = (text(found.value), found.why, text(found.coverage))
                assert shown == plain.value(name, scope, on), (name, scope, on)


@pytest.mark.parametrize("seed", range(3))
def test_a_trade_that_grows_is_the_trade_of_all_that_was_said(seed: int) -> None:
    said = movements(Random(seed), 300, corrected=False)
    said = list({(event["source"], event["id"]): event for event in said}.values())
    cut = Random(seed + 1).randrange(len(said))
    before, more = trades_of(Plain.of(said[:cut])), trades_of(Plain.of(said[cut:]))
    for gtin, whole in trades_of(Plain.of(said)).items():
        grown = merged(before.get(gtin, NO_TRADE), more.get(gtin, NO_TRADE))
        assert (grown.reports, list(grown.stock), list(grown.moved)) == (whole.reports, whole.stock, whole.moved)
        assert {lot: changes for lot, changes in grown.used.items() if changes} == whole.used
        assert sorted(grown.introductions, key=str) == sorted(whole.introductions, key=str)
        assert sorted(grown.shipments, key=str) == sorted(whole.shipments, key=str)
