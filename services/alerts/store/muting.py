"""Reads what mutes alerts, in the transaction that tells of them, and has them looked at again when it is gone.

What an alert was muted by is locked until the alert is written: whoever ends a silence or a cause comes after, and
finds every alert that it muted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, cast, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from services.alerts.alert import Alert
from services.alerts.muting import NOT_MUTED, Inhibition, Muting, Silence, muting
from services.alerts.rows import silence_of
from services.alerts.tables import AlertRow, MuteCheckRow, SilenceRow, SubjectRow

TOKENS_A_STEP: Final = 100
KEYS_A_QUERY: Final = 5_000


async def mutings(
    connection: AsyncConnection,
    alerts: Sequence[Alert],
    changed: Collection[uuid.UUID],
    inhibitions: Sequence[Inhibition],
    now: datetime,
) -> Callable[[Alert], Muting]:
    """What mutes each of `alerts` that fires or has `changed`: they are all that this transaction has to do with."""
    active = [alert for alert in alerts if alert.is_active or alert.id in changed]
    silences = await _silences(connection, active, now)
    keys = {alert.id: [key for one in inhibitions if (key := one.key_of(alert)) is not None] for alert in active}
    inhibitors = await _inhibitors(connection, alerts, inhibitions, {key for found in keys.values() for key in found})
    if not silences and not inhibitors:
        return lambda alert: NOT_MUTED
    return lambda alert: muting(alert, silences, inhibitors, keys.get(alert.id, ()), now)


def covers(alert: Alert, inhibitions: Iterable[Inhibition]) -> set[str]:
    """The keys of what `alert` mutes."""
    return {key for inhibition in inhibitions for key in inhibition.covered_by(alert)}


async def look_again(connection: AsyncConnection, tokens: Collection[str]) -> None:
    """Notes that what these stand for mutes nothing any more."""
    if tokens:
        await connection.execute(insert(MuteCheckRow), [{"token": token} for token in sorted(tokens)])


async def wake_unmuted(connection: AsyncConnection, now: datetime) -> int:
    """Has the subjects of alerts looked at whose muting has ended; how many notes there were."""
    noted = select(col(MuteCheckRow.id), col(MuteCheckRow.token)).order_by(col(MuteCheckRow.id)).limit(TOKENS_A_STEP)
    rows = (await connection.execute(noted.with_for_update(skip_locked=True))).all()
    if not rows:
        return 0
    muted = select(col(AlertRow.subject)).where(col(AlertRow.muted_by).op("&&")(_texts({token for _, token in rows})))
    chosen = select(col(SubjectRow.subject)).where(col(SubjectRow.subject).in_(muted)).order_by(col(SubjectRow.subject))
    subjects = list((await connection.execute(chosen.with_for_update())).scalars())
    earlier = func.least(func.coalesce(col(SubjectRow.wake_at), now), now)
    await connection.execute(update(SubjectRow).where(col(SubjectRow.subject).in_(subjects)).values(wake_at=earlier))
    await connection.execute(delete(MuteCheckRow).where(col(MuteCheckRow.id).in_([number for number, _ in rows])))
    return len(rows)


async def _silences(connection: AsyncConnection, alerts: Sequence[Alert], now: datetime) -> list[Silence]:
    """Those that mute any of `alerts` now, locked."""
    if not alerts:
        return []
    there = (col(SilenceRow.starts_at) <= now, col(SilenceRow.ends_at) > now)
    found = [silence_of(row) for row in (await connection.execute(select(SilenceRow).where(*there))).mappings()]
    if not found:
        return []
    labels = [alert.matched() for alert in alerts]
    chosen = [silence.id for silence in found if any(silence.mutes(one, now) for one in labels)]
    if not chosen:
        return []
    still = select(SilenceRow).where(col(SilenceRow.id).in_(chosen), *there).order_by(col(SilenceRow.id))
    rows = (await connection.execute(still.with_for_update(read=True))).mappings()
    return [silence_of(row) for row in rows]


async def _inhibitors(
    connection: AsyncConnection, alerts: Sequence[Alert], inhibitions: Sequence[Inhibition], keys: set[str]
) -> Mapping[str, set[uuid.UUID]]:
    """By key, the firing alerts that cover it: those of this transaction as they are now, others locked."""
    found: dict[str, set[uuid.UUID]] = {}
    if not keys:
        return found
    for alert in alerts:
        for key in covers(alert, inhibitions) & keys:
            found.setdefault(key, set()).add(alert.id)
    own = [alert.id for alert in alerts]
    wanted = sorted(keys)
    for start in range(0, len(wanted), KEYS_A_QUERY):
        covering = select(col(AlertRow.id), col(AlertRow.covers)).where(
            col(AlertRow.covers).op("&&")(_texts(wanted[start : start + KEYS_A_QUERY])), col(AlertRow.id).not_in(own)
        )
        rows = await connection.execute(covering.order_by(col(AlertRow.id)).with_for_update(read=True))
        for identity, covered in rows.all():
            for key in keys.intersection(covered):
                found.setdefault(key, set()).add(identity)
    return found


def _texts(values: Collection[str]) -> Any:
    return cast(literal(sorted(values), ARRAY(Text)), ARRAY(Text))
