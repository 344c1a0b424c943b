"""The pure core of the ledger on dicts in place of tables: look-up and fold are the service's own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from services.supply import known_events
from services.supply.claims import Claim, Place
from services.supply.correction import Correction, State
from services.supply.decode import Batch, decode
from services.supply.fold import Entry, Journalled, Known, Verdict, correction_in, fold, original_in
from services.supply.places import NAME_OF
from services.supply.posting import POSTINGS, Transfer, introduces, supplies
from services.supply.record import CHAIN_START, Consumed
from shared import topics
from shared.events.reader import EventCorrected
from tests.reference import JSON, Book
from tests.supply_given import Message, message

T = TypeVar("T")
Balances = dict[tuple[str, str], dict[str, int]]
Flows = dict[tuple[str, str, str, str, str], int]


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never has to wait longer than one turn of a loop."""
    try:
        while True:
            work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def claim(partition: int = 0) -> Claim:
    return Claim(topics.MOVEMENTS, 1, partition, 1, 0, CHAIN_START)


def decoded(messages: Sequence[Message], held: Claim) -> list[Consumed]:
    """The records of one batch of a partition without a gap."""
    return decoded_batch(messages, {(held.topic, held.partition): held}).records


def decoded_batch(messages: Sequence[Message], held: dict[Place, Claim]) -> Batch:
    """One batch without a gap; the claims move on."""
    [batch], gap = at_once(decode(messages, held, session=1, lanes=1))
    assert gap is None
    return batch


class DictLedger:
    """Journal, identities and corrections as dicts; answers the queries of known_events."""

    def __init__(self) -> None:
        self.seen: dict[bytes, Consumed] = {}
        self.corrections: list[Correction] = []
        self.journal: list[Journalled] = []

    async def fetch(self, query: str, keys: bytes) -> list[tuple[Any, ...]]:
        """`keys` in one piece."""
        wanted = {keys[at : at + 16] for at in range(0, len(keys), 16)}
        match query:
            case known_events._SEEN:
                return [(key, self.seen[key].content) for key in wanted & self.seen.keys()]
            case known_events._BY_KEY:
                return [self._row(item) for item in self.corrections if item.key in wanted]
            case known_events._BY_TARGET:
                return [self._row(item) for item in self.corrections if item.target in wanted]
            case known_events._ORIGINALS:
                found = [(key, self.seen[key]) for key in wanted & self.seen.keys()]
                return [(key, record.key, record.headers, record.value) for key, record in found]
        raise AssertionError(query)

    def _row(self, item: Correction) -> tuple[Any, ...]:
        value = self.seen[item.key].value
        assert value is not None
        return item.key, item.target, item.source, item.id, item.time, value.decode()

    def write(self, records: Sequence[Consumed]) -> None:
        """What journal.Journal does with one batch."""
        known = at_once(known_events.load(self, records))  # type: ignore[arg-type]
        journalled = fold(records, known)
        self.journal += journalled
        for row in journalled:
            if row.verdict == Verdict.RECORDED:
                assert row.record.event is not None and row.record.event_key is not None
                self.seen[row.record.event_key] = row.record
                if isinstance(row.record.event.data, EventCorrected):
                    found = correction_in(row.record)
                    assert found is not None
                    self.corrections.append(found)

    def recorded(self) -> set[tuple[str, str]]:
        """Source and id of every event that the ledger knows."""
        return {_named(record) for record in self.seen.values()}

    def conflicts(self) -> set[tuple[str, str]]:
        return {_named(row.record) for row in self.journal if row.verdict == Verdict.CONFLICT}

    def _known(self) -> Known:
        originals = [original_in(record) for record in self.seen.values() if correction_in(record) is None]
        return Known({}, originals, self.corrections)

    def states(self) -> dict[tuple[str, str], State]:
        """What became of each correction."""
        known = self._known()
        return {(item.source, item.id): known.state_of(item) for item in self.corrections}

    def marks(self) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
        """What counts and posts nothing, with the type and data as which it counts."""
        known = self._known()
        counting = [(original, known.counts_as(original)) for original in known.originals.values()]
        return {
            (original.source, original.id): (counts.type, msgspec.json.decode(msgspec.json.encode(counts.data)))
            for original, counts in counting
            if counts.data is not None and type(counts.data) not in POSTINGS
        }

    def entries(self) -> list[Entry]:
        return [entry for row in self.journal for entry in row.entries]

    def moves(self) -> Counter[Transfer]:
        """How often each transfer stands; what was reversed as often as posted stands 0 times."""
        times: Counter[Transfer] = Counter()
        for entry in self.entries():
            times[entry.transfer] += -1 if entry.reversal else 1
        return times

    def balances(self) -> Balances:
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for moved, times in self.moves().items():
            held = found[f"{moved.gtin:014d}", moved.lot]
            held[NAME_OF[moved.debit]] -= moved.packs * times
            held[NAME_OF[moved.credit]] += moved.packs * times
        named = {lot: {place: packs for place, packs in held.items() if packs} for lot, held in found.items()}
        return {lot: places for lot, places in named.items() if places}

    def net_flows(self) -> Flows:
        found: Counter[tuple[str, str, str, str, str]] = Counter()
        for moved, times in self.moves().items():
            ends = (NAME_OF[moved.debit], NAME_OF[moved.credit])
            found[f"{moved.gtin:014d}", moved.lot, moved.on.isoformat(), *ends] += moved.packs * times
        return {flow: packs for flow, packs in found.items() if packs}

    def facts(self) -> dict[tuple[str, str], dict[str, Any]]:
        standing = [(moved, times) for moved, times in self.moves().items() if times > 0]
        return {
            (f"{gtin:014d}", lot): _facts([item for item in standing if (item[0].gtin, item[0].lot) == (gtin, lot)])
            for gtin, lot in {(moved.gtin, moved.lot) for moved in self.moves()}
        }


