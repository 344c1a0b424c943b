"""Writes the body of a webhook in the endpoint's format: CloudEvents, Alertmanager or Slack. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from services.alerts.alert import group_id, shown_as
from services.alerts.endpoint import Format
from shared.clock import rfc3339

SOURCE: Final = "urn:supply-watch:alerts"
CONTENT_TYPE: Final = "application/json"
_NEVER: Final = "0001-01-01T00:00:00Z"
_COLOUR: Final = {"critical": "#c62828", "warning": "#ef6c00", "info": "#1565c0"}


SLACK_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Message:
    """A change as it is told: `alert` is the alert after it, as in GET /alerts; `at` is domain time.

    Of a group that is told together `together` are all its alerts, each as it is after its last change.
    """

    transition: str
    at: datetime
    alert: dict[str, Any]
    together: tuple[dict[str, Any], ...] = ()

    @property
    def alerts(self) -> tuple[dict[str, Any], ...]:
        return self.together or (self.alert,)

    @property
    def group(self) -> str | None:
        """The name of the group that is told together."""
        return self.alert["group"] if self.together else None


def together(changes: Sequence[Message], transition: str) -> Message:
    """One message of the changes of a group, in their order."""
    newest = {change.alert["id"]: change.alert for change in changes}
    leading = newest[changes[0].alert["id"]]
    return Message(transition, changes[-1].at, leading, tuple(newest.values()))


def event_type(transition: str) -> str:
    return f"supply.alert.{shown_as(transition)}.v1"


def body(message: Message, endpoint_format: Format, webhook_id: str) -> bytes:
    """The same bytes for every attempt at one delivery."""
    return orjson.dumps(_WRITERS[endpoint_format](message, webhook_id))


def cloud_event(message: Message, identity: str) -> dict[str, Any]:
    """CloudEvents 1.0, structured. A group's `data` is its first alert, with all of them in `alerts`."""
    group = message.group
    return {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": event_type(message.transition),
        "time": rfc3339(message.at),
        "subject": message.alert["id"] if group is None else str(group_id(group)),
        "datacontenttype": CONTENT_TYPE,
        "data": message.alert if group is None else {**message.alert, "alerts": list(message.together)},
    }


def _alertmanager(message: Message, identity: str) -> dict[str, Any]:
    """Alertmanager's webhook payload, version 4."""
    alerts = [_alertmanager_alert(alert) for alert in message.alerts]
    key, labels = (
        (f'alert="{message.alert["id"]}"', {"alertname": message.alert["rule"], "subject": message.alert["subject"]})
        if message.group is None
        else (f"group={orjson.dumps(message.group).decode()}", {"group": message.group})
    )
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{key}}}",
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "receiver": "supply-watch",
        "groupLabels": labels,
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": _link(message.alert),
        "alerts": alerts,
    }


def _alertmanager_alert(alert: dict[str, Any]) -> dict[str, Any]:
    resolved = alert["state"] == "resolved"
    own = {"alertname": alert["rule"], "severity": alert["severity"], "subject": alert["subject"]}
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {**own, **alert["labels"]},
        "annotations": {"summary": alert["summary"], "description": alert["description"]},
        "startsAt": alert["started_at"],
        "endsAt": alert["resolved_at"] if resolved else _NEVER,
        "generatorURL": _link(alert),
        "fingerprint": alert["id"].replace("-", "")[:16],
    }


def _common(parts: Sequence[dict[str, str]]) -> dict[str, str]:
    first, *others = parts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _slack(message: Message, identity: str) -> dict[str, Any]:
    """A Slack incoming webhook: plain text for notifications, blocks with the details."""
    alert, word = message.alert, shown_as(message.transition).upper()
    title = f"[{word}] {alert['severity']}: {alert['summary']}"
    details = alert["resolution"] or alert["description"] or alert["summary"]
    if message.group is not None:
        title = f"[{word}] {len(message.together)} alerts: {message.group}"
        lines = [f"{one['state']}: {one['summary']}" for one in message.together[:SLACK_LINES]]
        more = len(message.together) - len(lines)
        details = "\n".join([*lines, f"and {more} more"] if more else lines)
    context = f"{alert['rule']} · {alert['subject']} · since {alert['started_at']}"
    link = _link(alert)
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(title)[:2900]}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(details)[:2900]}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": _escaped(context)[:2900]}]},
    ]
    if link:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{link}|What is behind it>"}})
    return {
        "text": _escaped(title)[:2900],
        "attachments": [{"color": _COLOUR.get(alert["severity"], "#616161"), "blocks": blocks}],
    }


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
