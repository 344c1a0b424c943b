"""Reads what the API and the gauges show. Writes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Executable, case, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from services.alerts.alert import Alert
from services.alerts.endpoint import Endpoint
from services.alerts.muting import Silence
from services.alerts.rows import alert_of, endpoint_of, silence_of
from services.alerts.tables import AlertRow, AttemptRow, ChangeRow, DeliveryRow, EndpointRow, PositionRow, SilenceRow
from shared.clock import rfc3339
from shared.transactions import transaction


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one page, and the key of its last row if there is more."""

    items: list[dict[str, Any]]
    following: Any | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the gauges show."""

    open: dict[str, int]
    endpoints: dict[str, int]  # by state: working, failing, disabled
    pending: int
    oldest_pending_seconds: float
    unpublished: int


class Queries:
    """Every call is one short read. Raises Transient while the database is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def alerts(
        self,
        filters: dict[str, str | None],
        limit: int,
        after: tuple[datetime, uuid.UUID] | None,
        now: datetime | None = None,
    ) -> Page:
        """Alerts, the newest first; `filters` by column. At `now`, domain time, silences since made are shown too."""
        chosen = select(AlertRow).where(*_equal(AlertRow, filters))
        key = (col(AlertRow.started_at), col(AlertRow.id))
        if after is not None:
            chosen = chosen.where(tuple_(*key) < tuple_(*after))
        rows = await self._rows(chosen.order_by(*(part.desc() for part in key)).limit(limit + 1))
        silences = await self._active(now)
        items = [_shown(alert_of(row), silences, now) for row in rows[:limit]]
        return Page(items, _following(rows, limit, "started_at", "id"))

    async def inbox(
        self,
        filters: dict[str, str | None],
        states: Sequence[str],
        limit: int,
        after: tuple[int, datetime, uuid.UUID] | None,
        now: datetime,
    ) -> Page:
        """Alerts in one of `states`, of which there are only so many: the most severe first, then the newest."""
        key = (_RANK, col(AlertRow.started_at), col(AlertRow.id))
        chosen = select(AlertRow, _RANK.label("rank")).where(
            *_equal(AlertRow, filters), col(AlertRow.state).in_(states)
        )
        if after is not None:
            chosen = chosen.where(tuple_(*key) < tuple_(*after))
        rows = await self._rows(chosen.order_by(*(part.desc() for part in key)).limit(limit + 1))
        silences = await self._active(now)
        items = [_shown(alert_of(row), silences, now) for row in rows[:limit]]
        return Page(items, _following(rows, limit, "rank", "started_at", "id"))

    async def open_by_severity(self) -> dict[str, int]:
        """How many alerts fire, acknowledged or not."""
        async with transaction(self._engine) as connection:
            return {severity: count for severity, count in (await connection.execute(_OPEN)).all()}

    async def summaries(self, alerts: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
        """What alerts say, in short; nothing of those that are none, such as what a test tells of."""
        chosen = select(col(AlertRow.id), col(AlertRow.summary)).where(col(AlertRow.id).in_(alerts))
        return {row["id"]: row["summary"] for row in await self._rows(chosen)}

    async def urls(self, endpoints: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
        """Where endpoints are, also those that were removed."""
        chosen = select(col(EndpointRow.id), col(EndpointRow.url)).where(col(EndpointRow.id).in_(endpoints))
        return {row["id"]: row["url"] for row in await self._rows(chosen)}

    async def alert(self, alert: uuid.UUID, now: datetime | None = None) -> dict[str, Any] | None:
        """One alert with its history, the oldest first; `now` as above."""
        rows = await self._rows(select(AlertRow).where(col(AlertRow.id) == alert))
        if not rows:
            return None
        past = await self._rows(select(ChangeRow).where(col(ChangeRow.alert) == alert).order_by(col(ChangeRow.id)))
        history = [
            {"transition": row["transition"], "at": rfc3339(row["at"]), "by": row["by"], "why": row["why"]}
            for row in past
        ]
        return {**_shown(alert_of(rows[0]), await self._active(now), now), "history": history}

    async def _active(self, now: datetime | None) -> list[Silence]:
        if now is None:
            return []
        there = (col(SilenceRow.starts_at) <= now, col(SilenceRow.ends_at) > now)
        return [silence_of(row) for row in await self._rows(select(SilenceRow).where(*there))]

    async def endpoints(self, limit: int, after: tuple[datetime, uuid.UUID] | None) -> Page:
        """Endpoints that have not been removed, the oldest first."""
        chosen = select(EndpointRow).where(col(EndpointRow.deleted_at).is_(None))
        key = (col(EndpointRow.created_at), col(EndpointRow.id))
        if after is not None:
            chosen = chosen.where(tuple_(*key) > tuple_(*after))
        rows = await self._rows(chosen.order_by(*key).limit(limit + 1))
        return Page([endpoint_of(row).as_json() for row in rows[:limit]], _following(rows, limit, "created_at", "id"))

    async def endpoint(self, endpoint: uuid.UUID) -> Endpoint | None:
        there = (col(EndpointRow.id) == endpoint, col(EndpointRow.deleted_at).is_(None))
        rows = await self._rows(select(EndpointRow).where(*there))
        return endpoint_of(rows[0]) if rows else None

    async def deliveries(self, filters: dict[str, Any], limit: int, after: tuple[int, uuid.UUID] | None) -> Page:
        """Deliveries with their attempts, the newest first."""
        alert = filters.get("alert")
        others = {name: value for name, value in filters.items() if name != "alert"}
        chosen = select(DeliveryRow).where(*_equal(DeliveryRow, others))
        if alert is not None:
            chosen = chosen.where(or_(col(DeliveryRow.alert) == alert, _tells_of(alert)))
        key = (col(DeliveryRow.change), col(DeliveryRow.id))
        if after is not None:
            chosen = chosen.where(tuple_(*key) < tuple_(*after))
        rows = await self._rows(chosen.order_by(*(part.desc() for part in key)).limit(limit + 1))
        return Page(await self._with_attempts(rows[:limit]), _following(rows, limit, "change", "id"))

    async def delivery(self, delivery: uuid.UUID) -> dict[str, Any] | None:
        found = await self._with_attempts(await self._rows(select(DeliveryRow).where(col(DeliveryRow.id) == delivery)))
        return found[0] if found else None

    async def silences(
        self, state: str | None, now: datetime, limit: int, after: tuple[datetime, uuid.UUID] | None
    ) -> Page:
        """Silences, the newest first; `now` is domain time."""
        starts, ends = col(SilenceRow.starts_at), col(SilenceRow.ends_at)
        of_state: dict[str | None, list[ColumnElement[bool]]] = {
            "pending": [starts > now, ends > now],
            "active": [starts <= now, ends > now],
            "expired": [ends <= now],
        }
        chosen = select(SilenceRow).where(*of_state.get(state, []))
        key = (col(SilenceRow.created_at), col(SilenceRow.id))
        if after is not None:
            chosen = chosen.where(tuple_(*key) < tuple_(*after))
        rows = await self._rows(chosen.order_by(*(part.desc() for part in key)).limit(limit + 1))
        items = [silence_of(row).as_json(now) for row in rows[:limit]]
        return Page(items, _following(rows, limit, "created_at", "id"))

    async def silence(self, silence: uuid.UUID) -> Silence | None:
        rows = await self._rows(select(SilenceRow).where(col(SilenceRow.id) == silence))
        return silence_of(rows[0]) if rows else None

    async def stats(self, endpoint: uuid.UUID, since: datetime) -> dict[str, Any]:
        """What came of an endpoint's deliveries created, and attempts made, since then."""
        asked = {"endpoint": endpoint, "since": since}
        async with transaction(self._engine) as connection:
            states = (await connection.execute(_STATES, asked)).mappings().one()
            attempts = (await connection.execute(_ATTEMPTS, asked)).mappings().one()
            statuses = (await connection.execute(_STATUSES, asked)).all()
        return {
            "deliveries": {name: states[name] for name in ("delivered", "failed", "pending")},
            "oldest_pending_at": _or_null(states["oldest"]),
            "last_delivered_at": _or_null(states["last_delivered"]),
            "attempts": {
                "made": attempts["made"],
                "succeeded": attempts["succeeded"],
                "by_status": {status or "error": count for status, count in statuses},
            },
            "seconds": {name: _rounded(attempts[name]) for name in ("p50", "p95", "p99", "most")},
        }

    async def positions(self, topic: str) -> dict[int, int]:
        """The next offset of every partition that has been applied."""
        rows = await self._rows(select(PositionRow).where(col(PositionRow.topic) == topic))
        return {row["partition"]: row["next_offset"] for row in rows}

    async def figures(self, now: datetime) -> Figures:
        pending = select(func.count(), func.min(DeliveryRow.created_at)).where(col(DeliveryRow.state) == "pending")
        unpublished = select(func.count()).where(col(ChangeRow.public), col(ChangeRow.published_at).is_(None))
        async with transaction(self._engine) as connection:
            severities = {severity: count for severity, count in (await connection.execute(_OPEN)).all()}
            count, oldest = (await connection.execute(pending)).one()
            waiting = await connection.scalar(unpublished)
            endpoints = (await connection.execute(_ENDPOINTS)).mappings().one()
        age = 0.0 if oldest is None else (now - oldest).total_seconds()
        return Figures(severities, dict(endpoints), count, max(0.0, age), waiting or 0)

    async def _rows(self, chosen: Executable) -> Sequence[Any]:
        async with transaction(self._engine) as connection:
            rows: Sequence[Any] = (await connection.execute(chosen)).mappings().all()
            return rows

    async def _with_attempts(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        tried = select(AttemptRow).where(col(AttemptRow.delivery).in_([row["id"] for row in rows]))
        attempts: dict[uuid.UUID, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
        for row in await self._rows(tried.order_by(col(AttemptRow.number))) if rows else ():
            attempts[row["delivery"]].append(_attempt_json(row))
        return [_delivery_json(row, attempts[row["id"]]) for row in rows]


_OPEN: Final = (
    select(col(AlertRow.severity), func.count())
    .where(col(AlertRow.state).in_(("firing", "acknowledged")))
    .group_by(col(AlertRow.severity))
)
_RANK: Final = case({"critical": 3, "warning": 2}, value=col(AlertRow.severity), else_=1)
# What is pending is counted whenever it was created.
_STATES: Final = text("""
SELECT count(*) FILTER (WHERE state = 'delivered') AS delivered, count(*) FILTER (WHERE state = 'failed') AS failed,
    max(finished_at) FILTER (WHERE state = 'delivered') AS last_delivered,
    (SELECT count(*) FROM deliveries WHERE endpoint = :endpoint AND state = 'pending') AS pending,
    (SELECT min(created_at) FROM deliveries WHERE endpoint = :endpoint AND state = 'pending') AS oldest
FROM deliveries WHERE endpoint = :endpoint AND created_at >= :since
""")
# The last attempt at a delivery comes within two days of its beginning, unless it is sent again by hand.
_MADE: Final = """
FROM deliveries AS delivery JOIN attempts AS attempt ON attempt.delivery = delivery.id
WHERE delivery.endpoint = :endpoint AND delivery.created_at >= CAST(:since AS timestamptz) - interval '2 days'
  AND attempt.at >= :since
"""
_ATTEMPTS: Final = text(f"""
SELECT count(*) AS made, count(*) FILTER (WHERE attempt.status BETWEEN 200 AND 299) AS succeeded,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY attempt.seconds) AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY attempt.seconds) AS p95,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY attempt.seconds) AS p99, max(attempt.seconds) AS most
{_MADE}
""")
_STATUSES: Final = text(f"SELECT attempt.status::text, count(*) {_MADE} GROUP BY 1 ORDER BY 1")


_ENDPOINTS: Final = text("""
SELECT count(*) FILTER (WHERE enabled AND failing_since IS NULL) AS working,
    count(*) FILTER (WHERE enabled AND failing_since IS NOT NULL) AS failing,
    count(*) FILTER (WHERE NOT enabled) AS disabled
FROM endpoints WHERE deleted_at IS NULL
""")


def _or_null(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _equal(table: Any, filters: dict[str, Any]) -> list[ColumnElement[bool]]:
    return [col(getattr(table, name)) == value for name, value in filters.items() if value is not None]


def _shown(alert: Alert, silences: Sequence[Silence], now: datetime | None) -> dict[str, Any]:
    """The alert, also muted by silences that were made since it was last looked at."""
    if now is None or not silences or not alert.is_active:
        return alert.as_json()
    labels = alert.matched()
    found = [silence.token for silence in silences if silence.mutes(labels, now)]
    return replace(alert, muted_by=tuple(dict.fromkeys((*alert.muted_by, *found)))).as_json()


def _tells_of(alert: uuid.UUID) -> ColumnElement[bool]:
    """Whether a delivery tells of a change of `alert` together with others of its group."""
    changes = select(func.array_agg(col(ChangeRow.id))).where(col(ChangeRow.alert) == alert).scalar_subquery()
    found: ColumnElement[bool] = col(DeliveryRow.changes).op("&&")(changes)
    return found


def _following(rows: Sequence[Any], limit: int, *key: str) -> Any | None:
    """The key of the last row shown, in JSON's terms; None when the page is the last."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return [str(last[name]) if isinstance(last[name], uuid.UUID) else last[name] for name in key]


def _attempt_json(row: Any) -> dict[str, Any]:
    return {
        "at": rfc3339(row["at"]),
        "status": row["status"],
        "seconds": round(row["seconds"], 6),
        "response_head": row["response_head"],
        "error": row["error"],
    }


def _delivery_json(row: Any, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    due = row["next_attempt_at"]
    return {
        "id": str(row["id"]),
        "endpoint": str(row["endpoint"]),
        "alert": str(row["alert"]),
        "webhook_id": str(row["id"]),
        "transition": row["transition"],
        "state": row["state"],
        "attempts": attempts,
        "next_attempt_at": None if due is None else rfc3339(due),
        "created_at": rfc3339(row["created_at"]),
    }
