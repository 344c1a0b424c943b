"""Decides which certificates of good manufacturing practice hold on a day, from the facts known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import msgspec

from services.supply.facts import Fact, until
from shared.events.reader import GmpCertified, GmpWithdrawn

HOME: Final = "VN"
STRICT: Final = ("EU-GMP", "PIC/S-GMP")


class Certificate(msgspec.Struct, frozen=True):
    """A certificate as it stands on a day: the newest certification under its number."""

    certificate: str
    site: str
    holder: str
    country: str
    standard: str
    effective_on: date
    expires_on: date
    withdrawn_on: date | None
    events: tuple[Fact, ...]

    def valid_on(self, day: date) -> bool:
        return self.effective_on <= day <= self.expires_on and (self.withdrawn_on is None or day < self.withdrawn_on)


def certificate_on(facts: Sequence[Fact], day: date) -> Certificate | None:
    """What `facts` about one certificate, in order, come to on `day`; None before it was given."""
    past = until(facts, day)
    given = [fact for fact in past if isinstance(fact.data, GmpCertified)]
    if not given:
        return None
    data = given[-1].data
    assert isinstance(data, GmpCertified)
    withdrawn = [
        fact.data.effective_on
        for fact in past
        if isinstance(fact.data, GmpWithdrawn) and fact.data.effective_on >= data.effective_on
    ]
    about = (data.certificate, data.site, data.holder, data.country, data.standard, data.effective_on, data.expires_on)
    return Certificate(*about, min(withdrawn, default=None), tuple(past))


def home_sites(certificates: Iterable[Certificate], day: date, standards: Sequence[str] | None = None) -> set[str]:
    """The domestic sites with a valid certificate of one of `standards` (None: of any)."""
    return {
        held.site
        for held in certificates
        if held.country == HOME and held.valid_on(day) and (standards is None or held.standard in standards)
    }