def _named(record: Consumed) -> tuple[str, str]:
    assert record.event is not None
    return record.event.source, record.event.id


def _facts(standing: Sequence[tuple[Transfer, int]]) -> dict[str, Any]:
    """Origin, expiry and first supply of a lot by the transfers that stand, each with how often it does."""
    brought = [moved for moved, _ in standing if introduces(moved.debit)]
    counts: Counter[str] = Counter()
    for moved, times in standing:
        counts[NAME_OF[moved.debit]] += times
    days = {
        "introduced_on": min((moved.on for moved in brought), default=None),
        "expires_on": min((moved.expires_on for moved in brought if moved.expires_on), default=None),
        "supplied_on": min((moved.on for moved, _ in standing if supplies(moved.debit, moved.credit)), default=None),
    }
    found = {name: counts[name] for name in ("produced", "imported")}
    return found | {name: str(day) for name, day in days.items() if day is not None}


def ledger(events: Iterable[JSON], cuts: Sequence[int] = ()) -> DictLedger:
    """The ledger after `events` in this order; a new batch begins at each index of `cuts`."""
    found, held = DictLedger(), claim()
    messages = [message(told, offset) for offset, told in enumerate(events)]
    edges = sorted({0, len(messages), *(cut for cut in cuts if cut < len(messages))})
    for start, end in pairwise(edges):
        found.write(decoded(messages[start:end], held))
    return found


def assert_like_the_reference(found: DictLedger, events: Sequence[JSON]) -> None:
    assert_like_the_book(found, Book(events))


def assert_like_the_book(found: DictLedger, book: Book) -> None:
    """The same balances, flows and facts of lots as the plain fold; what nets to nothing may stand or not."""
    balances = {lot: {place: packs for place, packs in held.items() if packs} for lot, held in book.balances.items()}
    assert found.balances() == {lot: places for lot, places in balances.items() if places}
    assert found.net_flows() == {flow: packs for flow, packs in book.flows.items() if packs}
    nothing = {"produced": 0, "imported": 0}
    facts = found.facts()
    assert {lot: held for lot, held in facts.items() if held != nothing} == {
        lot: held for lot, held in book.facts.items() if held != nothing
    }
    assert all(sum(places.values()) == 0 for places in found.balances().values())
