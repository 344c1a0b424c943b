"""Each agreement on its path, late and reversed, the nation's goal reached early and missed by a hair: told in data."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.supply.figures import Measured
from services.supply.goal_files import load_goals
from services.supply.goals import Goal, assess
from tests.unit.scenario_told import GOALS_DIR

PATHS: list[dict[Any, Any]] = yaml.safe_load(Path(__file__).with_name("paths").joinpath("goals.yaml").read_text())
GOALS = {goal.goal: goal for goal in load_goals(GOALS_DIR)}


def measured(goal: Goal, on: date, value: str) -> Measured:
    return Measured(goal.indicator, goal.scope, on, Decimal(value), None, Decimal(1), {"unit": "ddd"})


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path["path"])
def test_a_path_has_the_status_of_each_of_its_days(path: dict[Any, Any]) -> None:
    goal = GOALS[path["goal"]]
    found = {on: assess(goal, measured(goal, on, value), on).status for on, (value, _) in path[True].items()}
    assert found == {on: status for on, (_, status) in path[True].items()}


def test_every_set_of_goals_is_on_its_path_late_and_reversed_somewhere() -> None:
    statuses: dict[str, set[str]] = {}
    for path in PATHS:
        name = "vn-2030" if path["goal"].startswith("vn-") else "-".join(path["goal"].split("-")[:2])
        statuses.setdefault(name, set()).update(status for _, status in path[True].values())
    assert statuses.keys() == {"vn-2030", "servier-ampharco", "genuone-imexpharm", "medsintez-vnvc"}
    assert all({"on_track", "off_track", "met", "missed"} <= seen for seen in statuses.values())
