"""Decides whose word on a transfer agreement or an interruption counts, each fact on its own day. Pure.

Facts are judged in the order of their days and ranks, whatever the order of their arrival. The first signing founds an
agreement, the first notice an interruption; from then on only a party's word counts, or a regulator's. Parties are an
agreement's originator and recipient as they stand when the fact is said, and whoever signed for that recipient (ingest
has checked that the recipient is a GLN of the signer's own); of an interruption, who notified it first and the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Final

import msgspec

from services.supply.facts import Fact, effective_day, in_order, newest_of_day
from shared.events.reader import (
    InterruptionNotified,
    InterruptionResolved,
    TransferAmended,
    TransferEnded,
    TransferReached,
    TransferReported,
    TransferSigned,
)

OF_AGREEMENTS: Final = (TransferSigned, TransferAmended, TransferEnded, TransferReached, TransferReported)
OF_INTERRUPTIONS: Final = (InterruptionNotified, InterruptionResolved)
_FOUNDING: Final = (TransferSigned, InterruptionNotified)
_NAMING: Final = (*_FOUNDING, TransferAmended)
Parties = Mapping[str, str]  # GLN by part: originator, recipient, signer; notifier, site


class Judged(msgspec.Struct, frozen=True):
    """Of the facts about one agreement or interruption: those that hold, in order, and which (source, id) are a
    stranger's and have no effect."""

    holding: tuple[Fact, ...]
    strangers: frozenset[tuple[str, str]]


def judged(facts: Iterable[Fact]) -> Judged:
    """Whose word counts; what was said before the founding day is judged by the parties of that day."""
    ordered = in_order(facts)
    founding = next((fact for fact in ordered if isinstance(fact.data, _FOUNDING)), None)
    if founding is None:
        return Judged(tuple(newest_of_day(ordered)), frozenset())
    strangers = []
    parties = before = _after({}, founding)
    day, named_today = effective_day(ordered[0].data), dict[type, Fact]()
    for fact in ordered:
        if effective_day(fact.data) != day:
            day, before, named_today = effective_day(fact.data), parties, {}
        if not fact.by_regulator and _speaker(fact) not in parties.values():
            strangers.append(fact)
        elif isinstance(fact.data, _NAMING):
            # Of two amendments of one day only the later one holds: the first one's parties are none by then.
            named_today[type(fact.data)] = fact
            parties = reduce(_after, sorted(named_today.values(), key=lambda said: said.rank), before)
    heard = frozenset((fact.source, fact.id) for fact in strangers)
    return Judged(tuple(newest_of_day(fact for fact in ordered if (fact.source, fact.id) not in heard)), heard)


def _speaker(fact: Fact) -> str:
    return fact.source.removeprefix("urn:gln:")


def _after(parties: Parties, fact: Fact) -> Parties:
    """Who the parties are once `fact` holds."""
    match fact.data:
        case TransferSigned(originator=originator, recipient=recipient):
            signer = _signer_for(recipient, parties) if fact.by_regulator else {"signer": _speaker(fact)}
            return {"originator": originator, "recipient": recipient, **signer}
        case TransferAmended():
            originator = fact.data.originator or parties["originator"]
            recipient = fact.data.recipient or parties["recipient"]
            return {"originator": originator, "recipient": recipient, **_signer_for(recipient, parties)}
        case InterruptionNotified(site=site):
            return {"notifier": _speaker(fact), **parties, **({} if site is None else {"site": site})}
    return parties


def _signer_for(recipient: str, parties: Parties) -> Parties:
    """Who signed for `recipient`; who signed for another one speaks for nobody any more."""
    return {"signer": parties["signer"]} if "signer" in parties and parties["recipient"] == recipient else {}
