"""A producer's way in over Kafka, and what an operator sees of what became of its records."""

from __future__ import annotations

import copy
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import aiohttp

from deploy.local.stack import Stack
from shared import topics
from shared.events import catalogue
from shared.events.cloudevent import STRUCTURED
from shared.events.fields import check_digit
from tests.corpus.hostile import Record
from tests.stack.raw_kafka import RawKafka
from tests.stack.waiting import eventually

JSON = dict[str, Any]
STRUCTURED_TYPE: Final = ((b"content-type", STRUCTURED.encode()),)


def record(value: bytes | None, headers: Sequence[tuple[bytes, bytes | None]] = STRUCTURED_TYPE) -> Record:
    """One without a key; a structured event unless `headers` say otherwise."""
    return Record(None, value, tuple(headers))


class Way:
    """A producer's way in over Kafka, and what an operator sees of it."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, kafka: RawKafka, name: str, gln: str) -> None:
        self.http = http
        self.credentials = credentials
        self._kafka = kafka
        self.name = name
        self.topic = topics.inbound(name)
        self.gln = gln
        self.mark = uuid.uuid4().hex[:8]
        digits = f"0952{int(self.mark, 16) % 10**9:09d}"
        self.gtin = digits + check_digit(digits)

    def event(self, id: str, **changes: Any) -> JSON:
        """One pack of a lot of its own, so that the balance counts events."""
        event = copy.deepcopy(catalogue.sample("supply.batch.produced.v1"))
        event |= {"id": f"{self.mark}-{id}", "source": f"urn:gln:{self.gln}", "time": "2026-01-02T10:00:00+07:00"}
        event["data"] = {"gtin": self.gtin, "lot": id, "quantity": 1, "produced_on": "2026-01-02",
                         "expires_on": "2028-01-01", "manufacturer": self.gln}  # fmt: skip
        return event | changes

    def good(self, id: str) -> Record:
        return record(json.dumps(self.event(id)).encode())

    async def send(self, partition: int, records: list[Record], codec: str | None = None) -> int:
        """The offset of the first, all in one batch."""
        return await self._kafka.send(self.topic, partition, records, codec)

    async def call(self, method: str, path: str, key: str | None = None, *, of: str = "ingest") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.credentials['keys']['operator']}"}
        async with self.http.request(method, self.credentials[of] + path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def pages(self, path: str, of: str = "ingest") -> AsyncIterator[list[JSON]]:
        """The items of a list, page by page; `path` has its filters."""
        more: str | None = ""
        while more is not None:
            status, answer = await self.call("GET", f"{path}&limit=1000{more}", of=of)
            assert status == 200, answer
            yield answer["items"]
            more = answer["next"] and f"&cursor={answer['next']}"

    async def rejections(self) -> list[JSON]:
        """All of this producer, newest first."""
        return [one async for items in self.pages(f"/rejections?producer={self.name}") for one in items]

    async def packs(self) -> int:
        """How many of `good` the ledger has, each counted as often as it was posted."""
        _, answer = await self.call("GET", f"/balances?gtin={self.gtin}&by=gtin", of="supply")
        return sum(item["places"]["quarantine"] for item in answer["items"])

    async def lots(self) -> int:
        """How many different ones."""
        pages = self.pages(f"/balances?gtin={self.gtin}", of="supply")
        return sum([len(items) async for items in pages])


async def kill_ingest(stack: Stack) -> None:
    pid = await eventually(lambda: stack.pid("ingest"))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
