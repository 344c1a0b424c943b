"""Decides what is registered, priced and agreed on a day, from the facts known. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from shared.events import reader
from shared.events.reader import (
    BatchRecalled,
    DemandEstimated,
    Milestone,
    Pack,
    PriceDeclared,
    Product,
    RecallClosed,
    RegistrationGranted,
    RegistrationReinstated,
    RegistrationRenewalFiled,
    RegistrationRenewed,
    RegistrationRevoked,
    RegistrationSuspended,
    RegistrationVaried,
    StockCounted,
    TransferAmended,
    TransferEnded,
    TransferProduct,
    TransferReached,
    TransferSigned,
)

VARIABLE: Final = (
    *("product", "packs", "origin", "local_step", "holder", "manufacturer"),
    *("granted_on", "expires_on", "agreement"),
)
AMENDABLE: Final = ("title", "originator", "recipient", "signed_on", "products", "milestones")


class Fact(msgspec.Struct, frozen=True):
    """One fact as it counts after corrections. `source` and `id` are the original's, `time` and authority too."""

    data: msgspec.Struct
    time: datetime
    source: str
    id: str
    by_regulator: bool = False

    @property
    def rank(self) -> tuple[datetime, str, str]:
        return (self.time, self.source, self.id)


def effective_day(data: Any) -> date:
    """The day from which a fact holds."""
    for name in ("effective_on", "granted_on", "filed_on", "signed_on", "reached_on", "recalled_on", "closed_on"):
        if (day := getattr(data, name, None)) is not None:
            return day  # type: ignore[no-any-return]
    for name in ("counted_on", "period_end", "started_on", "resolved_on"):
        if (day := getattr(data, name, None)) is not None:
            return day  # type: ignore[no-any-return]
    return date(data.year, 1, 1)


class Authorisation(msgspec.Struct):
    """An authorisation as it stands on a day."""

    authorisation: str
    product: Product
    packs: tuple[Pack, ...]
    origin: str
    local_step: str | None
    holder: str
    manufacturer: str
    granted_on: date
    expires_on: date
    agreement: str | None
    status: str
    renewal_filed_on: date | None
    events: tuple[Fact, ...]

    def valid_on(self, day: date) -> bool:
        """Granted, neither suspended nor revoked, and not lapsed; a renewal filed in time keeps it in use."""
        in_time = day <= self.expires_on or (
            self.renewal_filed_on is not None and self.renewal_filed_on <= self.expires_on
        )
        return self.status == "granted" and self.granted_on <= day and in_time


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


class Packing(msgspec.Struct, frozen=True):
    """A product's pack: what a GTIN means for sums in DDD, scopes and origin."""

    gtin: int
    authorisation: str
    product: Product
    pack_size: int
    ddd_per_pack: Decimal | None
    origin: str
    local_step: str | None
    agreement: str | None


class Registry:
    """All facts known, asked by day. Of facts of one type, key and day the greatest (time, source, id) holds."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._authorisation_facts: dict[str, list[Fact]] = defaultdict(list)
        self._agreement_facts: dict[str, list[Fact]] = defaultdict(list)
        self._prices: dict[int, list[tuple[date, int]]] = defaultdict(list)
        self.recalls: dict[int, list[Fact]] = defaultdict(list)
        self.recalls_closed: dict[int, list[Fact]] = defaultdict(list)
        self.counts: dict[tuple[int, str], list[Fact]] = defaultdict(list)
        self.demands: list[Fact] = []
        for fact in newest_of_day(facts):
            self._take(fact)

    def _take(self, fact: Fact) -> None:
        data: Any = fact.data
        if isinstance(data, PriceDeclared):
            self._prices[int(data.gtin)].append((data.effective_on, data.price))
        elif isinstance(data, BatchRecalled):
            self.recalls[int(data.gtin)].append(fact)
        elif isinstance(data, RecallClosed):
            self.recalls_closed[int(data.gtin)].append(fact)
        elif isinstance(data, StockCounted):
            self.counts[(int(data.gtin), data.lot)].append(fact)
        elif isinstance(data, DemandEstimated):
            self.demands.append(fact)
        elif hasattr(data, "authorisation"):
            self._authorisation_facts[data.authorisation].append(fact)
        elif hasattr(data, "agreement"):
            self._agreement_facts[data.agreement].append(fact)

    def price_on(self, gtin: int, day: date) -> int | None:
        """The declared price of a pack in VND on `day`; None before the first."""
        in_force = [price for effective_on, price in self._prices.get(gtin, ()) if effective_on <= day]
        return in_force[-1] if in_force else None

    def authorisations(self, day: date) -> list[Authorisation]:
        """Every authorisation granted up to `day`, by number."""
        found = (_authorisation(facts, day) for _, facts in sorted(self._authorisation_facts.items()))
        return [authorisation for authorisation in found if authorisation is not None]

    def packings(self, day: date) -> dict[int, Packing]:
        """Every GTIN that an authorisation has named up to `day`; the one granted last describes it."""
        found: dict[int, Packing] = {}
        for held in sorted(self.authorisations(day), key=lambda item: (item.granted_on, item.authorisation)):
            for pack in held.packs:
                found[int(pack.gtin)] = Packing(
                    int(pack.gtin),
                    held.authorisation,
                    held.product,
                    pack.pack_size,
                    pack.ddd_per_pack,
                    held.origin,
                    held.local_step,
                    held.agreement,
                )
        return found

    def agreements(self, day: date) -> list[Agreement]:
        """Every agreement signed up to `day`, by id."""
        found = (_agreement(facts, day) for _, facts in sorted(self._agreement_facts.items()))
        return [agreement for agreement in found if agreement is not None]

    def is_stranger(self, source: str, agreement: str, *, by_regulator: bool) -> bool:
        """Whether what `source` says of an agreement has no effect: it is signed, and by others."""
        held = _agreement(self._agreement_facts.get(agreement, ()), date.max)
        return held is not None and not _is_party(held, source, by_regulator)

    def recalled_on(self, gtin: int, lot: str, introduced_on: date | None, day: date) -> date | None:
        """The first day up to `day` on which the lot was recalled; closing a recall unblocks nothing.

        A recall without lot covers the lots introduced up to its day.
        """
        days = [
            data.recalled_on
            for data in (fact.data for fact in self.recalls.get(gtin, ()))
            if isinstance(data, BatchRecalled)
            and data.recalled_on <= day
            and (data.lot == lot or (data.lot is None and _introduced_by(introduced_on, data.recalled_on)))
        ]
        return min(days, default=None)


def _introduced_by(introduced_on: date | None, day: date) -> bool:
    return introduced_on is not None and introduced_on <= day


def newest_of_day(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that hold, ordered by day, then rank."""
    held: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        identity = (type(fact.data), *_key(fact.data), effective_day(fact.data))
        if identity not in held or held[identity].rank < fact.rank:
            held[identity] = fact
    return sorted(held.values(), key=lambda fact: (effective_day(fact.data), fact.rank))


