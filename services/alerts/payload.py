"""Writes the body of a webhook in the endpoint's format: CloudEvents, Alertmanager or Slack. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from services.alerts.endpoint import Format
from shared.clock import rfc3339

SOURCE: Final = "urn:supply-watch:alerts"
CONTENT_TYPE: Final = "application/json"
_NEVER: Final = "0001-01-01T00:00:00Z"
_COLOUR: Final = {"critical": "#c62828", "warning": "#ef6c00", "info": "#1565c0"}


@dataclass(frozen=True, slots=True)
class Message:
    """A change as it is told: `alert` is the alert after it, as in GET /alerts; `at` is domain time."""

    transition: str
    at: datetime
    alert: dict[str, Any]


def event_type(transition: str) -> str:
    return f"supply.alert.{transition}.v1"


def body(message: Message, endpoint_format: Format, webhook_id: str) -> bytes:
    """The same bytes for every attempt at one delivery."""
    return orjson.dumps(_WRITERS[endpoint_format](message, webhook_id))


def cloud_event(message: Message, identity: str) -> dict[str, Any]:
    """CloudEvents 1.0, structured; also what is published on supply.alerts.v1."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": event_type(message.transition),
        "time": rfc3339(message.at),
        "subject": message.alert["id"],
        "datacontenttype": CONTENT_TYPE,
        "data": message.alert,
    }


def _alertmanager(message: Message, identity: str) -> dict[str, Any]:
    """Alertmanager's webhook payload, version 4, with one alert."""
    alert = message.alert
    resolved = alert["state"] == "resolved"
    status = "resolved" if resolved else "firing"
    labels = {
        "alertname": alert["rule"],
        "severity": alert["severity"],
        "subject": alert["subject"],
        **alert["labels"],
    }
    annotations = {"summary": alert["summary"], "description": alert["description"]}
    link = _link(alert)
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alert="{alert["id"]}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "supply-watch",
        "groupLabels": {"alertname": alert["rule"], "subject": alert["subject"]},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": link,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": alert["started_at"],
                "endsAt": alert["resolved_at"] if resolved else _NEVER,
                "generatorURL": link,
                "fingerprint": alert["id"].replace("-", "")[:16],
            }
        ],
    }


def _slack(message: Message, identity: str) -> dict[str, Any]:
    """A Slack incoming webhook: plain text for notifications, blocks with the details."""
    alert = message.alert
    title = f"[{message.transition.upper()}] {alert['severity']}: {alert['summary']}"
    details = alert["resolution"] or alert["description"] or alert["summary"]
    context = f"{alert['rule']} · {alert['subject']} · since {alert['started_at']}"
    link = _link(alert)
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(title)[:2900]}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(details)[:2900]}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": _escaped(context)[:2900]}]},
    ]
    if link:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{link}|What is behind it>"}})
    return {"text": title, "attachments": [{"color": _COLOUR.get(alert["severity"], "#616161"), "blocks": blocks}]}


def _link(alert: dict[str, Any]) -> str:
    """The first address of the alert."""
    return next((value for value in alert["links"].values() if isinstance(value, str)), "")


def _escaped(text: str) -> str:
    """Slack reads these three as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_WRITERS: Final[dict[Format, Callable[[Message, str], dict[str, Any]]]] = {
    Format.STANDARD: cloud_event,
    Format.ALERTMANAGER: _alertmanager,
    Format.SLACK: _slack,
}
