"""Decides where what was said of lots contradicts a registration, a recall, a count, or a lot's parties. Pure.

All of it follows from what is known and holds on a day; each names the events that show it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from services.supply.anomalies import Anomaly, Behind, LotDay, lot_subject
from services.supply.facts import Fact
from services.supply.lot import LotState, MarketLot
from services.supply.registry import Authorisation, Registry
from services.supply.trade import Introduction, Named, Shipment, Trade

KINDS: Final = (
    *("unregistered_supply", "lapsed_authorisation", "origin_contradicts_authorisation", "shipped_after_recall"),
    *("shipped_after_expiry", "count_mismatch", "foreign_party"),
)
MAX_EVENTS: Final = 20  # named by one anomaly
WITHOUT_AUTHORISATION: Final = ("permit", "donation")
HOME_PREFIX: Final = "893"  # of numbers of twelve digits: GS1's prefix of the country of manufacture
NUMBER_DIGITS: Final = 12
_COMES: Final = {"produced": "domestic", "imported": "import"}


class Word(NamedTuple):
    """An event about a lot that only a firm with a part in the lot may say: who said it, with its day of effect."""

    lot: str
    on: date
    said_by: Named
    by_regulator: bool = False


class Product(msgspec.Struct, frozen=True):
    """What is checked of one product: its lots and what was said of them; `days`: all that took effect of those that
    were counted."""

    gtin: int
    lots: Sequence[LotState | MarketLot]
    trade: Trade
    words: Sequence[Word] = ()
    days: Mapping[str, Sequence[LotDay]] = {}


class Lapse(NamedTuple):
    """A lot that was made or imported under an authorisation after its end."""

    authorisation: str
    on: date
    gtin: int
    lot: str
    said_by: Named


class Validity:
    """When authorisations held, by one registry; what was asked once is not worked out again."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._histories: dict[str, tuple[list[date], list[Authorisation]]] = {}
        self._names = registry.local_steps  # by GTIN the authorisations that have ever named it

    def on(self, name: str, day: date) -> Authorisation | None:
        """An authorisation as it stood on a day; None before its grant."""
        if name not in self._histories:
            history = self.registry.history(name)
            self._histories[name] = [since for since, _ in history], [held for _, held in history]
        days, held = self._histories[name]
        at = bisect_right(days, day)
        return held[at - 1] if at else None

    def of(self, gtin: int, day: date, origin: str) -> Iterator[Authorisation]:
        """The authorisations of an origin that name a product on a day."""
        for name in self._names.get(gtin, ()):
            held = self.on(name, day)
            if held is not None and held.origin == origin and any(int(pack.gtin) == gtin for pack in held.packs):
                yield held

    def parties(self, gtin: int, day: date) -> set[str]:
        """GLNs of the holders and manufacturers of every authorisation of a product granted up to a day."""
        held = (self.on(name, day) for name in self._names.get(gtin, ()))
        return {gln for item in held if item is not None for gln in (item.holder, item.manufacturer)}


def checked(product: Product, validity: Validity, on: date) -> Iterator[Anomaly]:
    """What is odd about single lots, on a day."""
    by_lot: dict[str, list[Introduction]] = defaultdict(list)
    for said in product.trade.introductions:
        if said.on <= on:
            by_lot[said.lot].append(said)
    lots = {lot.lot: lot for lot in product.lots if lot.lot}
    for name, lot in lots.items():
        yield from _unregistered(lot, by_lot[name], validity, on)
    for name, introductions in by_lot.items():
        yield from _contradicted(product.gtin, name, introductions, validity)
    shipped: dict[str, list[Shipment]] = defaultdict(list)
    for item in product.trade.shipments:
        if item.on <= on:
            shipped[item.lot].append(item)
    for name, shipments in shipped.items():
        if name in lots:
            yield from _shipped_late(lots[name], shipments, validity.registry)
    yield from _mismatches(product, by_lot, validity.registry, on)
    yield from _foreign(product, by_lot, validity, on)


def _unregistered(
    lot: LotState | MarketLot, introductions: Sequence[Introduction], validity: Validity, on: date
) -> Iterator[Anomaly]:
    """It reached available without an authorisation of its kind that held on that day, permit or donation."""
    day = lot.supplied_on
    if day is None or day > on or not introductions:
        return
    if any(said.basis in WITHOUT_AUTHORISATION for said in introductions):
        return
    kinds = {_COMES[said.kind] for said in introductions}
    if not any(held.valid_on(day) for kind in kinds for held in validity.of(lot.gtin, day, kind)):
        detail = f"the lot reached available on {day} without a valid authorisation, permit or donation"
        yield Anomaly("unregistered_supply", lot_subject(lot.gtin, lot.lot), day, detail, _behind(introductions))


