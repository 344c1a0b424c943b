"""Decides what is registered, priced and agreed on a day, from the facts known. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import msgspec

from services.supply.agreements import Agreement, agreement_on
from services.supply.facts import Fact, effective_day, in_order, newest_of_day, until
from services.supply.interruptions import Interruption, interruption_on
from services.supply.parties import OF_AGREEMENTS, OF_INTERRUPTIONS, judged
from services.supply.plants import Certificate, certificate_on
from shared.events.reader import (
    BatchRecalled,
    DemandEstimated,
    FigureReported,
    GmpCertified,
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
)

MAX_DAYS: Final = 4  # on which authorisations and packings are remembered
VARIABLE: Final = (
    *("product", "packs", "origin", "local_step", "holder", "manufacturer"),
    *("granted_on", "expires_on", "agreement"),
)


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
    events: tuple[Fact, ...]


class Registry:
    """All facts known, asked by day. Of facts of one type, key and day the greatest (time, source, id) holds.

    `strangers` are (source, id) of what somebody said of another's agreement or interruption: it has no effect.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._authorisation_facts: dict[str, list[Fact]] = defaultdict(list)
        self._on_days: dict[date, list[Authorisation]] = {}  # as they stood on the days asked for last
        self._packings_on: dict[date, dict[int, Packing]] = {}
        self._prices: dict[int, list[tuple[date, int, Fact]]] = defaultdict(list)
        self.recalls: dict[int, list[Fact]] = defaultdict(list)
        self.recalls_closed: dict[int, list[Fact]] = defaultdict(list)
        self.counts: dict[tuple[int, str], list[Fact]] = defaultdict(list)
        self.demands: list[Fact] = []
        self.figures: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        self._certificates: dict[str, list[Fact]] = defaultdict(list)
        by_subject: dict[tuple[str, str] | None, list[Fact]] = defaultdict(list)
        for fact in facts:
            by_subject[_of_parties(fact.data)].append(fact)
        for fact in newest_of_day(by_subject.pop(None, ())):
            self._take(fact)
        spoken = {subject: judged(said) for subject, said in by_subject.items() if subject is not None}
        self._agreements = {name: found.holding for (kind, name), found in spoken.items() if kind == "agreement"}
        self._interruptions = {name: found.holding for (kind, name), found in spoken.items() if kind == "interruption"}
        self.strangers = frozenset(said for found in spoken.values() for said in found.strangers)

    def _take(self, fact: Fact) -> None:
        data: Any = fact.data
        if isinstance(data, PriceDeclared):
            self._prices[int(data.gtin)].append((data.effective_on, data.price, fact))
        elif isinstance(data, BatchRecalled):
            self.recalls[int(data.gtin)].append(fact)
        elif isinstance(data, RecallClosed):
            self.recalls_closed[int(data.gtin)].append(fact)
        elif isinstance(data, StockCounted):
            self.counts[(int(data.gtin), data.lot)].append(fact)
        elif isinstance(data, DemandEstimated):
            self.demands.append(fact)
        elif isinstance(data, FigureReported):
            self.figures[data.figure, data.scope].append(fact)
        elif hasattr(data, "certificate"):
            self._certificates[data.certificate].append(fact)
        elif hasattr(data, "authorisation"):
            self._authorisation_facts[data.authorisation].append(fact)

    def price_on(self, gtin: int, day: date) -> int | None:
        """The declared price of a pack in VND on `day`; None before the first."""
        in_force = [price for effective_on, price, _ in self._prices.get(gtin, ()) if effective_on <= day]
        return in_force[-1] if in_force else None

    def priced_by(self, gtin: int, day: date) -> tuple[Fact, ...]:
        """The declaration of the price on `day`; none before the first."""
        return tuple(fact for effective_on, _, fact in self._prices.get(gtin, ()) if effective_on <= day)[-1:]

    def authorisations(self, day: date) -> list[Authorisation]:
        """Every authorisation granted up to `day`, by number."""
        held = self._on_days.get(day)
        if held is None:
            found = (_authorisation(facts, day) for _, facts in sorted(self._authorisation_facts.items()))
            held = [authorisation for authorisation in found if authorisation is not None]
            # Another thread may be asking too: the table is replaced, never changed.
            self._on_days = dict([*self._on_days.items(), (day, held)][-MAX_DAYS:])
        return held

    def authorisation(self, name: str, day: date) -> Authorisation | None:
        """One authorisation as it stood on a day; None before its grant."""
        return _authorisation(self._authorisation_facts.get(name, ()), day)

    def history(self, authorisation: str) -> list[tuple[date, Authorisation]]:
        """How it stood from each day on which something about it took effect, in their order, from its grant on."""
        facts = self._authorisation_facts.get(authorisation, [])
        days = sorted({effective_day(fact.data) for fact in facts})
        found = ((day, _authorisation(facts, day)) for day in days)
        return [(day, held) for day, held in found if held is not None]

    @cached_property
    def local_steps(self) -> dict[int, dict[str, frozenset[str | None]]]:
        """By GTIN the authorisations that have ever named it, each with every local step that it has ever had."""
        found: dict[int, dict[str, frozenset[str | None]]] = defaultdict(dict)
        for name, facts in self._authorisation_facts.items():
            granted = [fact.data for fact in facts if isinstance(fact.data, RegistrationGranted)]
            varied = [fact.data for fact in facts if isinstance(fact.data, RegistrationVaried)]
            if granted:
                steps = {data.local_step for data in granted} | ({data.local_step for data in varied} - {None})
                packs = [*(data.packs for data in granted), *(data.packs or () for data in varied)]
                for gtin in {int(pack.gtin) for told in packs for pack in told}:
                    found[gtin][name] = frozenset(steps)
        return dict(found)

    @cached_property
    def of_several_steps(self) -> frozenset[int]:
        """The GTINs of several authorisations and local steps: it matters under which one a lot was made."""
        return frozenset(
            gtin for gtin, named in self.local_steps.items() if len(named) > 1 and len(set().union(*named.values())) > 1
        )

    @cached_property
    def marked_lots(self) -> list[tuple[int, str]]:
        """The lots that a recall, the closing of one, or a count names, in order."""
        recalls = [*self.recalls.items(), *self.recalls_closed.items()]
        named = {(gtin, fact.data.lot) for gtin, facts in recalls for fact in facts}  # type: ignore[attr-defined]
        return sorted({*self.counts, *((gtin, lot) for gtin, lot in named if lot is not None)})

    def packings(self, day: date) -> dict[int, Packing]:
        """Every GTIN that an authorisation has named up to `day`; the one granted last describes it. Read only."""
        held_on = self._packings_on.get(day)
        if held_on is None:
            held_on = self._packed(day)
            self._packings_on = dict([*self._packings_on.items(), (day, held_on)][-MAX_DAYS:])
        return held_on

    def _packed(self, day: date) -> dict[int, Packing]:
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
                    held.events,
                )
        return found

    def agreements(self, day: date) -> list[Agreement]:
        """Every agreement signed up to `day`, by id."""
        found = (agreement_on(holding, day) for _, holding in sorted(self._agreements.items()))
        return [agreement for agreement in found if agreement is not None]

    def certificates(self, day: date) -> list[Certificate]:
        """Every certificate of good manufacturing practice given up to `day`, by number."""
        found = (certificate_on(facts, day) for _, facts in sorted(self._certificates.items()))
        return [certificate for certificate in found if certificate is not None]

    def certifications(self, day: date) -> list[list[Fact]]:
        """What was said up to `day` of the certificates of each site and standard, in order."""
        found: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        for facts in self._certificates.values():
            past = until(facts, day)
            given = [fact.data for fact in past if isinstance(fact.data, GmpCertified)]
            if given:
                found[given[-1].site, given[-1].standard] += past
        return [in_order(facts) for _, facts in sorted(found.items())]

    def interruptions(self, day: date) -> list[Interruption]:
        """Every interruption that had begun by `day`, by id."""
        found = (interruption_on(holding, day) for _, holding in sorted(self._interruptions.items()))
        return [interruption for interruption in found if interruption is not None]

    def reported(self, figure: str, scope: str, day: date) -> Fact | None:
        """The newest report of a figure whose period had ended by `day`."""
        past = until(self.figures.get((figure, scope), ()), day)
        return past[-1] if past else None

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


def _of_parties(data: Any) -> tuple[str, str] | None:
    """The agreement or interruption that a fact is about, of which not everybody's word counts."""
    if isinstance(data, OF_AGREEMENTS):
        return "agreement", data.agreement
    return ("interruption", data.interruption) if isinstance(data, OF_INTERRUPTIONS) else None


def _authorisation(facts: Sequence[Fact], day: date) -> Authorisation | None:
    past = until(facts, day)
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
