"""The goals of deploy/goals speak of what there is: known indicators, scopes of the scenario, dates in order."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from services.supply.indicators import indicator
from tests.unit.scenario_told import goals, scenario


def test_every_goal_has_a_published_source_and_a_way_to_go() -> None:
    for goal in goals().values():
        assert goal["title"] and goal["source"]
        assert indicator(goal["indicator"]) is not None
        assert goal["baseline"]["on"] < goal["target"]["by"]
        assert Decimal(goal["baseline"]["value"]) < Decimal(goal["target"]["value"])


def test_the_goals_of_decision_1165_are_eighty_percent_of_volume_and_seventy_of_value_by_2030() -> None:
    targets = {name: goals()[f"vn-2030-domestic-{name}"]["target"] for name in ("volume", "value")}
    assert targets == {
        "volume": {"by": date(2030, 12, 31), "value": "0.80"},
        "value": {"by": date(2030, 12, 31), "value": "0.70"},
    }


def test_every_agreement_has_goals_and_every_scope_holds_products() -> None:
    markets, agreements = scenario().markets, {agreement.agreement for agreement in scenario().agreements}
    brands = {product.brand_owner for _, product in scenario().products()}
    for goal in goals().values():
        kind, _, key = goal["scope"].partition(":")
        held = {
            "all": True,
            "atc": any(market.atc.startswith(key) for market in markets),
            "substance": any(market.substance == key for market in markets),
            "agreement": key in agreements,
            "brand": key in brands,
        }
        assert held[kind], goal["scope"]
    assert all(any(name.startswith(agreement) for name in goals()) for agreement in agreements)
