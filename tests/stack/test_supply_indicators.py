"""Every indicator of every scope is, to the last decimal, what a plain script makes of the same journal."""

from __future__ import annotations

import json
from datetime import date
from random import Random

import pytest

from services.supply.asof import cut_now
from services.supply.claims import claim
from services.supply.figures import text
from services.supply.goal_files import load_goals
from services.supply.indicators import INDICATORS, measure
from services.supply.journal import Advance, Journal
from services.supply.kept import Kept
from services.supply.known_facts import KnownFacts
from services.supply.market import Market
from services.supply.measure import market, picture, windows_of
from services.supply.origin import Origins
from services.supply.reading import Reading
from services.supply.reads import sales_at, sales_now
from services.supply.trades import ALL, trades_at
from shared import topics
from shared.settings import ROOT
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
        if not told:
            continue
        messages = [message(event, mine.next_offset + at)._replace(topic=topic) for at, event in enumerate(told)]
        old = mine.next_offset
        records = decoded_batch(messages, {(topic, number): mine}).records
        step = Advance(mine.topic_id, mine.partition, mine.epoch, old, mine.next_offset, mine.chain)
        await Journal(world.one).write([step], records)


MOVING = ("batch", "import", "export", "stock", "consumption", "recall", "event")


async def journalled(world: World) -> list[JSON]:
    """The events in the raw bytes of the journal's records, in the order of their places."""
    rows = await world.one.fetch(
        "SELECT headers, value FROM journal WHERE seq = 0 ORDER BY topic_id, partition, kafka_offset"
    )
    found: list[JSON] = []
    for headers, value in rows:
        told = unpacked(headers)
        about = {name: told[f"ce_{name}"] for name in ("type", "source", "id", "time")}
        found.append({**about, "data": json.loads(value)})
    return found


def unpacked(packed: bytes) -> dict[str, str]:
    """Headers as the journal keeps them: how many, then each name and value after its length (32 bits, big-endian)."""
    found: list[str] = []
    at = 4
    while at < len(packed):
        length = int.from_bytes(packed[at : at + 4], "big")
        found.append(packed[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_indicator_is_what_a_plain_script_makes_of_the_journal(world: World, seed: int) -> None:
    drawn = Random(seed)
    events = [*registry(drawn), *movements(drawn, 420)]
    await recorded(world, *events)
    plain = Plain.of(await journalled(world))
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


GOALS = load_goals(ROOT / "deploy/goals")
ON = date(2026, 7, 1)


async def test_what_is_worked_out_bit_by_bit_is_what_is_worked_out_at_once(world: World) -> None:
    """An evaluation that reads only the products of which something was recorded tells the same as one that begins."""
    drawn = Random(5)
    events = movements(drawn, 300)
    parts = [events[start : start + 40] for start in range(0, len(events), 40)]
    facts, reading = KnownFacts(), Reading()
    kept, told = Kept(STEPS, windows_of(GOALS)), dict[str, object]()
    partly = 0
    await recorded(world, *registry(drawn))
    for part in parts:
        few = part[:5] if drawn.random() < 0.5 else part  # of few products, or of all
        for chunk in (few, part[len(few) :]):
            await recorded(world, *chunk)
            async with world.other.acquire() as connection, connection.transaction(isolation="repeatable_read"):
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
                cut = await cut_now(connection)
                known = await facts.registry(connection, cut)
                ledger = await reading.ledger(connection, cut, ON, known)
                alone = await Reading().ledger(connection, cut, ON, known)
            now = picture(ledger, GOALS, {}, kept, frozenset())
            partly += now.fresh is not None
            told = {**{name: data for name, data in told.items() if of_product(name)}, **now.subjects()}
            assert told == picture(alone, GOALS, {}, Kept(STEPS, windows_of(GOALS))).subjects()
    assert partly > 3


def of_product(subject: str) -> bool:
    return subject.startswith("indicator/") and ("/gtin:" in subject or "/substance:" in subject)
