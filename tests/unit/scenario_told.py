"""The scenario told once for all tests that look at it: data, events up to the end of the live days, goals."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.simulator.data import Scenario, load
from deploy.local.simulator.saying import Said
from deploy.local.simulator.timeline import tell
from shared.clock import TZ
from tests.unit.plain_figures import Figures

GOALS_DIR: Final = Path(__file__).resolve().parents[2] / "deploy" / "goals"
ONE_DAY: Final = timedelta(days=1)


@cache
def scenario() -> Scenario:
    return load()


@cache
def told() -> tuple[Said, ...]:
    """Every event of the history and the live days, in the order in which it is said."""
    story = scenario().story
    end = story.live_start + timedelta(days=story.live.days)
    return tuple(takewhile(lambda said: said.due < end, tell(scenario())))


@cache
def figures(day: date) -> Figures:
    """What is known at the end of `day`."""
    end = datetime.combine(day + ONE_DAY, time(), TZ)
    return Figures.of(said.event for said in told() if said.due < end)


@cache
def goals() -> dict[str, dict[str, Any]]:
    """The goals of deploy/goals by id, as written."""
    found = [goal for file in sorted(GOALS_DIR.glob("*.yaml")) for goal in yaml.safe_load(file.read_text())]
    return {goal["goal"]: _words(goal) for goal in found}


def _words(value: Any) -> Any:
    """YAML 1.1 reads the key `on` as true."""
    if not isinstance(value, dict):
        return value
    return {"on" if name is True else name: _words(item) for name, item in value.items()}
