"""The laws of the ledger on the real PostgreSQL: the writer dies between any two statements, is taken for dead and
writes on, and begins again from the rows; it comes to what the plain fold comes to, and what was known stays known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from deploy.local.stack import Stack
from services.supply.anomalies import Anomaly, event_subject
from services.supply.asof import Cut, lots_at, lots_now, market_lots_at, reached_now
from services.supply.by_day import lot_days_at, lot_days_now, market_days_at
from services.supply.checkpoints import EMPTY
from services.supply.claims import TOPIC_IDS, TOPIC_OF, Claim, Place, claim
from services.supply.decode import Batch
from services.supply.facts import fact_of
from services.supply.fold import Verdict
from services.supply.journal import Journal, NotOwner
from services.supply.known_facts import KnownFacts
from services.supply.lot import LotState, MarketLot, market_lot
from services.supply.odd import CORRECTION_KINDS, RECORD_KINDS, earliest, odd_at, odd_since
from services.supply.origin import Origins
from services.supply.places import NAMES
from services.supply.registry import Registry
from services.supply.statements import event_answer
from shared.database import AWAY
from shared.events.reader import event_key
from tests.laws import DAYS, INDEX, PLACES, Telling, cut
from tests.long_run import Say, run, steps_wanted
from tests.reference import CORRECTED, JSON, Book, Key
from tests.stack.supply_mortal import Death, Ground, Mortal, ground
from tests.stack.supply_world import PATIENCE_MS
from tests.supply_given import Message, gtin
from tests.unit.supply_ledger import decoded_batch

T = TypeVar("T")
STEPS_IN_CI = 250
STATEMENTS = 26  # of one batch, at most; a death that is due later does not come
FATES = ["well", "well", "dies, tries the same again", "dies, begins again", "dies, begins again", "is superseded"]
LAST = date(2030, 1, 1)


class OnPostgres(Telling):
    """Decoding, claims and the journal's transaction are the service's own, on `ground`."""

    ground: ClassVar[Ground]
    runner: ClassVar[asyncio.Runner]
    deaths: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.wait(self.ground.clear())
        self.journal = Journal(self.ground.writers)
        self.claims = self.claimed()
        self.zombie: Batch | None = None
        self.facts = KnownFacts()
        self.answers: list[tuple[Cut, date, Any]] = []
        self.written = dict.fromkeys(PLACES, 0)
        self.odd: dict[str, Anomaly] = {}
        self.odd_until = EMPTY

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def claimed(self) -> dict[Place, Claim]:
        return self.wait(claim(self.ground.writers, PLACES, "one", PATIENCE_MS))

    def consume(self, how: int) -> None:
        """Every batch meets a fate of its own."""
        while self.inbox:
            size = len(cut(self.inbox, how)[0])
            self.write(self.inbox[:size], FATES[how % len(FATES)], how // 36 % STATEMENTS)
            how = how // 6 + 1
        self.assert_lawful()

    def write(self, batch: list[tuple[Message, JSON]], fate: str, statement: int) -> None:
        """Begins, meets its fate, and if the batch was not written by that, leaves it to the next try."""
        decoded = decoded_batch([message for message, _ in batch], self.claims)
        if fate == "is superseded":
            self.supersede(decoded)
            return
        death = Death(self.ground.server, statement) if fate != "well" else None
        error = self.attempt(decoded, death)
        if fate == "dies, tries the same again" and error is not None:
            if death is not None and death.committed:
                with pytest.raises(NotOwner):
                    self.wait(self.journal.write(decoded.advances, decoded.records))
            else:
                assert self.attempt(decoded, None) is None
                error = None
        if error is None or (death is not None and death.committed):
            self.note(batch)
        if error is not None:
            self.supersede(decoded)

    def attempt(self, decoded: Batch, death: Death | None) -> BaseException | None:
        """What the consumer would see: nothing, or that the database is away."""
        Mortal.death = death
        try:
            self.wait(self.journal.write(decoded.advances, decoded.records))
        except AWAY as error:
            assert death is not None and death.came
            OnPostgres.deaths += 1
            return error
        finally:
            Mortal.death = None
        assert death is None or not death.came
        return None

    def supersede(self, decoded: Batch) -> None:
        """Another claims; whoever held the claim before can write nothing any more."""
        self.claims = self.claimed()
        assert {place: held.next_offset for place, held in self.claims.items()} == self.written
        self.zombie = decoded

    def note(self, batch: list[tuple[Message, JSON]]) -> None:
        self.recorded += [event for _, event in batch]
        for message, _ in batch:
            self.written[message.topic, message.partition] = message.offset + 1
        self.inbox = self.inbox[len(batch) :]

    @rule()
    def a_former_owner_writes_on(self) -> None:
        if self.zombie is not None:
            with pytest.raises(NotOwner):
                self.wait(self.journal.write(self.zombie.advances, self.zombie.records))
            self.assert_lawful()

    @rule(day=st.sampled_from([*DAYS, "2030-01-01"]))
    def an_answer_is_given(self, day: str) -> None:
        """At a checkpoint; and those given before are given again."""
        taken, on = self.newest(), date.fromisoformat(day)
        answer = self.wait(self.known(taken, on))
        self.assert_answer(answer[0], answer[1], day)
        self.answers.append((taken, on, answer))
        self.wait(self.assert_series(taken))
        for before, effective, known in self.answers:
            assert self.wait(self.known(before, effective)) == known

    @rule(which=INDEX)
    def somebody_asks_what_became_of_an_event(self, which: int) -> None:
        self.assert_told(self.said[which % len(self.said)], Book(self.recorded))

    def teardown(self) -> None:
        for event in self.late:
            self.inbox.append((self.log.append(event), event))
        self.consume(0)
        self.an_answer_is_given("2030-01-01")
        book = Book(self.recorded)
        for event in self.said[:5]:
            self.assert_told(event, book)

    def newest(self) -> Cut:
        topic_ids = tuple(TOPIC_IDS[topic] for topic, _ in PLACES)
        offsets = tuple(self.written[place] for place in PLACES)
        return Cut(1, datetime.now(UTC), topic_ids, tuple(number for _, number in PLACES), offsets)

    async def known(self, at: Cut, on: date) -> tuple[list[LotState], list[MarketLot], tuple[Any, ...]]:
        """What the ledger answers: lots, the market's part of them, the registry."""
        eye = self.ground.eye
        async with eye.transaction(isolation="repeatable_read", readonly=True):
            market = in_order(await market_lots_at(eye, at, on))
            registry = await self.facts.registry(eye, at)
            for product in (int(gtin(number)) for number in (1, 2)):
                alone = await self.facts.registry_of(eye, at, product)
                assert of_product(alone, product) == of_product(registry, product)
            return await lots_at(eye, at, on), market, shown(registry)

    async def assert_series(self, at: Cut) -> None:
        """The market day after day is what it is on each day alone."""
        days = sorted({date.fromisoformat(day) for day in DAYS} | {LAST})
        async with self.ground.eye.transaction(isolation="repeatable_read", readonly=True):
            registry = await self.facts.registry(self.ground.eye, at)
            origins = Origins(registry, frozenset({"full", "fill_finish"}))
            async for sold in market_days_at(self.ground.eye, at, days, "ever", origins, (), 10):
                alone = await market_lots_at(self.ground.eye, at, sold.on)
                assert in_order(sold.lots) == in_order(
                    lot for lot in alone if lot.supplied_on is not None and lot.supplied_on <= sold.on
                )

    def assert_answer(self, lots: list[LotState], market: list[MarketLot], day: str) -> None:
        """The balances up to a day are the sums of the flows up to it; the derived tables say the same."""
        book = Book(self.recorded)
        expected = {lot: dict.fromkeys(NAMES, 0) for lot in book.facts}
        for (product, lot, on, debit, credit), packs in book.flows.items():
            if on <= day:
                expected[product, lot][debit] -= packs
                expected[product, lot][credit] += packs
        found = {(f"{item.gtin:014d}", item.lot): item.places() for item in lots}
        assert without_nothing(found) == without_nothing(expected)
        assert self.wait(lots_now(self.ground.eye, date.fromisoformat(day))) == lots
        reached = self.wait(reached_now(self.ground.eye, date.fromisoformat(day)))
        assert market == in_order(market_lot(lot, reached.get((lot.gtin, lot.lot), 0)) for lot in lots)

    def assert_told(self, event: JSON, book: Book) -> None:
        key = (event["source"], event["id"])
        told = self.wait(self.told(key))
        if key not in book.first:
            assert told is None
            return
        assert told is not None
        by = {(item["source"], item["id"]) for item in told["corrected_by"]}
        assert by == set(book.corrections.get(key, ()))
        assert ("id_conflict" in {item["kind"] for item in told["anomalies"]}) == (key in book.conflicts)
        if book.first[key]["type"] == CORRECTED:
            assert told["state"] == book.state(key)

    async def told(self, key: Key) -> dict[str, Any] | None:
        async with self.ground.eye.transaction(isolation="repeatable_read", readonly=True):
            registry = await self.facts.registry(self.ground.eye, self.newest())
            return await event_answer(self.ground.eye, self.newest(), *key, registry)

    def assert_lawful(self) -> None:
        book = Book(self.recorded)
        self.wait(self.assert_inputs(book))
        self.wait(self.assert_derived(book))
        self.wait(self.assert_marks(book))

    async def assert_inputs(self, book: Book) -> None:
        """Positions, and every record in the chain; identities, corrections and marks, each once."""
        eye = self.ground.eye
        places = {(TOPIC_OF[row[0]], row[1]): (row[2], row[3]) for row in await eye.fetch(_POSITIONS)}
        assert places == {place: (end, self.log.chains[place][end]) for place, end in self.written.items()}
        rows = await eye.fetch(_RECORDS)
        expected = [
            (TOPIC_IDS[place[0]], place[1], offset, self.log.chains[place][offset + 1])
            for place in PLACES
            for offset in range(self.written[place])
        ]
        assert sorted(tuple(row[:4]) for row in rows) == sorted(expected)
        assert {row[5] for row in rows if row[4] == Verdict.CONFLICT} == {event_key(*key) for key in book.conflicts}
        of_type = {key: event["type"] for key, event in book.first.items()}
        corrections = {event_key(*key) for key, name in of_type.items() if name == CORRECTED}
        assert {row[0] for row in await eye.fetch("SELECT event_key FROM event_ids")} == {
            event_key(*k) for k in of_type
        }
        assert {row[0] for row in await eye.fetch("SELECT event_key FROM corrections")} == corrections

    async def assert_derived(self, book: Book) -> None:
        """Lots and flows as kept, and law 1: a kept balance is the sum of its transfers, and all are nothing."""
        eye = self.ground.eye
        flows = {
            (f"{row[0]:014d}", row[1], row[2].isoformat(), NAMES[row[3] - 1], NAMES[row[4] - 1]): row[5]
            for row in await eye.fetch(_FLOWS)
            if row[5]
        }
        assert flows == {flow: packs for flow, packs in book.flows.items() if packs}
        lots = {
            (f"{row[0]:014d}", row[1]): LotState(row[0], row[1], (0, *row[2:12]), *row[12:17])
            for row in await eye.fetch(_LOTS)
        }
        assert without_nothing({lot: state.places() for lot, state in lots.items()}) == without_nothing(
            {lot: dict(places) for lot, places in book.balances.items()}
        )
        assert all(sum(state.packs) == 0 for state in lots.values())
        origins = Origins(Registry(()), frozenset())
        for lot, state in lots.items():
            facts = book.facts.get(lot, {"produced": 0, "imported": 0})
            assert facts_of(state) == facts, lot
            assert origins.of(state) == book.origin(lot)
        assert book.facts.keys() <= lots.keys()
        keys = [(state.gtin, state.lot) for state in lots.values()]
        async with eye.transaction():
            folded = await lots_at(eye, self.newest(), LAST)
            days = await lot_days_at(eye, self.newest(), keys)
        assert folded == sorted(lots.values(), key=lambda item: (item.gtin, item.lot))
        assert days == await lot_days_now(eye, keys)
        for state in lots.values():
            took_effect = days[state.gtin, state.lot]
            sums = [sum(day.available for day in took_effect), sum(day.quarantine for day in took_effect)]
            assert sums == [state.available, state.places()["quarantine"]]

    async def assert_marks(self, book: Book) -> None:
        """Registry facts and marks of lots, as corrections leave them; and what is odd in the records."""
        marks = ((mark["type"], json.dumps(mark["data"]), key) for key, mark in book.marks.items())
        moments = {key: datetime.fromisoformat(event["time"]) for key, event in book.first.items()}
        facts = [fact_of(type_, data, moments[key], *key) for type_, data, key in marks]
        async with self.ground.eye.transaction():
            assert shown(await self.facts.registry(self.ground.eye, self.newest())) == shown(Registry(facts))
        await self.assert_odd(book)

    async def assert_odd(self, book: Book) -> None:
        """What is odd about records: all of it, and the same by what changed from checkpoint to checkpoint."""
        states = {key: book.state(key) for key, event in book.first.items() if event["type"] == CORRECTED}
        expected = {
            "id_conflict": book.conflicts,
            "correction_conflict": {key for key, state in states.items() if state == "conflict"},
            "correction_without_original": {key for key, state in states.items() if state == "waiting"},
        }
        eye, cut = self.ground.eye, self.newest()
        async with eye.transaction():
            parts = [part async for part in odd_at(eye, cut, (*RECORD_KINDS, *CORRECTION_KINDS))]
            async for odd in odd_since(eye, self.odd_until, cut):
                self.odd = earliest([*self.odd.values(), *odd.open.values()])
                self.odd = {key: anomaly for key, anomaly in self.odd.items() if key not in odd.over}
        self.odd_until = cut
        found = earliest(anomaly for part in parts for anomaly in part)
        assert found.keys() == {f"{kind}/{event_subject(*key)}" for kind, keys in expected.items() for key in keys}
        assert self.odd == found


