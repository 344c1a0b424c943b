"""Turns a scenario into the endless, ordered stream of what its firms say. Pure: the same data, the same stream."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from deploy.local.simulator.data import Scenario
from deploy.local.simulator.pace import Paces
from deploy.local.simulator.registry import Registry
from deploy.local.simulator.sales import Sales
from deploy.local.simulator.saying import Said
from deploy.local.simulator.shelf import Shelf
from shared.clock import start_of

ONE_DAY: Final = timedelta(days=1)
SAID_AGAIN_WITHIN_SECONDS: Final = 48 * 3600


def tell(scenario: Scenario) -> Iterator[Said]:
    """Every event in the order in which it is said, for ever; some are said twice, the very same."""
    waiting: list[tuple[datetime, int, Said]] = []
    rng = Random(f"{scenario.story.seed}/twice")
    number = 0
    for day, said_on_day in _days(scenario):
        for said in said_on_day:
            for copy in _perhaps_twice(said, rng, scenario.story.mishaps.said_twice):
                number += 1
                heapq.heappush(waiting, (copy.due, number, copy))
        while waiting and waiting[0][0] < start_of(day + ONE_DAY):
            yield heapq.heappop(waiting)[2]


def _perhaps_twice(said: Said, rng: Random, in_a_thousand: int) -> Iterator[Said]:
    yield said
    if rng.random() < in_a_thousand / 1000:
        yield said._replace(due=said.due + timedelta(seconds=rng.randint(60, SAID_AGAIN_WITHIN_SECONDS)))


def _days(scenario: Scenario) -> Iterator[tuple[date, list[Said]]]:
    """Each day and what is decided on it; some of it is said later."""
    paces, registry = Paces(scenario.story), Registry(scenario)
    markets = [
        (
            shelves := [Shelf(scenario, market, product, paces) for product in market.products],
            Sales(scenario, market, shelves),
        )
        for market in scenario.markets
    ]
    day = scenario.story.history_start
    while True:
        said = list(registry.on(day))
        for shelves, _ in markets:
            for shelf in shelves:
                said.extend(shelf.on(day))
        if (day + ONE_DAY).day == 1:
            for _, sales in markets:
                said.extend(sales.close_month(day))
        yield day, said
        day += ONE_DAY
