"""Decides whether what was said is a valid event that this sender may say now; the same for every way in. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from services.ingest import authority
from shared.errors import Fault, Invalid
from shared.events import cloudevent
from shared.events.cloudevent import CloudEvent, NotValid, Record, Said, to_kafka
from shared.keys import Principal

FUTURE_TIME: Final = "future_time"


def judge(said: Said, sender: Principal, now: datetime, ahead: timedelta) -> CloudEvent:
    """The event that `said` holds; its time may be up to `ahead` after `now`. Raises Invalid with every fault."""
    try:
        event = cloudevent.check(said)
    except NotValid as error:
        part = error.part
        more = [*authority.faults_of_part(sender, part), *_future(part.time, part.id, now, ahead)]
        raise Invalid([*error.faults, *more]) from None
    found = [*authority.faults(sender, event), *_future(event.time, event.id, now, ahead)]
    if found:
        raise Invalid(found)
    return event


def sent_on(event: CloudEvent, roles: Collection[str]) -> Record:
    """The record of `event`, which someone of these roles has said."""
    return to_kafka(event, by_regulator=authority.REGULATOR in roles)


def _future(time: datetime | None, id: str | None, now: datetime, ahead: timedelta) -> Iterator[Fault]:
    if time is not None and time > now + ahead:
        detail = f"the time is more than {ahead.total_seconds():.0f} s ahead of ours, {now.isoformat()}"
        yield Fault("time", FUTURE_TIME, detail, id=id)
