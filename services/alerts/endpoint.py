"""Says what an endpoint is: where alerts go, which ones, in which form and how fast."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.alerts.alert import Transition
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

    def takes(self, alert: Mapping[str, Any]) -> bool:
        """Whether `alert`, as in GET /alerts, is wanted."""
        wanted = (
            (self.severity, alert["severity"]),
            (self.rule, alert["rule"]),
            (self.scope, alert["labels"].get("scope", "")),
        )
        return all(not names or name in names for names, name in wanted)

    def as_json(self) -> dict[str, list[str]]:
        parts = {"severity": self.severity, "rule": self.rule, "scope": self.scope}
        return {name: list(values) for name, values in parts.items() if values}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver. `rate` is deliveries a second, None for no limit; instants are real time.

    `level` 0 is told at once, a higher one once an alert has been escalated to it. `headers` are sent along; their
    values may be credentials and are shown to nobody.
    """

    id: uuid.UUID
    url: str
    format: Format
    filter: Filter
    rate: float | None
    level: int
    headers: Mapping[str, str] = field(repr=False)
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
            "level": self.level,
            "headers": sorted(self.headers),
            "description": self.description,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
            "failing_since": None if self.failing_since is None else rfc3339(self.failing_since),
            "created_at": rfc3339(self.created_at),
        }

    def wants(self, transition: str, alert: Mapping[str, Any]) -> bool:
        """Whether it is told of `transition` of `alert`, as in GET /alerts after it."""
        level = alert.get("level", 0)
        concerned = self.level == level if transition == Transition.ESCALATED else self.level <= level
        return self.enabled and concerned and self.filter.takes(alert)
