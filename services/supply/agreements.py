"""Decides what a transfer agreement is on a day, from the facts about it that count. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from services.supply.facts import Fact, until
from shared.events.reader import (
    Milestone,
    TransferAmended,
    TransferEnded,
    TransferProduct,
    TransferReached,
    TransferSigned,
)

TERMS: Final = ("title", "originator", "recipient", "signed_on", "products", "milestones")


class Agreement(msgspec.Struct):
    """A transfer agreement as it stands on a day."""

    agreement: str
    title: str
    originator: str
    recipient: str
    signed_on: date
    products: tuple[TransferProduct, ...]
    milestones: tuple[Milestone, ...]
    ended_on: date | None
    reached: dict[str, date]
    events: tuple[Fact, ...]


def agreement_on(holding: Sequence[Fact], day: date) -> Agreement | None:
    """The agreement on `day`; None before it was signed. `holding` are the facts that count (parties.judged)."""
    past = until(holding, day)
    founding = next((fact for fact in past if isinstance(fact.data, TransferSigned)), None)
    if founding is None:
        return None
    assert isinstance(founding.data, TransferSigned)
    terms = {name: getattr(founding.data, name) for name in TERMS}
    held = Agreement(agreement=founding.data.agreement, **terms, ended_on=None, reached={}, events=tuple(past))
    for fact in past:
        if fact is not founding:
            _apply(held, fact.data)
    return held


def _apply(held: Agreement, data: msgspec.Struct) -> None:
    match data:
        case TransferSigned() | TransferAmended():
            for name in TERMS:
                if (value := getattr(data, name)) is not None:
                    setattr(held, name, value)
            if isinstance(data, TransferSigned):  # anew, perhaps after its end
                held.ended_on = None
        case TransferEnded():
            held.ended_on = data.effective_on
        case TransferReached():
            held.reached.setdefault(data.milestone, data.reached_on)