_POSITIONS = "SELECT topic_id, partition, next_offset, chain FROM positions"
_RECORDS = "SELECT topic_id, partition, kafka_offset, chain, verdict, event_key FROM journal WHERE seq = 0"
_FLOWS = "SELECT gtin, lot, effective_on, debit, credit, packs FROM flows"
_LOTS = (
    f"SELECT gtin, lot, {', '.join(NAMES)}, produced_count, imported_count, introduced_on, expires_on, supplied_on"
    " FROM lots"
)


def without_nothing(balances: dict[Key, dict[str, int]]) -> dict[Key, dict[str, int]]:
    named = {lot: {place: packs for place, packs in held.items() if packs} for lot, held in balances.items()}
    return {lot: places for lot, places in named.items() if places}


def facts_of(state: LotState) -> dict[str, Any]:
    """A lot's facts as the plain fold words them."""
    days = {name: getattr(state, name) for name in ("introduced_on", "expires_on", "supplied_on")}
    told = {name: day.isoformat() for name, day in days.items() if day is not None}
    return {"produced": state.produced_count, "imported": state.imported_count, **told}


def in_order(lots: Iterable[MarketLot]) -> list[MarketLot]:
    return sorted(lots, key=lambda item: (item.gtin, item.lot))


def shown(registry: Registry) -> tuple[Any, ...]:
    """What the registry says of this market."""
    marks = (
        {key: facts for key, facts in held.items() if facts} for held in (registry.recalls, registry.recalls_closed)
    )
    counts = {key: facts for key, facts in registry.counts.items() if facts}
    prices = [registry.price_on(int(gtin(number)), date.fromisoformat(day)) for number in (1, 2) for day in DAYS]
    return (*marks, counts, prices, registry.authorisations(LAST))


def of_product(registry: Registry, product: int) -> tuple[Any, ...]:
    """What the registry says of one product."""
    marks = [held.get(product) or [] for held in (registry.recalls, registry.recalls_closed)]
    counts = {key: facts for key, facts in registry.counts.items() if key[0] == product and facts}
    prices = [registry.price_on(product, date.fromisoformat(day)) for day in DAYS]
    steps = registry.local_steps.get(product, {})
    several = product in registry.of_several_steps
    return (*marks, counts, prices, steps, several, {name: registry.history(name) for name in steps})


def test_the_ledger_keeps_the_laws_through_crashes_at_any_statement(stack: Stack, say: Say) -> None:
    wanted = steps_wanted("POSTGRESQL", STEPS_IN_CI)
    with asyncio.Runner() as runner:
        opened = ground(stack)
        OnPostgres.runner, OnPostgres.ground = runner, runner.run(opened.__aenter__())
        try:
            assert run(OnPostgres, "PostgreSQL", wanted, examples_a_round=2, say=say) >= wanted
        finally:
            runner.run(opened.__aexit__(None, None, None))
    say(f"PostgreSQL: {OnPostgres.deaths} crashes between two statements")
    assert OnPostgres.deaths >= wanted // 40
