"""Which lots there are and where they come from, as known at a cut: the same for every order of the same events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any, Final

import aiohttp
import pytest

from services.supply.asof import Cut
from services.supply.balances import Balance, Wanted, balance_of, balances
from services.supply.fold import MOVEMENTS_TOPIC_ID
from services.supply.known_facts import KnownFacts
from services.supply.origin import Origin, Origins
from services.supply.reads import sales_at, sales_now
from services.supply.supplied import supplied
from tests.reference import JSON
from tests.stack.supply_world import World, claimed, write
from tests.stack.test_supply_export_readers import served
from tests.supply_given import GTIN, MAKER, SOURCE, TIME, correction, event, gtin

DAY: Final = date(2026, 6, 30)
STEPS: Final = frozenset({"full", "fill_finish"})
LATER: Final = "2026-01-06T03:00:00Z"


class Asking:
    """The answers about one world whose only partition has `records` records (None: all)."""

    def __init__(self, world: World, facts: KnownFacts, records: int) -> None:
        self._world = world
        self._facts = facts
        self.cut = Cut(1, datetime.now(UTC), (MOVEMENTS_TOPIC_ID,), (0,), (records,))

    async def lots(self, limit: int = 1, **wanted: Any) -> list[Balance]:
        """Page by page."""
        found: list[Balance] = []
        after: tuple[int, str] | None = (-1, "")
        async with self._world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            origins = Origins(await self._facts.registry(connection, self.cut), STEPS)
            while after is not None:
                about = (self.cut, DAY, origins, Wanted(**wanted))
                page, after = await balances(connection, *about, after=after, limit=limit)
                assert len(page) == limit or after is None
                found += page
        return found

    async def names(self, **wanted: Any) -> list[str]:
        return [item.lot.lot for item in await self.lots(**wanted)]

    async def one(self, lot: str) -> Balance | None:
        async with self._world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            origins = Origins(await self._facts.registry(connection, self.cut), STEPS)
            return await balance_of(connection, self.cut, DAY, origins, (int(GTIN), lot))

    async def origins(self) -> dict[str, Origin]:
        """By lot, as every part of the ledger tells it."""
        told = {item.lot.lot: item.origin for item in await self.lots()}
        async with self._world.one.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            registry = await self._facts.registry(connection, self.cut)
            seen = [await sales_at(connection, self.cut, DAY, registry)]
            if self.cut.next_offsets == (await connection.fetchval("SELECT next_offset FROM positions"),):
                seen.append(await sales_now(connection, DAY, registry))
        for sold in seen:
            assert {lot.lot: Origins(registry, STEPS).of(lot) for lot in sold.lots} == told
            packs = supplied(sold.lots, Origins(registry, STEPS), DAY, "ever")
            assert {origin for _, origin in packs} <= set(told.values())
        return told


async def written(world: World, *events: JSON) -> list[Asking]:
    """What is known after each event."""
    held = await claimed(world.one, "one")
    for told in events:
        await write(world.one, held, told)
    facts = KnownFacts()
    end = held.next_offset
    return [Asking(world, facts, records) for records in range(end - len(events) + 1, end + 1)]


RELEASED: Final = event("batch.released", "o", lot="A")
TO_B: Final = correction("c1", RELEASED, event("batch.released", "", lot="B"))
TO_C: Final = correction("c2", RELEASED, event("batch.released", "", lot="C"), time=LATER)


@pytest.mark.parametrize("order", list(permutations((RELEASED, TO_B, TO_C))))
async def test_a_lot_of_which_all_was_taken_back_is_not_shown(world: World, order: Sequence[JSON]) -> None:
    asking = (await written(world, *order))[-1]
    assert await asking.names() == await asking.names(gtin=int(GTIN)) == ["C"]
    assert await asking.names(lot="B") == []


async def test_packs_that_moved_there_and_back_were_there(world: World) -> None:
    """Nothing is left of them in any place, and yet nobody took anything back."""
    used = event("consumption.reported", "u", lot="A")
    (*_, asking) = await written(world, used, event("stock.returned", "r", lot="A"))
    assert (await asking.names(), (await asking.lots())[0].lot.packs) == (["A"], (0,) * 11)


@pytest.mark.parametrize("mark", ["batch.recalled", "recall.closed", "stock.counted"])
async def test_a_lot_that_only_a_mark_names_is_shown_while_the_mark_stands(world: World, mark: str) -> None:
    told = event(mark, "m", lot="M")
    events = (told, event("batch.released", "r", lot="N"), event("batch.released", "s", gtin=gtin(2), lot="M"))
    marked, *_, last = await written(world, *events, correction("c", told))
    assert await marked.names() == ["M"]
    assert await last.names() == ["N", "M"]
    (*_, before_last) = await written(world, event(mark, "n", lot="Z"), event(mark, "p", lot="A"))
    assert await before_last.names() == await before_last.names(limit=2) == ["A", "N", "Z", "M"]
    assert await before_last.names(origin="unknown", products=frozenset({int(GTIN)})) == ["A", "N", "Z"]
    found = await before_last.one("Z")
    assert found is not None and found.origin == "unknown"
    assert await before_last.one("Y") is None


def grant(authorisation: str, step: str, **told: Any) -> JSON:
    product = {"name": "M", "substance": "m", "atc": "A10BA02", "form": "tablet", "class": "generic"}
    data = {
        "authorisation": authorisation,
        "product": product,
        "packs": [{"gtin": GTIN, "pack_size": 30}],
        "origin": "domestic",
        "local_step": step,
        "holder": MAKER,
        "manufacturer": MAKER,
        "granted_on": "2024-01-01",
        "expires_on": "2029-01-01",
        **told,
    }
    head = {"specversion": "1.0", "id": authorisation, "source": SOURCE, "time": TIME}
    return {**head, "type": "supply.registration.granted.v1", "data": data}


def made(lot: str, under: str | None) -> JSON:
    return event("batch.produced", lot, lot=lot, authorisation=under)


def released(lot: str) -> JSON:
    return event("batch.released", f"{lot}/r", lot=lot)


async def test_a_lot_that_was_only_packed_here_is_import_in_every_answer(world: World) -> None:
    before, _, after = await written(world, made("A", None), released("A"), grant("VD-1", "packaging"))
    assert (await before.origins(), await after.origins()) == ({"A": "domestic"}, {"A": "import"})
    assert (await after.names(origin="import"), await after.names(origin="domestic")) == (["A"], [])
    found = await after.one("A")
    assert found is not None and found.origin == "import"


async def test_of_several_authorisations_a_lot_is_made_under_the_one_that_its_production_names(world: World) -> None:
    full, packed = grant("VD-1", "full"), grant("VD-2", "packaging", granted_on="2025-01-01")
    first, second = made("A", "VD-1"), made("B", "VD-2")
    asking = await written(
        world,
        *(full, packed, first, second, made("C", None), *map(released, "ABC")),
        correction("c1", first, made("A", "VD-2")),
        correction("c2", second, made("B", "VD-1")),
        correction("c3", first, made("D", "VD-1"), time=LATER),
    )
    told = [await item.origins() for item in asking[7:]]
    assert told[0] == {"A": "domestic", "B": "import", "C": "import"}
    assert told[1] == {"A": "import", "B": "import", "C": "import"}
    assert told[2] == {"A": "import", "B": "domestic", "C": "import"}
    assert told[3] == {"A": "unknown", "B": "domestic", "C": "import", "D": "domestic"}


async def test_no_answer_has_more_items_than_the_setting(world: World, http: aiohttp.ClientSession) -> None:
    await written(world, *(event("batch.released", lot, lot=lot) for lot in "ABCDE"))
    async with world.one.acquire() as connection:
        places = '[{"topic_id": 1, "partition": 0, "next_offset": 5}]'
        await connection.execute("INSERT INTO checkpoints (n, at, places) VALUES (1, now(), $1)", places)
    async with served(world, page_limit=2) as (port, key):

        async def asked(query: str) -> tuple[int, JSON]:
            url, headers = f"http://127.0.0.1:{port}/balances{query}", {"Authorization": f"Bearer {key}"}
            async with http.get(url, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        pages = [await asked(query) for query in ("", "?limit=2", "?limit=1")]
        assert [(status, len(body["items"])) for status, body in pages] == [(200, 2), (200, 2), (200, 1)]
        status, problem = await asked("?limit=3")
        assert (status, problem["errors"][0]["field"]) == (422, "limit")
        assert (await asked("?limit=0"))[0] == 422
