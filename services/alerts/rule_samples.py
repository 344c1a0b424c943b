"""Holds a signal of every kind, as supply may tell it: what a rule must be able to read, and tests begin with. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from services.alerts.facts import Signal

_SAMPLE_DAY: Final = "2027-06-30"
# A signal of every kind, once with everything known and once with everything null that may be: a rule must read both.
KNOWN: Final[dict[str, dict[str, Any]]] = {
    "indicator": {
        "name": "months_of_stock",
        "scope": "all",
        "on": _SAMPLE_DAY,
        "value": "1.5",
        "why": "",
        "coverage": "0.9",
        "inputs": {},
    },
    "goal": {
        "goal": "sample",
        "title": "A sample",
        "source": "nobody",
        "indicator": "months_of_stock",
        "scope": "all",
        "status": "at_risk",
        "value": "0.7",
        "expected": "0.8",
        "target": "0.9",
        "by": _SAMPLE_DAY,
        "gap": "0.1",
        "pace": "0.01",
        "required_pace": "0.02",
        "projected_on": _SAMPLE_DAY,
        "on": _SAMPLE_DAY,
    },
    "obligation": {
        "obligation": "sample",
        "kind": "milestone",
        "subject": "agreement:sample",
        "title": "A sample",
        "due_on": _SAMPLE_DAY,
        "state": "open",
        "met_on": _SAMPLE_DAY,
    },
    "anomaly": {
        "kind": "overdrawn_lot",
        "subject": "08935000000014/L1",
        "since": _SAMPLE_DAY,
        "until": _SAMPLE_DAY,
        "detail": "a sample",
        "events": [{"source": "urn:gln:8935000000017", "id": "1"}],
    },
    "endpoint": {
        "endpoint": "sample",
        "url": "https://example.com/",
        "description": "",
        "enabled": False,
        "reason": "a sample",
    },
    "pipeline": {
        "stage": "ledger",
        "newest_at": "2027-06-30T00:00:00Z",
        "late_seconds": 0,
    },
}
_NULLABLE: Final = {
    "indicator": ("value", "why", "coverage"),
    "goal": ("value", "expected", "by", "gap", "pace", "required_pace", "projected_on"),
    "obligation": ("due_on", "met_on"),
    "anomaly": ("until",),
    "endpoint": ("reason",),
    "pipeline": (),
}


def samples(kind: str) -> list[Signal]:
    """Signals that a rule on `kind` must be able to read."""
    full = KNOWN[kind]
    sparse = {**full, **dict.fromkeys(_NULLABLE[kind])}
    at = datetime(2027, 6, 1, tzinfo=UTC)
    return [Signal(f"{kind}/sample", 1, at, data) for data in (full, sparse)]
