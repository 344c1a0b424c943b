"""Writes what people change, in the transaction that changes it. No secret and no value of a header is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.tables import AuditRow


async def audit(
    connection: AsyncConnection, at: datetime, by: str, action: str, subject: object, detail: Mapping[str, Any]
) -> None:
    """`at` is real time, `subject` the id of what was changed."""
    row = {"at": at, "by": by, "action": action, "subject": str(subject), "detail": dict(detail)}
    await connection.execute(insert(AuditRow).values(row))