def lapses(product: Product, validity: Validity, on: date) -> Iterator[Lapse]:
    """What was made or imported after the end of the authorisation that it names; or, where it names none, of those of
    its kind, if none of them held any longer."""
    for said in product.trade.introductions:
        if said.on > on or said.basis in WITHOUT_AUTHORISATION:
            continue
        if said.authorisation is not None:
            named = validity.on(said.authorisation, said.on)
            held = [] if named is None else [named]
        else:
            held = list(validity.of(product.gtin, said.on, _COMES[said.kind]))
        if held and all(_has_ended(item, said.on) for item in held):
            last = max(held, key=lambda item: (item.expires_on, item.authorisation))
            yield Lapse(last.authorisation, said.on, product.gtin, said.lot, said.said_by)


def _has_ended(held: Authorisation, day: date) -> bool:
    """Lapsed or revoked; what is suspended has not ended."""
    if held.status == "revoked":
        return True
    return held.status == "granted" and held.granted_on <= day and not held.valid_on(day)


def lapsed(found: Iterable[Lapse]) -> list[Anomaly]:
    """By authorisation, with the lots made or imported after its end."""
    by_name: dict[str, list[Lapse]] = defaultdict(list)
    for lapse in found:
        by_name[lapse.authorisation].append(lapse)
    anomalies = []
    for name, group in sorted(by_name.items()):
        ordered = sorted(group, key=lambda lapse: (lapse.on, lapse.said_by))
        lots = len({(lapse.gtin, lapse.lot) for lapse in group})
        detail = f"{lots} lots were made or imported under {name} after its end"
        behind = tuple(Behind(*lapse.said_by) for lapse in ordered[:MAX_EVENTS])
        anomalies.append(Anomaly("lapsed_authorisation", name, ordered[0].on, detail, behind))
    return anomalies


def _contradicted(gtin: int, lot: str, introductions: Sequence[Introduction], validity: Validity) -> Iterator[Anomaly]:
    """An imported lot under a domestic authorisation number, or the reverse."""
    wrong = [
        said
        for said in introductions
        if said.authorisation is not None
        and (origin := origin_of_number(said.authorisation) or _registered_origin(said, validity)) is not None
        and origin != _COMES[said.kind]
    ]
    if wrong:
        first = wrong[0]
        other = "an imported" if first.kind == "produced" else "a domestic"
        detail = f"the lot was {first.kind} under {first.authorisation}, the number of {other} medicine"
        yield Anomaly("origin_contradicts_authorisation", lot_subject(gtin, lot), first.on, detail, _behind(wrong))


def origin_of_number(authorisation: str) -> str | None:
    """What the form of a number tells: VD-… domestic, VN-… imported, twelve digits by the country of manufacture."""
    if authorisation.startswith("VD-"):
        return "domestic"
    if authorisation.startswith("VN-"):
        return "import"
    if len(authorisation) == NUMBER_DIGITS and authorisation.isascii() and authorisation.isdigit():
        return "domestic" if authorisation.startswith(HOME_PREFIX) else "import"
    return None


def _registered_origin(said: Introduction, validity: Validity) -> str | None:
    held = validity.on(said.authorisation or "", said.on)
    return None if held is None else held.origin


def _shipped_late(lot: LotState | MarketLot, shipments: Sequence[Shipment], registry: Registry) -> Iterator[Anomaly]:
    """Exports later than the day of its recall, or than its last day."""
    subject = lot_subject(lot.gtin, lot.lot)
    recalled = [(item, registry.recalled_on(lot.gtin, lot.lot, lot.introduced_on, item.on)) for item in shipments]
    late = [(item, day) for item, day in recalled if day is not None and day < item.on]
    if late:
        first, day = late[0]
        detail = f"shipped on {first.on}, recalled since {day}"
        behind = (*_behind(item for item, _ in late), *_recall_of(registry, lot, day))
        yield Anomaly("shipped_after_recall", subject, first.on, detail, behind[: MAX_EVENTS + 1])
    expired = [item for item in shipments if lot.expires_on is not None and item.on > lot.expires_on]
    if expired:
        detail = f"shipped on {expired[0].on}, expired after {lot.expires_on}"
        yield Anomaly("shipped_after_expiry", subject, expired[0].on, detail, _behind(expired))


def _recall_of(registry: Registry, lot: LotState | MarketLot, day: date) -> tuple[Behind, ...]:
    facts: list[Any] = [fact for fact in registry.recalls.get(lot.gtin, ()) if fact.data.recalled_on == day]  # type: ignore[attr-defined]
    return tuple(Behind(fact.source, fact.id) for fact in facts if fact.data.lot in (None, lot.lot))


def _mismatches(
    product: Product, by_lot: Mapping[str, Sequence[Introduction]], registry: Registry, on: date
) -> Iterator[Anomaly]:
    for name in product.days:
        facts = [fact for fact in registry.counts.get((product.gtin, name), ()) if fact.data.counted_on <= on]  # type: ignore[attr-defined]
        introducers = {said.said_by[0] for said in by_lot.get(name, ())}
        yield from _mismatch(lot_subject(product.gtin, name), facts, introducers, product.days[name])


