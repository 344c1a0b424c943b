"""Every indicator of every scope is, to the last decimal, what a plain script makes of the same journal."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest

from services.supply.asof import cut_now
from services.supply.claims import claim
from services.supply.figures import text
from services.supply.indicators import INDICATORS, measure
from services.supply.journal import Advance, Journal
from services.supply.known_facts import KnownFacts
from services.supply.market import Market
from services.supply.measure import market
from services.supply.origin import Origins
from services.supply.reads import sales_at, sales_now
from services.supply.trades import ALL, trades_at
from shared import topics
from tests.market_flood import PRODUCTS, SCOPES, movements, registry
from tests.plain_indicators import Plain
from tests.reference import JSON
from tests.stack.supply_world import PATIENCE_MS, World
from tests.supply_given import message
from tests.unit.supply_ledger import decoded_batch
from tests.unit.supply_market import STEPS

DAYS = (date(2025, 3, 1), date(2025, 12, 31), date(2026, 2, 28), date(2026, 7, 1))
PLACES = [(topics.MOVEMENTS, 0), (topics.REGISTRY, 0)]


async def recorded(world: World, *events: JSON) -> None:
    """Writes movements and registry facts as the consumer does."""
    held = await claim(world.one, PLACES, "one", PATIENCE_MS)
    records = []
    for topic, number in PLACES:
        mine = held[topic, number]
        told = [event for event in events if (event["type"].split(".")[1] in MOVING) == (topic == topics.MOVEMENTS)]
        messages = [message(event, mine.next_offset + at)._replace(topic=topic) for at, event in enumerate(told)]
        old = mine.next_offset
        records = decoded_batch(messages, {(topic, number): mine}).records
        step = Advance(mine.topic_id, mine.partition, mine.epoch, old, mine.next_offset, mine.chain)
        await Journal(world.one).write([step], records)


MOVING = ("batch", "import", "export", "stock", "consumption", "recall", "event")


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_indicator_is_what_a_plain_script_makes_of_the_journal(world: World, seed: int) -> None:
    drawn = Random(seed)
    events = [*registry(drawn), *movements(drawn, 420)]
    await recorded(world, *events)
    plain = Plain.of(events)
    async with world.other.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
        cut = await cut_now(connection)
        known = await KnownFacts().registry(connection, cut)
        origins = Origins(known, STEPS)
        several = [int(PRODUCTS[2]), int(PRODUCTS[5])]
        everything, some = await trades_at(connection, cut, ALL), await trades_at(connection, cut, ALL, several)
        assert {gtin: everything[gtin] for gtin in several} == some
        for on in DAYS:
            folded = market(await sales_at(connection, cut, on, known, ALL), "days_365", origins)
            kept = market(await sales_now(connection, on, known, ALL), "days_365", origins)
            compared(folded, kept, plain, on)


def compared(folded: Market, kept: Market, plain: Plain, on: date) -> None:
    for name in INDICATORS:
        for scope in SCOPES:
            found = measure(name, scope, folded)
            assert (text(found.value), found.why, text(found.coverage)) == plain.value(name, scope, on), (
                name,
                scope,
                on,
            )
            assert measure(name, scope, kept) == found
