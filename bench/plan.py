"""Runs the measurements in turn on one ground, and keeps what each came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench import rate
from bench.alerts import alerts
from bench.alerts_latency import latency
from bench.as_of import as_of
from bench.edge import edge
from bench.expected import NOTHING
from bench.fill import fill
from bench.ground import Ground
from bench.ingest import ingest
from bench.movements import Market
from bench.pages import pages
from bench.rebuild import rebuild
from bench.registry import fill_registry
from bench.report import contestant
from bench.watch import Measured, TooShort, peak_memory_mb
from deploy.local.progress import Steps

RATE, TWO, AS_OF, PAGES, REBUILD, HISTORY = OF_THE_LEDGER = ("rate", "two", "as_of", "pages", "rebuild", "history")
ALERTS, LATENCY = OF_ALERTS = ("alerts", "latency")
INGEST, EDGE = WAYS_IN = ("ingest", "edge")
ALL: Final = (*OF_THE_LEDGER, *OF_ALERTS, *WAYS_IN)
EDGE_RECORDS_AN_EVENT: Final = 2
TRIAL_SHARE: Final = 0.12


class Asked(msgspec.Struct, frozen=True):
    """What is to be measured: records of one chunk, rounds, which of `ALL`, and how many chunks make the history."""

    events: int = 500_000
    rounds: int = 3
    only: tuple[str, ...] = ALL
    history_chunks: int = 10


class Bench:
    """The measurements on one ground, in the order in which the topic grows."""

    def __init__(self, ground: Ground, asked: Asked, steps: Steps) -> None:
        self.ground, self.asked, self._steps = ground, asked, steps
        self.market = Market(asked.events)
        self.results: dict[str, Any] = {}
        self.not_measured: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.expected = NOTHING
        self._peaks: list[float] = []

    def run(self) -> None:
        """Everything asked for. Raises Wrong, Failed, NotWritten or Unsafe: then nothing is told."""
        with self._steps.step("an empty database"):
            self.settings = asyncio.run(self.ground.prepare())
        if set(self.asked.only) & set(OF_THE_LEDGER):
            self._fill("filling the topic", range(1))
        if RATE in self.asked.only:
            self._rates()
        if TWO in self.asked.only:
            self._two()
        if {AS_OF, PAGES, REBUILD, HISTORY} & set(self.asked.only):
            self._past()
        if self._peaks:
            self.results["memory"] = {"supply_peak_mb": max(self._peaks)}
        if ALERTS in self.asked.only:
            self.results |= alerts(self.ground, self.asked.rounds, self._steps)
        if LATENCY in self.asked.only:
            self.results[LATENCY] = latency(self.ground, self._steps)
        # Last: what the ways in send is in the topics for good.
        if INGEST in self.asked.only:
            self.results |= ingest(self.ground, self.asked.rounds, self._steps)
        if EDGE in self.asked.only:
            records = EDGE_RECORDS_AN_EVENT * self.asked.events
            self.results |= edge(self.ground, records, self.asked.rounds, self._steps)[0]

    def _fill(self, title: str, chunks: range) -> None:
        wanted = len(chunks) * self.market.events
        with self._steps.step(title) as detail:
            written = 0

            def done(records: int) -> None:
                nonlocal written
                written += records
                detail(f"{written:,} of {wanted:,}")

            self.expected += fill(self.ground.kafka, self.market, chunks, done)

    # The rates.

    def _rates(self) -> None:
        batch, trials = self._best_batch()
        rounds: dict[str, list[Measured]] = {name: [] for name in rate.CONTESTANTS}
        runs: dict[str, Callable[[rate.Advanced], Measured]] = {
            rate.DEFAULT_WAY: lambda told: rate.default_way(self.ground, self.expected, batch, told),
            rate.CEILING: lambda told: rate.ceiling(self.ground, self.expected, told),
            rate.SUPPLY: lambda told: rate.supply(self.ground, self.expected, told),
        }
        for number in range(1, self.asked.rounds + 1):
            for name, run in runs.items():
                rounds[name].append(self._timed(f"{name}, round {number} of {self.asked.rounds}", run))
        more: dict[str, dict[str, Any]] = {
            rate.DEFAULT_WAY: {"batch_records": batch, "tried": trials},
            rate.CEILING: {"batch_records": rate.CEILING_BATCH_RECORDS},
        }
        for name, what in rate.CONTESTANTS.items():
            self.results[name] = contestant(what, rounds[name], **more.get(name, {}))
        self._peaks += [one.peak_memory_mb for one in rounds[rate.SUPPLY]]

    def _best_batch(self) -> tuple[int, dict[str, int]]:
        """The default way's best batch over the beginning of the topic, and the rate of each that was tried."""
        records = max(1, int(self.asked.events * TRIAL_SHARE))
        trials = {}
        for batch in rate.DEFAULT_WAY_BATCHES:
            with self._steps.step(f"default_way in batches of {batch}"):
                trials[batch] = rate.default_way_for(self.ground, records, batch).rate
        best = max(trials, key=lambda batch: trials[batch])
        return best, {str(batch): round(found) for batch, found in trials.items()}

    def _timed(self, title: str, run: Callable[[rate.Advanced], Measured]) -> Measured:
        with self._steps.step(title) as detail:
            measured = run(lambda stands: detail(f"{stands:,} of {self.expected.records:,}"))
        self._steps.say(f"  {measured.rate:,.0f} movements a second, as the reference fold has it")
        return measured

    def _two(self) -> None:
        """Two processes of the service on disjoint partitions, beside one."""
        try:
            found = self._timed(
                "two processes", lambda told: rate.supply(self.ground, self.expected, told, processes=2)
            )
        except TooShort as reason:
            self.not_measured[TWO] = str(reason)
            return
        one = self.results.get(rate.SUPPLY, {}).get("rate", {}).get("median")
        self.results["two_processes"] = {
            **contestant("two processes of the service share the partitions", [found]),
            "to_one": None if one is None else round(found.rate / one, 3),
        }

    # What needs a ledger with a past: one service process takes in twice the movements, and more.

    def _past(self) -> None:
        self._fill("filling the topic further", range(1, 2))
        with self._steps.step("registering the products"):
            fill_registry(self.ground.kafka, self.market.products)
        self.ground.fresh()
        self._taken_in("taking in what is asked about", ask=True)
        if REBUILD in self.asked.only:
            with self._steps.step("rebuild"):
                self.results[REBUILD] = rebuild(self.ground, self.expected)
        if HISTORY in self.asked.only:
            self._history()

    def _taken_in(self, title: str, ask: bool = False) -> Measured:
        """The service goes on from where the ledger stands to the end of the topic; then it is asked, if so wanted."""
        self.ground.settle()
        name = self.ground.start_service()
        try:
            measured = self._timed(title, lambda told: rate.taken_in(self.ground, name, self.expected, told))
            holds = (self.expected.records, self.market.products)
            if ask and AS_OF in self.asked.only:
                with self._steps.step("asking about the past") as detail:
                    self.results[AS_OF] = as_of(self.ground, name, *holds, detail)
            if ask and PAGES in self.asked.only:
                with self._steps.step("looking at pages") as detail:
                    self.results[PAGES] = pages(self.ground, name, *holds, detail)
            self._peaks.append(peak_memory_mb(self.ground, name))
        finally:
            self.ground.end(name)
        return measured

    def _history(self) -> None:
        """The rate over one more chunk when the history is there, beside the rate over one without any."""
        chunks = self.asked.history_chunks
        self._fill("filling the topic with history", range(2, chunks))
        taking = self._taken_in("taking in the history")
        there = self.expected.records
        found = []
        for number in range(chunks, chunks + self.asked.rounds):
            self._fill("filling one more stretch", range(number, number + 1))
            found.append(self._taken_in(f"on top of {self.expected.records - self.market.events:,}"))
        without = self.results.get(rate.SUPPLY, {}).get("rate", {}).get("median")
        with_it = contestant("the service on top of history that it took in itself", found)
        self.results[HISTORY] = {
            **with_it,
            "movements_there": there,
            "rate_while_taking_in": round(taking.rate),
            "rate_without": without,
            **({} if without is None else {"ratio": round(with_it["rate"]["median"] / without, 3)}),
        }
