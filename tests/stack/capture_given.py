"""A producer that captures EPCIS over HTTP, and products that no other test uses."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import aiohttp

from shared.events.fields import check_digit
from tests.stack.waiting import eventually
from tests.unit.epcis_given import PREFIX

JSON = dict[str, Any]
TIME = "2026-05-04T09:30:00+07:00"
_ITEMS = iter(random.sample(range(10_000, 100_000), 5_000))


def fresh_item() -> str:
    """The item reference of a product, with its indicator, as in a URN."""
    return f"0{next(_ITEMS)}"


def gtin(item: str) -> str:
    digits = item[0] + PREFIX + item[1:]
    return digits + check_digit(digits)


class Captor:
    """Calls ingest with the key of a producer, or with another."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, name: str) -> None:
        self._http = http
        self._credentials = credentials
        self.name = name
        self.key: str = credentials["producers"][name]["key"]
        self.gln: str = credentials["producers"][name]["gln"][0]
        self.source = f"urn:gln:{self.gln}"

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, of: str = "ingest", **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, JSON (None if there is none) and headers."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.request(method, self._credentials[of] + path, data=raw, headers=told) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers

    async def post(self, body: Any, **headers: str) -> tuple[int, Any, Any]:
        return await self.call("POST", "/epcis/capture", body, **headers)

    async def job(self, location: str) -> JSON:
        status, found, _ = await self.call("GET", location)
        assert status == 200, found
        return dict(found)

    async def done(self, location: str, timeout_seconds: float = 30) -> JSON:
        """The job, once it runs no more."""

        async def finished() -> JSON | None:
            found = await self.job(location)
            return None if found["running"] else found

        found = await eventually(finished, timeout_seconds=timeout_seconds)
        assert found is not None
        return found

    async def capture(self, body: Any, **headers: str) -> JSON:
        """The job that a document came to."""
        status, told, answer = await self.post(body, **headers)
        assert status == 202, told
        return await self.done(answer["Location"])

    async def event(self, id: str, key: str | None = None) -> tuple[int, Any]:
        status, found, _ = await self.call("GET", f"/epcis/events/{quote(id, safe='')}", key=key)
        return status, found

    async def rejections(self, event_id: str) -> list[JSON]:
        """Those of an event, the newest first; the newest hundred of this producer are looked at."""
        status, found, _ = await self.call("GET", "/rejections")
        assert status == 200, found
        return [item for item in found["items"] if item["event_id"] == event_id]

    async def recorded(self, id: str) -> JSON:
        """An event of the catalogue as the ledger has it."""
        path = f"/events/{quote(self.source, safe='')}/{quote(id, safe='')}"

        async def there() -> JSON:
            status, found, _ = await self.call("GET", path, of="supply")
            assert status == 200, (id, found)
            return dict(found)

        return await eventually(there, timeout_seconds=20)

    async def packs(self, item: str, lot: str) -> dict[str, int]:
        """Where the packs of a lot are, but for those that are nowhere any more."""
        viewer = self._credentials["keys"]["viewer"]
        path = f"/lots/{gtin(item)}/{quote(lot, safe='')}?effective=2026-06-30"
        status, found, _ = await self.call("GET", path, key=viewer, of="supply")
        assert status == 200, found
        return {place: packs for place, packs in found["places"].items() if packs}

    async def packs_become(self, item: str, lot: str, expected: dict[str, int]) -> None:
        async def so() -> bool:
            found = await self.packs(item, lot)
            assert found == expected
            return True

        await eventually(so, timeout_seconds=20)


def events_in(answered: JSON) -> list[JSON]:
    found: list[JSON] = answered["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found
