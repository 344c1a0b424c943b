"""Says what an endpoint is: where alerts go, which ones, in which form and how fast."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.alerts.alert import Alert
from shared.clock import rfc3339


class Format(StrEnum):
    STANDARD = "standard"
    ALERTMANAGER = "alertmanager"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Filter:
    """What an endpoint wants; an empty part wants all, and all parts must hold."""

    severity: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()

    def takes(self, alert: Alert) -> bool:
        found = alert.finding
        wanted = (
            (self.severity, found.severity.value),
            (self.rule, alert.rule),
            (self.scope, found.labels.get("scope", "")),
        )
        return all(not names or name in names for names, name in wanted)

    def as_json(self) -> dict[str, list[str]]:
        parts = {"severity": self.severity, "rule": self.rule, "scope": self.scope}
        return {name: list(values) for name, values in parts.items() if values}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver. `rate` is deliveries a second, None for no limit; instants are real time."""

    id: uuid.UUID
    url: str
    format: Format
    filter: Filter
    rate: float | None
    description: str
    secret: str = field(repr=False)
    former_secret: str | None = field(repr=False)
    former_secret_until: datetime | None
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at `now`, the newest first."""
        if self.former_secret is None or self.former_secret_until is None or self.former_secret_until <= now:
            return (self.secret,)
        return (self.secret, self.former_secret)

    def as_json(self) -> dict[str, Any]:
        """An item of GET /endpoints: everything but the secret."""
        return {
            "id": str(self.id),
            "url": self.url,
            "format": self.format.value,
            "filter": self.filter.as_json(),
            "rate": self.rate,
            "description": self.description,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
            "failing_since": None if self.failing_since is None else rfc3339(self.failing_since),
            "created_at": rfc3339(self.created_at),
        }


def recipients(endpoints: Iterable[Endpoint], alert: Alert) -> list[Endpoint]:
    """Who is told of a change of `alert`."""
    return [endpoint for endpoint in endpoints if endpoint.enabled and endpoint.filter.takes(alert)]
