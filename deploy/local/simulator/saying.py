"""Builds the CloudEvents that firms say: who, when, with an id that is the same at every run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from deploy.local.simulator.data import Firm
from shared.clock import TZ

WORK_BEGINS = time(8, 0)
WORK_SECONDS = 9 * 3600


class Said(NamedTuple):
    """One event and the moment at which its producer says it."""

    due: datetime
    producer: str
    event: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.event["id"])


def working_hour(day: date, rng: Random) -> datetime:
    """Some second of the working day."""
    return datetime.combine(day, WORK_BEGINS, TZ) + timedelta(seconds=rng.randrange(WORK_SECONDS))


def say(due: datetime, firm: Firm, kind: str, id: str, subject: str, data: Mapping[str, Any]) -> Said:
    """`firm` says at `due` an event of the type supply.<kind>.v1; absent (None) data is left out, dates are written."""
    event = {
        "specversion": "1.0",
        "id": id,
        "source": f"urn:gln:{firm.gln[0]}",
        "type": f"supply.{kind}.v1",
        "time": due.isoformat(),
        "subject": subject,
        "datacontenttype": "application/json",
        "data": _plain(data),
    }
    return Said(due, firm.name, event)


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _plain(item) for name, item in value.items() if item is not None}
        case list() | tuple():
            return [_plain(item) for item in value]
        case date():
            return value.isoformat()
        case _:
            return value


def corrected(
    due: datetime, original: Said, firm: Firm, reason: str, number: int, replacement: Mapping[str, Any] | None
) -> Said:
    """`firm` corrects its own event: it counts as one with the data `replacement`, or as nothing."""
    event = original.event
    corrects = {"source": event["source"], "id": event["id"], "type": event["type"]}
    data = {
        "corrects": corrects,
        "key": event["subject"],
        "corrected_on": due.date(),
        "reason": reason,
        "replacement": None if replacement is None else {"type": event["type"], "data": replacement},
    }
    return say(due, firm, "event.corrected", f"correction-{number}-of-{original.id}", event["subject"], data)


def correction_corrected(due: datetime, correction: Said, firm: Firm, reason: str, data: Mapping[str, Any]) -> Said:
    """`firm` corrects its own correction: what it corrected counts as one with the data `data` after all."""
    first = correction.event["data"]
    kind = first["corrects"]["type"]
    again = {
        "corrects": {**first["corrects"], "id": correction.id},
        "key": first["key"],
        "corrected_on": due.date(),
        "reason": reason,
        "replacement": {
            "type": correction.event["type"],
            "data": {**first, "replacement": {"type": kind, "data": data}},
        },
    }
    return say(due, firm, "event.corrected", f"correction-of-{correction.id}", first["key"], again)
