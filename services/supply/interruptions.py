"""Decides what an interruption of supply is on a day, from the facts about it that count. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from services.supply.facts import Fact, until
from shared.events.reader import InterruptionNotified, InterruptionResolved


class Interruption(msgspec.Struct, frozen=True):
    """An interruption as it stands on a day: of a product, of a site, or of what its cause says."""

    interruption: str
    gtin: str | None
    site: str | None
    cause: str
    started_on: date
    expected_until: date | None
    resolved_on: date | None
    events: tuple[Fact, ...]


def interruption_on(holding: Sequence[Fact], day: date) -> Interruption | None:
    """The newest notice of it up to `day`, and its end; None before it began. `holding` as judged (parties)."""
    past = until(holding, day)
    notices = [fact.data for fact in past if isinstance(fact.data, InterruptionNotified)]
    if not notices:
        return None
    said = notices[-1]
    ends = [
        fact.data.resolved_on
        for fact in past
        if isinstance(fact.data, InterruptionResolved) and fact.data.resolved_on >= said.started_on
    ]
    about = (said.interruption, said.gtin, said.site, said.cause, said.started_on, said.expected_until)
    return Interruption(*about, min(ends, default=None), tuple(past))
