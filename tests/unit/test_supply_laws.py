"""The laws of the ledger on its pure core: whatever is said, twice, late, in whatever order, corrected or contradicted,
it comes to what the plain fold of tests/reference.py comes to."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from services.supply.claims import TOPIC_IDS, Claim
from services.supply.record import CHAIN_START
from tests.laws import PLACES, Log, Telling, cut
from tests.long_run import Say, run, steps_wanted
from tests.reference import CORRECTED, JSON, Book, Key
from tests.supply_given import Message
from tests.unit.supply_ledger import DictLedger, assert_like_the_book, decoded_batch

STEPS_IN_CI = 1_850


class OnDicts(Telling):
    """The pure core: decoding, look-up and fold are the service's own, the tables are dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = DictLedger()
        self.claims = claims()

    def consume(self, how: int) -> None:
        if not self.inbox:
            return
        for batch in cut(self.inbox, how):
            write(self.ledger, self.claims, [record for record, _ in batch])
            self.recorded += [event for _, event in batch]
        self.inbox = []
        assert_lawful(self.ledger, Book(self.recorded))

    @rule(order=st.integers(0, 2**32 - 1))
    def the_same_in_another_order_and_other_batches(self, order: int) -> None:
        """And some of it again. Of two events with one id the one that was recorded first stays the first."""
        drawn = Random(order)
        told = [*self.recorded, *drawn.choices(self.recorded, k=len(self.recorded) // 5)]
        other, held, log = DictLedger(), claims(), Log()
        records = [log.append(event) for event in first_of_each_id_first(drawn.sample(told, len(told)), self.recorded)]
        for batch in cut(records, drawn.randrange(5)):
            write(other, held, batch)
        assert summary(other) == summary(self.ledger)

    def teardown(self) -> None:
        for event in self.late:
            self.inbox.append((self.log.append(event), event))
        self.consume(3)
        self.the_same_in_another_order_and_other_batches(len(self.recorded))


def claims() -> dict[tuple[str, int], Claim]:
    return {place: Claim(place[0], TOPIC_IDS[place[0]], place[1], 1, 0, CHAIN_START) for place in PLACES}


def write(ledger: DictLedger, held: dict[tuple[str, int], Claim], records: Sequence[Message]) -> None:
    ledger.write(decoded_batch(records, held).records)


def first_of_each_id_first(shuffled: list[JSON], recorded: Sequence[JSON]) -> list[JSON]:
    """The same order, but where the id of several comes first, the one stands that was recorded first."""
    first: dict[Key, JSON] = {}
    for event in recorded:
        first.setdefault((event["source"], event["id"]), event)
    found: list[JSON] = []
    begun: set[Key] = set()
    for event in shuffled:
        key = (event["source"], event["id"])
        if key not in begun:
            found.append(first[key])
            begun.add(key)
        found.append(event)
    return found


def assert_lawful(ledger: DictLedger, book: Book) -> None:
    assert_like_the_book(ledger, book)
    assert ledger.recorded() == set(book.first)
    assert ledger.conflicts() == book.conflicts
    assert ledger.marks() == {key: (mark["type"], plain(mark["data"])) for key, mark in book.marks.items()}
    states = {key: book.state(key) for key, event in book.first.items() if event["type"] == CORRECTED}
    assert ledger.states() == states


def plain(data: JSON) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in (None, [])}


def summary(ledger: DictLedger) -> tuple[Any, ...]:
    """The state of which law 2 speaks; a lot of which nothing stands may be there or not."""
    facts = {lot: held for lot, held in ledger.facts().items() if held != {"produced": 0, "imported": 0}}
    about = (ledger.balances(), ledger.net_flows(), facts, ledger.marks(), ledger.states(), ledger.recorded())
    return (*about, ledger.conflicts())


def test_the_pure_core_keeps_the_laws(say: Say) -> None:
    wanted = steps_wanted("PURE", STEPS_IN_CI)
    assert run(OnDicts, "pure core", wanted, examples_a_round=25, say=say) >= wanted
