"""Sends events to ingest over HTTP with the producers' own keys, several at once; waits where ingest says so.

The regulator speaks first, then who makes and imports, then who distributes: so nothing is used before it was made.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import aiohttp
import orjson

from deploy.local.simulator.data import Firm, Role
from deploy.local.simulator.saying import Said

BATCH_EVENTS: Final = 400
REQUESTS_AT_ONCE: Final = 4
REQUEST_TIMEOUT_SECONDS: Final = 30.0
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 10.0
WAITED_FOR: Final = frozenset({429, 502, 503, 504})
WAVES: Final[tuple[frozenset[Role], ...]] = (
    frozenset({"regulator"}),
    frozenset({"manufacturer", "importer"}),
    frozenset({"distributor"}),
)
CONTENT_TYPE: Final = "application/cloudevents-batch+json"


class Refused(Exception):
    """Ingest will never take this batch: the scenario or ingest is wrong."""


class Sender:
    """Sends batches. What has been sent before may be sent again: the events' ids are the same."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        keys: Mapping[str, str],
        firms: Mapping[str, Firm],
        say: Callable[[str], None],
    ) -> None:
        self._session = session
        self._url = f"{url}/events"
        self._keys = keys
        self._firms = firms
        self._say = say
        self._at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def send(self, said: Iterable[Said]) -> None:
        """Returns when ingest has acknowledged every event. Raises Refused."""
        by_producer: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in said:
            by_producer[one.producer].append(one.event)
        for roles in WAVES:
            async with asyncio.TaskGroup() as group:
                for producer, events in by_producer.items():
                    if roles.isdisjoint(self._firms[producer].roles):
                        continue
                    for start in range(0, len(events), BATCH_EVENTS):
                        group.create_task(self._send_batch(producer, events[start : start + BATCH_EVENTS]))

    async def _send_batch(self, producer: str, events: list[dict[str, Any]]) -> None:
        body = orjson.dumps(events)
        wait_seconds = FIRST_WAIT_SECONDS
        async with self._at_once:
            while (asked_seconds := await self._try(producer, body)) is not None:
                await asyncio.sleep(max(wait_seconds, min(asked_seconds, LONGEST_WAIT_SECONDS)))
                wait_seconds = min(wait_seconds * 2, LONGEST_WAIT_SECONDS)

    async def _try(self, producer: str, body: bytes) -> float | None:
        """None once it is taken, else how many seconds ingest asks to wait."""
        headers = {"Authorization": f"Bearer {self._keys[producer]}", "Content-Type": CONTENT_TYPE}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as answer:
                if answer.status == 202:
                    return None
                text = await answer.text()
                if answer.status not in WAITED_FOR:
                    raise Refused(f"ingest answered {answer.status} to {producer}: {text[:2000]}")
                self._say(f"ingest answers {answer.status}, waiting")
                return _seconds(answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            self._say(f"ingest cannot be reached ({error or type(error).__name__}), waiting")
            return 0.0


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0


def client() -> aiohttp.ClientSession:
    """A session without proxies, every request bounded."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS), trust_env=False)
