"""Measures pages of supply over a running service that holds a ledger: each page many times, one after the other.

A page counts if it is there and is what a person would see; nobody but the one who asks is at the service.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable
from html import unescape
from random import Random
from typing import Any, Final

import aiohttp
from yarl import URL

from bench.expected import Wrong
from bench.ground import Ground
from bench.movements import SEED, gtins

TIMES: Final = 100
FIRST_TIMES: Final = 3  # of each page, not counted: charts are drawn once
GOAL: Final = "vn-2030-domestic-volume"
EVALUATED_TIMEOUT_SECONDS: Final = 180.0
HTTP_TIMEOUT_SECONDS: Final = 30.0
_LOT: Final = re.compile(r'href="(/lots/[^"]+)"')
_EVENT: Final = re.compile(r'href="(/events/[^"]+)"')


def pages(ground: Ground, name: str, records: int, products: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The service `name` holds `records` movements. Raises Wrong."""
    took = asyncio.run(_asked(ground, name, products, tell))
    shown = {page: _milliseconds(seconds) for page, seconds in took.items()}
    return {
        "what": f"each page {TIMES} times, as a browser asks for it, one after the other over one connection",
        "movements": records,
        "pages": shown,
        "worst_p95_ms": max(one["p95_ms"] for one in shown.values()),
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(one * 1000 for one in seconds)
    worst = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return {"p50_ms": round(statistics.median(ordered), 1), "p95_ms": round(worst, 1), "max_ms": round(ordered[-1], 1)}


async def _asked(ground: Ground, name: str, products: int, tell: Callable[[str], None]) -> dict[str, list[float]]:
    headers = {"Authorization": f"Bearer {ground.viewer}", "Accept": "text/html"}
    timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_SECONDS)
    drawn, known = Random(SEED), gtins(products)
    async with aiohttp.ClientSession(ground.url(name), timeout=timeout, headers=headers, trust_env=False) as http:
        tell("waiting for the evaluation")
        await _evaluated(http)
        some = [drawn.choice(known) for _ in range(TIMES + FIRST_TIMES)]
        lots = [await _link(http, f"/products/{gtin}", _LOT) for gtin in some]
        events = [await _link(http, lot, _EVENT) for lot in lots]
        asked: dict[str, list[str]] = {
            **{page: [page] for page in ("/", f"/goals/{GOAL}", "/shares", "/products", "/obligations", "/anomalies")},
            "/agreements": ["/agreements"],
            "/products?q=": [f"/products?q={gtin[5:]}" for gtin in some],
            "/products/{gtin}": [f"/products/{gtin}" for gtin in some],
            "/lots/{gtin}/{lot}": lots,
            "/events/{source}/{id}": events,
        }
        took: dict[str, list[float]] = {}
        for page, addresses in asked.items():
            tell(page)
            for number in range(TIMES + FIRST_TIMES):
                seconds, _ = await _get(http, addresses[number % len(addresses)])
                if number >= FIRST_TIMES:
                    took.setdefault(page, []).append(seconds)
    return took


async def _evaluated(http: aiohttp.ClientSession) -> None:
    limit = time.monotonic() + EVALUATED_TIMEOUT_SECONDS
    while f'href="/goals/{GOAL}"' not in (await _get(http, "/"))[1]:
        if time.monotonic() > limit:
            raise Wrong(f"no goal is shown after {EVALUATED_TIMEOUT_SECONDS:.0f} s")
        await asyncio.sleep(1)


async def _link(http: aiohttp.ClientSession, address: str, pattern: re.Pattern[str]) -> str:
    """The first of its links of that kind."""
    found = pattern.search((await _get(http, address))[1])
    if found is None:
        raise Wrong(f"{address} leads nowhere")
    return unescape(found[1])


async def _get(http: aiohttp.ClientSession, address: str) -> tuple[float, str]:
    began = time.perf_counter()
    async with http.get(URL(address, encoded=True)) as answer:
        text = await answer.text()
    seconds = time.perf_counter() - began
    if answer.status != 200 or "<main" not in text:
        raise Wrong(f"{address}: {answer.status} {text[:300]!r}")
    return seconds, text
