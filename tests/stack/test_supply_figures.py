"""A series of indicators is what is answered for each of its days alone, and few are worked out at once."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from random import Random
from typing import Any

import aiohttp
import pytest

from deploy.local.stack import Stack
from services.supply.indicators import INDICATORS
from tests.stack.supply_flood import flood
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.test_supply_exports import nobody_reads_the_journal
from tests.stack.waiting import eventually

JSON = dict[str, Any]
KINDS = "batch.produced batch.released export.shipped batch.destroyed stock.adjusted stock.returned".split()
MAX_SERIES = 2  # the default of the setting


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


async def test_every_day_of_a_series_is_answered_as_it_is_alone(
    http: aiohttp.ClientSession, credentials: JSON, ledger: Ledger
) -> None:
    maker = Sender(http, credentials, "manufacturer-1")
    (product,) = fresh_gtins(1)
    events = flood(maker.source, maker.gln, KINDS, [product], 600, seed=13)
    for told in events:
        told["id"] = f"{product}/{told['id']}"
        if "corrects" in told["data"]:
            told["data"]["corrects"]["id"] = f"{product}/{told['data']['corrects']['id']}"
    await maker.send(*events)
    known = await ledger.holds(maker)
    about = {"scope": f"gtin:{product}", "known": known}
    span = {"from": "2025-12-25", "to": "2026-07-01"}
    series = await ledger.items("/indicators", **about, **span, limit=411)
    first, days = date(2025, 12, 25), 189
    assert [item["on"] for item in series[:: len(INDICATORS)]] == [
        str(first + timedelta(days=at)) for at in range(days)
    ]
    volume = [item["inputs"]["domestic"] for item in series if item["name"] == "domestic_share_volume"]
    assert len(set(volume)) > 20
    for at in Random(3).sample(range(days), 12):
        on = str(first + timedelta(days=at))
        alone = (await ledger.get("/indicators", **about, effective=on))["items"]
        assert [item for item in series if item["on"] == on] == alone


async def test_a_few_series_are_under_way_at_once_and_no_more(stack: Stack, ledger: Ledger) -> None:
    span = {"name": "domestic_share_volume", "from": "2026-01-01", "to": "2026-02-01"}
    async with nobody_reads_the_journal(stack) as server:
        under_way = [asyncio.create_task(ledger.get("/indicators", **span)) for _ in range(MAX_SERIES)]
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'FROM journal'"

        async def waiting() -> bool:
            await server.execute("SELECT pg_stat_clear_snapshot()")
            return bool(await server.fetchval(query) >= MAX_SERIES)

        await eventually(waiting)
        status, problem, headers = await ledger.call("/indicators", **span)
        assert (status, problem["title"]) == (429, "Too Many at Once")
        assert int(headers["Retry-After"]) > 0
    answers = await asyncio.gather(*under_way)
    assert [len(answer["items"]) for answer in answers] == [32 * len({i["scope"] for i in answers[0]["items"]})] * 2
