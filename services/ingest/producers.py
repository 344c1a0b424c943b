"""Knows whose topic it is: the producer that may speak there, with its GLNs and roles."""

from __future__ import annotations

from collections.abc import Iterable

from services.ingest.store import Store
from shared import topics
from shared.access import AccessCache
from shared.keys import Principal


class Producers:
    """By the keys in memory; of one that is not there the database is asked, as another instance may just have made it.

    Raises Transient if that is away.
    """

    def __init__(self, cache: AccessCache, store: Store) -> None:
        self._cache = cache
        self._store = store

    async def named(self, names: Iterable[str]) -> dict[str, Principal | None]:
        """Each with its authority of now; None: there is no such producer, or none of its keys is valid any more."""
        return {name: self._cache.producer(name) or await self._asked(name) for name in names}

    async def _asked(self, name: str) -> Principal | None:
        for record in await self._store.access_records(name):
            self._cache.put(record)
        return self._cache.producer(name)


def name_of(topic: str) -> str:
    """The name of the producer whose topic this is."""
    return topic.removeprefix(topics.INBOUND_PREFIX)
