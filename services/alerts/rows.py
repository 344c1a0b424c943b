"""Turns rows into what they mean, and back. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import RowMapping

from services.alerts.alert import PUBLIC, Alert, Change, Finding, Severity, State
from services.alerts.endpoint import Endpoint, Filter, Format
from services.alerts.facts import Signal
from services.alerts.muting import Matcher, Op, Silence
from shared.clock import Clock


def alert_of(row: RowMapping) -> Alert:
    return Alert(
        id=row["id"],
        rule=row["rule"],
        subject=row["subject"],
        state=State(row["state"]),
        opened_version=row["opened_version"],
        opening=row["opening"],
        started_at=row["started_at"],
        fired_at=row["fired_at"],
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        resolved_at=row["resolved_at"],
        told_at=row["told_at"],
        reminders=row["reminders"],
        level=row["level"],
        muted_by=tuple(row["muted_by"]),
        group=row["group"],
        finding=Finding(
            severity=Severity(row["severity"]),
            summary=row["summary"],
            description=row["description"],
            resolution=row["resolution"],
            value=row["value"],
            threshold=row["threshold"],
            labels=row["labels"],
            evidence=row["evidence"],
            links=row["links"],
            group=row["group"],
        ),
    )


def alert_row(alert: Alert, covers: Collection[str] = ()) -> dict[str, Any]:
    """`covers`: the keys of what the alert mutes."""
    found = alert.finding
    return {
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "state": alert.state.value,
        "severity": found.severity.value,
        "opened_version": alert.opened_version,
        "opening": alert.opening,
        "started_at": alert.started_at,
        "fired_at": alert.fired_at,
        "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by,
        "resolved_at": alert.resolved_at,
        "told_at": alert.told_at,
        "reminders": alert.reminders,
        "level": alert.level,
        "muted_by": list(alert.muted_by),
        "covers": sorted(covers),
        "group": alert.group,
        "summary": found.summary,
        "description": found.description,
        "resolution": found.resolution,
        "value": found.value,
        "threshold": found.threshold,
        "labels": found.labels,
        "evidence": found.evidence,
        "links": found.links,
    }


def change_row(change: Change, clock: Clock) -> dict[str, Any]:
    return {
        "alert": change.alert.id,
        "transition": change.transition.value,
        "name": change.name,
        "at": change.at,
        "recorded_at": clock.real_now(),
        "by": change.by,
        "why": change.why,
        "snapshot": change.alert.as_json(),
        "public": change.transition in PUBLIC,
        "told": change.is_told,
        "group": change.alert.group if change.is_told else None,
        "waiting": change.is_told and change.alert.group is not None,
    }


def signal_of(row: RowMapping) -> Signal:
    return Signal(row["subject"], row["version"], row["at"], row["data"])


def endpoint_of(row: RowMapping) -> Endpoint:
    return Endpoint(
        id=row["id"],
        url=row["url"],
        format=Format(row["format"]),
        filter=Filter(tuple(row["severities"]), tuple(row["rules"]), tuple(row["scopes"])),
        rate=row["rate"],
        level=row["level"],
        headers=row["headers"],
        description=row["description"],
        secret=row["secret"],
        former_secret=row["former_secret"],
        former_secret_until=row["former_secret_until"],
        enabled=row["enabled"],
        disabled_reason=row["disabled_reason"],
        failing_since=row["failing_since"],
        created_at=row["created_at"],
    )


def filter_columns(chosen: Filter) -> dict[str, list[str]]:
    return {"severities": list(chosen.severity), "rules": list(chosen.rule), "scopes": list(chosen.scope)}


def endpoint_state(endpoint: Endpoint) -> dict[str, Any]:
    """What alerts signals to itself of an endpoint, so that rules can look at it."""
    return {
        "endpoint": str(endpoint.id),
        "url": endpoint.url,
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "reason": endpoint.disabled_reason,
    }


def silence_of(row: RowMapping) -> Silence:
    return Silence(
        id=row["id"],
        matchers=tuple(Matcher(item["name"], Op(item["op"]), item["value"]) for item in row["matchers"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        reason=row["reason"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


def uuid_or_none(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
