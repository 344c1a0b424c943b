"""Says what a webhook in the standard format looks like: its JSON Schema, and an example in every format. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from services.alerts import payload
from services.alerts.alert import Alert, Finding, Severity, State, alert_id, webhook_id
from services.alerts.endpoint import Format
from services.alerts.payload import Message, together

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"]}
_UUID: Final[dict[str, Any]] = {"type": "string", "format": "uuid"}
_MOMENT: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_MOMENT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"], "format": "date-time"}
_ALERT: Final[dict[str, Any]] = {
    "id": {**_UUID, "description": "Constant over the alert's life, restarts and restores"},
    "rule": _TEXT,
    "subject": {**_TEXT, "description": "What supply signalled: goal/…, indicator/…, obligation/…, anomaly/…"},
    "severity": {"enum": [severity.value for severity in Severity]},
    "state": {"enum": [state.value for state in State]},
    "summary": {**_TEXT, "description": "What is wrong, by how much and since when, in one line"},
    "description": _TEXT,
    "resolution": {**_TEXT_OR_NULL, "description": "What ended it"},
    "value": {**_TEXT_OR_NULL, "description": "A decimal or day"},
    "threshold": _TEXT_OR_NULL,
    "started_at": {**_MOMENT, "description": "When the condition began"},
    "fired_at": _MOMENT_OR_NULL,
    "acknowledged_at": _MOMENT_OR_NULL,
    "acknowledged_by": _TEXT_OR_NULL,
    "resolved_at": _MOMENT_OR_NULL,
    "level": {"type": "integer", "minimum": 0, "description": "How often it was escalated"},
    "muted_by": {"type": "array", "items": _TEXT},
    "group": {**_TEXT_OR_NULL, "description": "Alerts of one group are told together"},
    "labels": {"type": "object", "additionalProperties": _TEXT},
    "evidence": {"type": "object", "description": "What supply signalled: the figures and what they rest on"},
    "links": {"type": "object", "description": "Addresses in supply's API; events is a list of them"},
}
_TYPES: Final = ("firing", "acknowledged", "resolved", "reminder", "test")


def schema() -> dict[str, Any]:
    """The JSON Schema of the body in the standard format; more fields may come."""
    alert = {"type": "object", "required": list(_ALERT), "properties": _ALERT}
    several = {"type": "array", "items": {"$ref": "#/$defs/alert"}, "description": "All alerts of a group"}
    fields: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {**_UUID, "description": "The webhook-id: the same for every attempt"},
        "source": {"const": payload.SOURCE},
        "type": {"enum": [payload.event_type(name) for name in _TYPES]},
        "time": {**_MOMENT, "description": "When it happened"},
        "subject": {**_UUID, "description": "The alert's id, or the group's"},
        "datacontenttype": {"const": payload.CONTENT_TYPE},
        "data": {"$ref": "#/$defs/alert", "properties": {"alerts": several}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Supply Watch: a webhook about an alert (CloudEvents 1.0)",
        "type": "object",
        "required": list(fields),
        "properties": fields,
        "$defs": {"alert": alert},
    }


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and a body, in every format."""
    endpoint, firing = uuid.UUID(int=1), _alert(1)
    told = {
        "firing": _message("firing", firing),
        "resolved": _message("resolved", _resolved(firing)),
        "group": together([_message("firing", _alert(number, "plant-9")) for number in (1, 2)], "firing"),
    }
    for chosen in Format:
        for name, message in told.items():
            identity = str(webhook_id(endpoint, firing.id, name))
            yield f"{chosen.value}-{name}", json.loads(payload.body(message, chosen, identity))


def _message(transition: str, alert: Alert) -> Message:
    return Message(transition, alert.resolved_at or alert.started_at, alert.as_json())


def _resolved(alert: Alert) -> Alert:
    at = datetime(2027, 3, 9, 2, tzinfo=UTC)
    finding = replace(alert.finding, resolution="stock for 2.6 months on 2027-03-09")
    return replace(alert, state=State.RESOLVED, resolved_at=at, finding=finding)


def _alert(number: int, group: str | None = None) -> Alert:
    scope = f"gtin:0952000001001{number}"
    subject, at = f"indicator/months_of_stock/{scope}", datetime(2027, 3, 1, 2, tzinfo=UTC)
    finding = Finding(
        severity=Severity.WARNING,
        summary=f"{scope}: stock for 1.4 months, below 2, since 2027-03-01",
        description=f"Usable stock of {scope} on 2027-03-01 lasts 1.4 months at the usual consumption.",
        resolution="",
        value="1.4",
        threshold="2.0",
        labels={"kind": "indicator", "scope": scope, "area": "stock"},
        evidence={"name": "months_of_stock", "scope": scope, "on": "2027-03-01", "value": "1.4", "version": 1},
        links={"indicator": f"http://127.0.0.1:8020/indicators?name=months_of_stock&scope={scope}"},
        group=group,
    )
    return Alert(
        id=alert_id("months-of-stock-low", subject, 1),
        rule="months-of-stock-low",
        subject=subject,
        state=State.FIRING,
        opened_version=1,
        opening=1,
        started_at=at,
        fired_at=at,
        told_at=at,
        finding=finding,
        group=group,
    )
