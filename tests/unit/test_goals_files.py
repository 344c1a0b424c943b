"""The goals of deploy/goals are complete and speak of what there is; a fault in a file is named by line and field."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from services.supply.goal_files import BadGoals, load_goals
from services.supply.indicators import INDICATORS, indicator
from tests.unit.scenario_told import GOALS_DIR, goals, scenario

GOOD = """\
- goal: a
  title: A
  source: S
  indicator: domestic_share_volume
  scope: all
  baseline: {on: 2023-12-31, value: "0.60"}
  target: {by: 2030-12-31, value: "0.80"}
"""
FOUNDED = "servier-ampharco genuone-imexpharm medsintez-vnvc".split()


def test_every_goal_has_a_published_source_and_a_way_to_go_or_to_keep() -> None:
    for goal in load_goals(GOALS_DIR):
        assert goal.title and goal.source
        assert indicator(goal.indicator) is not None
        assert goal.baseline.value < goal.target.value or goal.target.by is None
        assert "baseline" in goal.source or goal.baseline.source or goal.goal in _ASSUMED, goal.goal


# Goals whose every figure is assumed, as their source says.
_ASSUMED = {goal.goal for goal in load_goals(GOALS_DIR) if "assumed" in goal.source}


def test_the_goals_of_decision_1165_are_those_of_the_decision() -> None:
    targets = {name: goal["target"] for name, goal in goals().items() if name.startswith("vn-2030")}
    assert {name.removeprefix("vn-2030-"): target["value"] for name, target in targets.items()} == {
        "domestic-volume": "0.80",
        "demand-met": "0.80",
        "domestic-value": "0.70",
        "transferred-products": "100",
        "gmp-sites": "0.20",
        "exports": "1000000000",
        "raw-materials": "0.20",
    }
    assert {target["by"] for target in targets.values()} == {date(2030, 12, 31)}
    assert goals()["vn-2045-market-value"]["target"] == {"by": date(2045, 12, 31), "value": "20000000000"}


def test_the_goals_of_each_agreement_are_what_was_published() -> None:
    wanted = {
        "servier-ampharco": "production first-product half-of-originals therapeutic-areas export eu-gmp",
        "genuone-imexpharm": "registered released fields diabetes cardiovascular",
        "medsintez-vnvc": "production products export insulin",
    }
    for agreement, names in wanted.items():
        assert {f"{agreement}-{name}" for name in names.split()} <= goals().keys()
    first = goals()["servier-ampharco-first-product"]
    assert (first["indicator"], first["target"]) == ("transferred_products", {"by": date(2026, 12, 31), "value": "1"})
    assert goals()["servier-ampharco-half-of-originals"]["scope"].startswith("brand:")
    assert goals()["medsintez-vnvc-production"]["target"]["by"] == date(2027, 12, 31)


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
    assert sorted(agreements) == sorted(FOUNDED)
    assert all(any(name.startswith(agreement) for name in goals()) for agreement in agreements)


def wrong(folder: Path, text: str) -> str:
    """What is said of a file with this text; its path is left out."""
    path = folder / "goals.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadGoals) as caught:
        load_goals(folder)
    return str(caught.value).replace(str(path), "goals.yaml")


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed("domestic_share_volume", "share"), "goals.yaml:4: indicator: not an indicator; there are"),
        (changed("scope: all", "scope: atc"), "goals.yaml:5: scope: a scope is 'all' or one of"),
        (changed("2030-12-31", "2020-12-31"), "goals.yaml:7: target.by: target.by must lie after baseline.on"),
        (changed('"0.80"', "much"), "goals.yaml:7: target.value: Input should be a valid decimal"),
        (changed("  source: S\n", ""), "goals.yaml:1: source: Field required"),
        (GOOD + "  colour: blue\n", "goals.yaml:8: colour: Extra inputs are not permitted"),
        (GOOD + "  title: B\n", "goals.yaml:8: title: stands twice"),
        (GOOD + GOOD, "goals.yaml:8: goal: the goal a is defined twice"),
        (changed("title: A", "title: [A"), "goals.yaml:3: "),
        (GOOD + "  trajectory: wavy\n", "goals.yaml:8: trajectory: Input should be 'linear', 'compound' or 'step'"),
        (GOOD + "  steps: [{by: 2025-01-01, value: 0.7}]\n", "goals.yaml:8: steps: steps need trajectory: step"),
        (
            GOOD + "  trajectory: step\n  steps:\n  - {by: 2031-01-01, value: 0.7}\n",
            "goals.yaml:9: steps: steps must follow one another between baseline.on and target.by",
        ),
        (
            GOOD + "  trajectory: step\n  steps:\n  - {by: 2025-01-01, value: 0.9}\n",
            "goals.yaml:9: steps: steps must lead from the baseline's value to the target's",
        ),
        (
            GOOD + "  rate: {currency: USD, vnd: 25000, source: S}\n",
            "goals.yaml:8: rate: a rate is for an indicator in vnd, and domestic_share_volume is none",
        ),
        (GOOD + "  bands: {on_track: 0.5, off_track: 0.6}\n", "goals.yaml:8: bands"),
        ("goal: a\n", "goals.yaml:1: goal: Input should be a valid list"),
        ("", "goals.yaml:1: goal: Input should be a valid list"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_by_file_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    assert wrong(tmp_path, text).startswith(told)


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = changed("scope: all", "scope: everything") + "  tolerance: -1\n"
    assert [line.split(":")[1] for line in wrong(tmp_path, text).splitlines()] == ["5", "8"]


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "goals.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadGoals, match=r"goals\.yaml:1: not UTF-8"):
        load_goals(tmp_path)


def test_a_folder_without_goals_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadGoals, match=r"no \*\.yaml"):
        load_goals(tmp_path)


def test_every_indicator_can_be_a_goal(tmp_path: Path) -> None:
    for name in (*INDICATORS, "reported:market_value"):
        (tmp_path / "goals.yaml").write_text(GOOD.replace("domestic_share_volume", name), encoding="utf-8")
        assert load_goals(tmp_path)[0].indicator == name
