"""The demo shows each goal with its statuses, value, gap and projected date."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from deploy.local.demo_report import show_goals

SHARE: dict[str, Any] = {"value": "0.6511", "expected": "0.67", "gap": "-0.0189", "target": "0.80", "by": "2030-12-31"}
COUNT: dict[str, Any] = {"value": "4", "expected": "38.25", "gap": "-34.25", "target": "100", "by": None}


def test_shares_are_percent_and_counts_are_numbers() -> None:
    out = Console(file=StringIO(), width=200)
    goals = {"a-share": {**SHARE, "projected_on": "2031-05-06"}, "b-count": {**COUNT, "projected_on": None}}
    show_goals(out, {"a-share": ["on_track", "at_risk"], "b-count": ["off_track"]}, goals)
    lines = [" ".join(line.split()) for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "a-share on_track → at_risk 65.1% 67.0% -1.9% 80.0% 2030-12-31 2031-05-06" in lines
    assert "b-count off_track 4 38.25 -34.25 100 undated not at this pace" in lines


def test_what_is_not_known_is_told_as_that() -> None:
    out = Console(file=StringIO(), width=200)
    goal = {**SHARE, "value": None, "gap": None, "projected_on": None}
    show_goals(out, {"a": ["no_data"]}, {"a": goal})
    assert "unknown" in out.file.getvalue()  # type: ignore[attr-defined]
