"""Speaks to the running stack as producers and readers of the ledger do."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.stack import Stack
from services.supply.claims import TOPIC_IDS
from shared.events.cloudevent import BATCH
from tests.reference import JSON, Book
from tests.stack.waiting import eventually
from tests.supply_given import gtin

BATCH_EVENTS: Final = 250
RETRIES: Final = 60
PLACES: Final = (
    "produced imported quarantine available rejected exported consumed destroyed transformed adjusted".split()
)
# Far in the past, so that nothing depends on the day on which the tests run.
EFFECTIVE: Final = "2026-06-30"
Places = dict[tuple[str, int], int]


def fresh_gtins(count: int) -> list[str]:
    """Products that no other test uses."""
    first = random.randrange(10**6, 10**9 - count)
    return [gtin(number) for number in range(first, first + count)]


class Sender:
    """A producer that sends over HTTP; `places` is where Kafka holds its events: the next offset of each partition."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, name: str) -> None:
        self._http = http
        self._credentials = credentials
        self._key = credentials["producers"][name]["key"]
        self.gln: str = credentials["producers"][name]["gln"][0]
        self.source = f"urn:gln:{self.gln}"
        self.places: Places = {}

    async def send(self, *events: JSON) -> list[dict[str, Any]]:
        """Sends until accepted; while Kafka is away the same again, as the design says is safe."""
        accepted: list[dict[str, Any]] = []
        for start in range(0, len(events), BATCH_EVENTS):
            accepted += await self._send(events[start : start + BATCH_EVENTS])
        for item in accepted:
            place = (item["topic"], item["partition"])
            self.places[place] = max(self.places.get(place, 0), item["offset"] + 1)
        return accepted

    async def _send(self, events: Sequence[JSON]) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": BATCH}
        url, body = f"{self._credentials['ingest']}/events", json.dumps(events).encode()
        for _ in range(RETRIES):
            async with self._http.post(url, data=body, headers=headers) as answer:
                told = await answer.json(content_type=None)
                if answer.status == 202:
                    found: list[dict[str, Any]] = told["accepted"]
                    return found
                assert answer.status == 503, told["detail"]
        raise AssertionError(f"still refused after {RETRIES} times")


class Ledger:
    """The API of supply with a viewer's key."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, url: str | None = None) -> None:
        self._http = http
        self.url = url or credentials["supply"]
        self._headers = {"Authorization": f"Bearer {credentials['keys']['viewer']}"}

    async def call(self, path: str, **query: Any) -> tuple[int, dict[str, Any], Any]:
        """Status, JSON and headers of the answer."""
        asked = self._http.get(self.url + path, params=query, headers=self._headers)
        async with asked as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        status, body, _ = await self.call(path, **query)
        assert status == 200, body
        return body

    async def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every page."""
        found: list[dict[str, Any]] = []
        page = await self.get(path, **query)
        while True:
            found += page["items"]
            if page["next"] is None:
                return found
            page = await self.get(path, **query, cursor=page["next"])

    async def holds(self, *senders: Sender, timeout_seconds: float = 60) -> str:
        """Waits until a checkpoint has everything that `senders` were told is accepted; its moment."""

        async def covered() -> str | None:
            newest = (await self.get("/ledger/checkpoints", limit=1))["items"]
            if not newest:
                return None
            done = {(item["topic_id"], item["partition"]): item["next_offset"] for item in newest[0]["places"]}
            wanted = ((place, offset) for sender in senders for place, offset in sender.places.items())
            caught_up = all(done.get((TOPIC_IDS[topic], number), 0) >= end for (topic, number), end in wanted)
            return str(newest[0]["at"]) if caught_up else None

        found = await eventually(covered, timeout_seconds=timeout_seconds)
        assert found is not None
        return found

    async def balances(self, gtins: Iterable[str], known: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The lots of these products, read page by page through all there are."""
        wanted = set(gtins)
        items = await self.items("/balances", known=known, effective=EFFECTIVE, limit=400)
        return {(item["gtin"], item["lot"] or ""): item for item in items if item["gtin"] in wanted}


def assert_balances(found: dict[tuple[str, str], dict[str, Any]], book: Book) -> None:
    """Every lot as the plain fold has it; a lot of which nothing is left may stand with zeros, or not."""
    nothing = dict.fromkeys(PLACES, 0)
    for lot in found.keys() | book.balances.keys():
        expected = nothing | book.balances.get(lot, {})
        item = found.get(lot, {"places": nothing, "origin": "unknown"})
        assert item["places"] == expected, lot
        assert item["origin"] == book.origin(lot), lot


@asynccontextmanager
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """The ledger's own tables, as supply sees them."""
    connection = await asyncpg.connect(stack.postgres.url("supply"), server_settings={"search_path": "supply"})
    try:
        yield connection
    finally:
        await connection.close()


def kafka_login(stack: Stack, user: str, password: str) -> dict[str, Any]:
    told = stack.credentials["kafka"]
    return {
        "bootstrap_servers": told["bootstrap"],
        "security_protocol": told["security_protocol"],
        "sasl_mechanism": told["sasl_mechanism"],
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }


@asynccontextmanager
async def writer_of_trusted_topics(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    """What only ingest may be."""
    producer = AIOKafkaProducer(**kafka_login(stack, "ingest", stack.kafka_password("ingest")), acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def reader_of_trusted_topics(stack: Stack) -> AsyncIterator[AIOKafkaConsumer]:
    """From the beginning of every partition of both."""
    login = kafka_login(stack, "supply", stack.kafka_password("supply"))
    consumer = AIOKafkaConsumer(
        *TOPIC_IDS, **login, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
