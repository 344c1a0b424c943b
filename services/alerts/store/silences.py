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
from services.alerts.store.muting import look_again
from services.alerts.tables import SilenceRow
from services.alerts.wakeups import Wakeups
from shared import audit
from shared.audit import Author, Change
from shared.clock import Clock
from shared.transactions import transaction

SILENCES_MAX: Final = 1_000  # that have not ended: each is looked at for every alert that changes


class TooManySilences(Exception):
    """So many silences have not ended yet that another one would make every alert slower."""


class SilenceStore:
    """Silences never change but for their end."""

    def __init__(self, engine: AsyncEngine, clock: Clock, wakeups: Wakeups) -> None:
        self._engine = engine
        self._clock = clock
        self._wakeups = wakeups

    async def add(self, silence: Silence, author: Author) -> None:
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
            await audit.record(connection, author, Change("silence_created", str(silence.id), after=shown))

    async def end(self, identity: uuid.UUID, author: Author) -> Silence:
        """The silence, which now has ended; one that had ended before stays as it was. Raises NotFound."""
        now = self._clock.now()
        ended = {
            "ends_at": func.greatest(now, col(SilenceRow.starts_at)),
            "deleted_at": self._clock.real_now(),
            "deleted_by": author.name,
        }
        chosen = col(SilenceRow.id) == identity
        async with transaction(self._engine) as connection:
            row = (await connection.execute(select(SilenceRow).where(chosen).with_for_update())).mappings().first()
            if row is None:
                raise NotFound
            before = silence_of(row)
            still = update(SilenceRow).where(chosen, col(SilenceRow.ends_at) > now)
            await connection.execute(still.values(**ended))
            silence = silence_of((await connection.execute(select(SilenceRow).where(chosen))).mappings().one())
            change = Change("silence_ended", str(identity), before.as_json(now), silence.as_json(now))
            await audit.record(connection, author, change)
            await look_again(connection, [silence.token])
        self._wakeups.changed("timers")
        return silence
