"""Decides whether what was said is a valid event that this sender may say now; the same for every way in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from services.ingest import authority
from shared.errors import Fault, Invalid
from shared.events import cloudevent
from shared.events.cloudevent import CloudEvent, Said
from shared.keys import Principal

FUTURE_TIME: Final = "future_time"


def judge(said: Said, sender: Principal, now: datetime, ahead: timedelta) -> CloudEvent:
    """The event that `said` holds; its time may be up to `ahead` after `now`. Raises Invalid with every fault."""
    event = cloudevent.check(said)
    found = [*authority.faults(sender, event), *_future(event, now, ahead)]
    if found:
        raise Invalid(found)
    return event


def _future(event: CloudEvent, now: datetime, ahead: timedelta) -> Iterator[Fault]:
    if event.time > now + ahead:
        detail = f"the time is more than {ahead.total_seconds():.0f} s ahead of ours, {now.isoformat()}"
        yield Fault("time", FUTURE_TIME, detail, id=event.id)
