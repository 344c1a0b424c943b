"""Every indicator of every scope is, to the last decimal, what a plain script makes of the same events."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest

from services.supply.figures import text
from services.supply.indicators import INDICATORS, measure
from services.supply.measure import market
from services.supply.origin import Origins
from tests.market_flood import SCOPES, movements, registry
from tests.plain_indicators import Plain
from tests.unit.supply_market import STEPS
from tests.unit.supply_sales import registry_of, sales_of

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
