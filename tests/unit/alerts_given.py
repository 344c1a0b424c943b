"""Builds signals, rules and endpoints for the tests of alerts."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any

from services.alerts import signature
from services.alerts.endpoint import Endpoint, Filter, Format
from services.alerts.facts import Signal
from services.alerts.rule_files import read_rules
from services.alerts.rules import Rule, RuleSet
from shared.settings import ROOT

NOW = datetime(2027, 3, 1, 2, 0, tzinfo=UTC)
SUPPLY_URL = "http://supply.example"
ENDPOINT = uuid.UUID("7b2d3e57-6a1c-4ac0-93d4-0d8f7d1d5b7e")

GOAL: dict[str, Any] = {
    "goal": "volume",
    "title": "80 % of demand met by domestic production by 2030",
    "source": "Decision 1165/QD-TTg",
    "indicator": "domestic_share_volume",
    "scope": "all",
    "status": "off_track",
    "value": "0.712000000000",
    "expected": "0.741000000000",
    "target": "0.80",
    "by": "2030-12-31",
    "gap": "-0.029",
    "pace": "0.01",
    "required_pace": "0.02",
    "projected_on": None,
    "on": "2027-03-01",
}
OBLIGATION: dict[str, Any] = {
    "obligation": "first-product",
    "kind": "milestone",
    "subject": "agreement:servier-ampharco",
    "title": "First product on the market",
    "due_on": "2027-04-15",
    "state": "open",
    "met_on": None,
}
ANOMALY: dict[str, Any] = {
    "kind": "overdrawn_lot",
    "subject": "08935000000014/L1",
    "since": "2027-02-01",
    "until": None,
    "detail": "120 packs more left than came",
    "events": [{"source": "urn:gln:9521000000032", "id": "a/1"}],
}


def goal(status: str, version: int = 1, **more: Any) -> Signal:
    return Signal("goal/volume", version, NOW, {**GOAL, "status": status, **more})


def obligation(version: int = 1, **more: Any) -> Signal:
    return Signal("obligation/first-product", version, NOW, {**OBLIGATION, **more})


def anomaly(version: int = 1, **more: Any) -> Signal:
    data = {**ANOMALY, **more}
    return Signal(f"anomaly/{data['kind']}/{data['subject']}", version, NOW, data)


def rules(text: str) -> list[Rule]:
    """The rules in `text`, which must be right."""
    found, faults = read_rules({"test.yaml": text})
    assert faults == []
    return found


def rule_set(text: str) -> RuleSet:
    return RuleSet(rules(text))


@cache
def built_in() -> RuleSet:
    folder = ROOT / "deploy" / "rules"
    found, faults = read_rules({path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))})
    assert faults == []
    return RuleSet(found)


def endpoint(**more: Any) -> Endpoint:
    given: dict[str, Any] = {
        "id": ENDPOINT,
        "url": "https://example.com/hook",
        "format": Format.STANDARD,
        "filter": Filter(),
        "rate": None,
        "level": 0,
        "headers": {},
        "description": "",
        "secret": signature.new_secret(),
        "former_secret": None,
        "former_secret_until": None,
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "created_at": NOW,
    }
    return Endpoint(**{**given, **more})