_KEY_FIELDS: Final = (
    "authorisation agreement milestone interruption certificate figure scope gtin lot substance form year unit holder"
    " covers period_start"
).split()


def _key(data: Any) -> tuple[object, ...]:
    """What a fact is about. A grant's holder may change, so a registration is about its authorisation alone."""
    if hasattr(data, "authorisation"):
        return (data.authorisation,)
    return tuple(getattr(data, name, None) for name in _KEY_FIELDS)


def _until(facts: Sequence[Fact], day: date) -> list[Fact]:
    return [fact for fact in facts if effective_day(fact.data) <= day]


def _authorisation(facts: Sequence[Fact], day: date) -> Authorisation | None:
    past = _until(facts, day)
    grants = [fact.data for fact in past if isinstance(fact.data, RegistrationGranted)]
    if not grants:
        return None
    grant = grants[-1]
    held = Authorisation(
        authorisation=grant.authorisation,
        product=grant.product,
        packs=grant.packs,
        origin=grant.origin,
        local_step=grant.local_step,
        holder=grant.holder,
        manufacturer=grant.manufacturer,
        granted_on=grant.granted_on,
        expires_on=grant.expires_on,
        agreement=grant.agreement,
        status="granted",
        renewal_filed_on=None,
        events=tuple(past),
    )
    for fact in past:
        if effective_day(fact.data) >= grant.granted_on:
            _apply(held, fact.data)
    return held


def _apply(held: Authorisation, data: msgspec.Struct) -> None:
    match data:
        case RegistrationVaried():
            for name in VARIABLE:
                if (value := getattr(data, name)) is not None:
                    setattr(held, name, value)
        case RegistrationRenewalFiled():
            held.renewal_filed_on = data.filed_on
        case RegistrationRenewed():
            held.expires_on, held.renewal_filed_on = data.expires_on, None
        case RegistrationSuspended() if held.status != "revoked":
            held.status = "suspended"
        case RegistrationReinstated() if held.status != "revoked":
            held.status = "granted"
        case RegistrationRevoked():
            held.status = "revoked"


def _agreement(facts: Sequence[Fact], day: date) -> Agreement | None:
    past = _until(facts, day)
    signed = [fact.data for fact in past if isinstance(fact.data, TransferSigned)]
    if not signed:
        return None
    held = Agreement(
        agreement=signed[-1].agreement,
        title=signed[-1].title,
        originator=signed[-1].originator,
        recipient=signed[-1].recipient,
        signed_on=signed[-1].signed_on,
        products=signed[-1].products,
        milestones=signed[-1].milestones,
        ended_on=None,
        reached={},
        events=tuple(past),
    )
    for fact in past:
        if _is_party(held, fact.source, fact.by_regulator):
            _amend(held, fact.data)
    return held


def _is_party(held: Agreement, source: str, by_regulator: bool) -> bool:
    return by_regulator or source.removeprefix("urn:gln:") in (held.originator, held.recipient)


def _amend(held: Agreement, data: msgspec.Struct) -> None:
    """What a party, or a regulator, says of the agreement; anybody else's word changes nothing."""
    match data:
        case TransferAmended():
            for name in AMENDABLE:
                if (value := getattr(data, name)) is not None:
                    setattr(held, name, value)
        case TransferEnded():
            held.ended_on = data.effective_on
        case TransferReached():
            held.reached.setdefault(data.milestone, data.reached_on)


def fact_of(type_: str, text: str, time: datetime, source: str, id_: str, by_regulator: bool = False) -> Fact:
    """The fact in a stored row."""
    return Fact(reader.read_data(type_, text.encode()), time, source, id_, by_regulator)
