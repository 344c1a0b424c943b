"""Writes the dashboards: each is code, and the committed JSON of it is what Grafana is given (`make documents`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.goals import supply_goals
from deploy.grafana.pipeline import pipeline
from deploy.grafana.runtime import runtime
from deploy.grafana.webhooks import webhooks

FOLDER: Final = Path(__file__).parent / "dashboards"
DASHBOARDS: Final = (supply_goals, pipeline, webhooks, runtime)


def files() -> Iterator[tuple[Path, str]]:
    """Each file and what it should hold."""
    for dashboard in DASHBOARDS:
        built = dashboard().build()
        yield FOLDER / f"{built.uid}.json", json.dumps(built, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one panel asks: an expression of Prometheus, or SQL."""

    dashboard: str
    panel: str
    expression: str | None
    sql: str | None


def asked() -> Iterator[Asked]:
    """Everything that the committed dashboards ask."""
    for file in sorted(FOLDER.glob("*.json")):
        dashboard = json.loads(file.read_text("utf-8"))
        for panel in _panels(dashboard):
            for target in panel.get("targets", ()):
                yield Asked(dashboard["uid"], panel["title"], target.get("expr"), target.get("rawSql"))


def variables() -> dict[str, list[str]]:
    """By dashboard, the queries of its variables."""
    found: dict[str, list[str]] = {}
    for file in sorted(FOLDER.glob("*.json")):
        dashboard = json.loads(file.read_text("utf-8"))
        found[dashboard["uid"]] = [one["query"] for one in dashboard.get("templating", {}).get("list", ())]
    return found


def _panels(inside: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in inside.get("panels", ()):
        yield panel
        yield from _panels(panel)