def _mismatch(subject: str, facts: Sequence[Fact], introducers: set[str], days: Sequence[LotDay]) -> Iterator[Anomaly]:
    """The newest national count by an introducer or a regulator against the book of its day; or the newest counts of
    all holders, if together they are more than the book of the latest of their days."""
    national = [
        fact
        for fact in facts
        if fact.data.covers == "national" and (fact.by_regulator or fact.source in introducers)  # type: ignore[attr-defined]
    ]
    if national:
        newest = max(national, key=_count_rank)
        counted: Any = newest.data
        book = book_on(days, counted.counted_on)
        if counted.quantity != book:
            detail = f"{counted.quantity} packs were counted where the book has {book}"
            yield Anomaly("count_mismatch", subject, counted.counted_on, detail, (Behind(newest.source, newest.id),))
            return
    holders: dict[str, Any] = {}
    for fact in sorted((fact for fact in facts if fact.data.covers == "holder"), key=_count_rank):  # type: ignore[attr-defined]
        holders[fact.data.holder] = fact  # type: ignore[attr-defined]
    if holders:
        total = sum(fact.data.quantity for fact in holders.values())
        day = max(fact.data.counted_on for fact in holders.values())
        book = book_on(days, day)
        if total > book:
            detail = f"holders counted {total} packs together where the book has {book}"
            behind = tuple(Behind(fact.source, fact.id) for fact in holders.values())[:MAX_EVENTS]
            yield Anomaly("count_mismatch", subject, day, detail, behind)


def _count_rank(fact: Fact) -> tuple[Any, ...]:
    return (fact.data.counted_on, fact.time, fact.id)  # type: ignore[attr-defined]


def book_on(days: Sequence[LotDay], on: date) -> int:
    """The packs available at the end of a day."""
    return sum(day.available for day in days if day.on <= on)


def _foreign(
    product: Product, by_lot: Mapping[str, Sequence[Introduction]], validity: Validity, on: date
) -> Iterator[Anomaly]:
    """Words of a firm that did not introduce the lot and holds or makes none of its product's authorisations."""
    parties = validity.parties(product.gtin, on)
    foreign: dict[str, list[Word]] = defaultdict(list)
    for word in product.words:
        introductions = by_lot.get(word.lot, ())
        known = parties | {gln for said in introductions for gln in _firms(said)}
        if introductions and not word.by_regulator and word.on <= on and _gln(word.said_by[0]) not in known:
            foreign[word.lot].append(word)
    for lot, words in sorted(foreign.items()):
        words.sort(key=lambda word: (word.on, word.said_by))
        firms = ", ".join(sorted({_gln(word.said_by[0]) for word in words}))
        detail = f"{len(words)} events of a firm that has no part in the lot: {firms}"
        behind = tuple(Behind(*word.said_by) for word in words[:MAX_EVENTS])
        yield Anomaly("foreign_party", lot_subject(product.gtin, lot), words[0].on, detail, behind)


def _firms(said: Introduction) -> set[str]:
    return {_gln(said.said_by[0]), said.firm, *(() if said.site is None else (said.site,))}


def _gln(source: str) -> str:
    return source.removeprefix("urn:gln:")


def words_of_marks(registry: Registry, gtin: int) -> list[Word]:
    """The recalls of single lots and their closings, of which the registry knows who said them."""
    facts: list[Any] = [*registry.recalls.get(gtin, ()), *registry.recalls_closed.get(gtin, ())]
    return [
        Word(fact.data.lot, _day(fact.data), (fact.source, fact.id), fact.by_regulator)
        for fact in facts
        if fact.data.lot is not None
    ]


def _day(data: Any) -> date:
    day: date = data.recalled_on if hasattr(data, "recalled_on") else data.closed_on
    return day


def _behind(said: Iterable[Introduction | Shipment]) -> tuple[Behind, ...]:
    named = dict.fromkeys(item.said_by for item in said)
    return tuple(Behind(*name) for name in list(named)[:MAX_EVENTS])


def odd_products(products: Iterable[Product], validity: Validity, on: date) -> list[Anomaly]:
    """Everything that is odd about the lots of these products, and about the authorisations that they name."""
    found: list[Anomaly] = []
    after_end: list[Lapse] = []
    for product in products:
        found += checked(product, validity, on)
        after_end += lapses(product, validity, on)
    return found + lapsed(after_end)


def suspects(
    speakers: Mapping[tuple[int, str], set[str]], trades: Mapping[int, Trade], validity: Validity, on: date
) -> dict[str, list[tuple[int, str]]]:
    """By source, the lots of which it spoke without an obvious part in them: of these each word has to be looked at."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    parties: dict[int, set[str]] = {}
    firms: dict[tuple[int, str], set[str]] = defaultdict(set)
    for gtin, trade in trades.items():
        for said in trade.introductions:
            firms[gtin, said.lot] |= _firms(said)
    for key, sources in speakers.items():
        if key not in firms:
            continue
        if key[0] not in parties:
            parties[key[0]] = validity.parties(key[0], on)
        for source in sources:
            gln = _gln(source)
            if gln not in firms[key] and gln not in parties[key[0]]:
                found[source].append(key)
    return found
