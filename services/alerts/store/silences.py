"""Writes silences. Each call is one transaction; what a silence muted is looked at again when it is ended early."""

from __future__ import annotations

import uuid
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from services.alerts.muting import Silence
from services.alerts.rows import silence_of
from services.alerts.store.alerts import NotFound
from services.alerts.store.audit import audit
from services.alerts.store.muting import look_again
from services.alerts.tables import SilenceRow
from services.alerts.transactions import transaction
from services.alerts.wakeups import Wakeups
from shared.clock import Clock

SILENCES_MAX: Final = 1_000  # that have not ended: each is looked at for every alert that changes


class TooManySilences(Exception):
    """So many silences have not ended yet that another one would make every alert slower."""


class SilenceStore:
    """Silences never change but for their end."""

    def __init__(self, engine: AsyncEngine, clock: Clock, wakeups: Wakeups) -> None:
        self._engine = engine
        self._clock = clock
        self._wakeups = wakeups

    async def add(self, silence: Silence) -> None:
        """Raises TooManySilences."""
        open_ones = select(func.count()).select_from(SilenceRow).where(col(SilenceRow.ends_at) > self._clock.now())
        row = {
            "id": silence.id,
            "matchers": [matcher.as_json() for matcher in silence.matchers],
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "reason": silence.reason,
            "created_by": silence.created_by,
            "created_at": silence.created_at,
        }
        async with transaction(self._engine) as connection:
            if (await connection.scalar(open_ones) or 0) >= SILENCES_MAX:
                raise TooManySilences
            await connection.execute(insert(SilenceRow).values(row))
            shown = silence.as_json(self._clock.now())
            await audit(connection, silence.created_at, silence.created_by, "silence_created", silence.id, shown)

    async def end(self, identity: uuid.UUID, by: str) -> Silence:
        """The silence, which now has ended; one that had ended before stays as it was. Raises NotFound."""
        now = self._clock.now()
        ended = {
            "ends_at": func.greatest(now, col(SilenceRow.starts_at)),
            "deleted_at": self._clock.real_now(),
            "deleted_by": by,
        }
        chosen = col(SilenceRow.id) == identity
        async with transaction(self._engine) as connection:
            still = update(SilenceRow).where(chosen, col(SilenceRow.ends_at) > now)
            await connection.execute(still.values(**ended))
            row = (await connection.execute(select(SilenceRow).where(chosen))).mappings().first()
            if row is None:
                raise NotFound
            silence = silence_of(row)
            await audit(connection, self._clock.real_now(), by, "silence_ended", identity, silence.as_json(now))
            await look_again(connection, [silence.token])
        self._wakeups.changed("timers")
        return silence
