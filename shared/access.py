"""Decides who is calling, by the keys that ingest publishes on supply.access.v1."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from fastapi import Request

from shared import topics
from shared.errors import Fault, Problem
from shared.kafka import security
from shared.keys import AccessRecord, Principal, key_hash, key_id_of
from shared.rate import Rate
from shared.settings import ServiceSettings
from shared.telemetry import logger

RECONNECT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.5
PRINCIPALS_KEPT: Final = 4_096

log = logger(__name__)


class AccessCache:
    """Every key that ingest has published, held in memory; `ready` once the topic's present end has been read."""

    def __init__(self) -> None:
        self._records: dict[str, AccessRecord] = {}
        self.ready = asyncio.Event()

    def apply(self, key_id: str, value: bytes | None) -> None:
        """Takes one record of the topic. Raises msgspec.MsgspecError when ingest wrote what no reader understands."""
        if value is None:
            self._records.pop(key_id, None)
        else:
            self.put(msgspec.json.decode(value, type=AccessRecord))

    def put(self, record: AccessRecord) -> None:
        """Takes one record directly (ingest's own writes and bootstrap).

        Revocation is final, so that reading the topic again from its beginning never lets a revoked key in.
        """
        known = self._records.get(record.key_id)
        if known is None or known.revoked_at is None:
            self._records[record.key_id] = record

    def glns_of(self, role: str) -> frozenset[str]:
        """The GLNs of every producer with `role` (manufacturer, importer, distributor, regulator)."""
        return frozenset(gln for record in self._records.values() if role in record.roles for gln in record.glns)

    def principal(self, key: str) -> Principal | None:
        """The caller behind `key`, None if the key is malformed, unknown, wrong or revoked."""
        record = self._records.get(key_id_of(key) or "")
        if record is None or record.revoked_at is not None:
            return None
        if not hmac.compare_digest(record.sha256, key_hash(key)):
            return None
        return _principal(record)

    async def follow(self, settings: ServiceSettings) -> None:
        """Reads the topic from its beginning for ever; starts again when Kafka has been away."""
        while True:
            try:
                await self._read(settings)
            except (KafkaError, OSError) as error:
                log.warning("access topic away", error=str(error), retry_seconds=RECONNECT_SECONDS)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _read(self, settings: ServiceSettings) -> None:
        # Without a group every instance is given every partition, from its beginning.
        consumer = AIOKafkaConsumer(
            topics.ACCESS,
            **security(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            partitions = list(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            while True:
                batches = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000))
                for records in batches.values():
                    for record in records:
                        self.apply(record.key.decode(), record.value)
                if not self.ready.is_set() and all([await consumer.position(p) >= ends[p] for p in partitions]):
                    self.ready.set()
        finally:
            await consumer.stop()


@lru_cache(PRINCIPALS_KEPT)  # the same few call again and again
def _principal(record: AccessRecord) -> Principal:
    return Principal(record.key_id, record.role, record.name, frozenset(record.glns), frozenset(record.roles))


def require(*roles: str) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency that admits callers of these roles alone: 401 without a valid key, 403 for another role."""

    async def check(request: Request) -> Principal:
        principal = authenticate(request)
        if principal.role not in roles:
            raise forbidden(f"needs the role {' or '.join(roles)}, the key has {principal.role}")
        return principal

    return check


def authenticate(request: Request) -> Principal:
    """The caller of `request` by `Authorization: Bearer`.

    Raises Problem 401, 429 if the key has called too often, or 503 until the keys have been read.
    """
    cache: AccessCache = request.app.state.access
    if not cache.ready.is_set():  # a key that looks valid may be revoked further on
        raise Problem(503, "Starting", "the list of keys has not been read yet", retry_after_seconds=1)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    principal = cache.principal(key.strip()) if scheme.lower() == "bearer" else None
    if principal is not None:
        requests: Rate = request.app.state.requests
        requests.spend(principal.key_id)
        return principal
    detail = "the key is not valid" if key else "send an API key as 'Authorization: Bearer sw_…'"
    raise Problem(
        401,
        "Unauthorized",
        detail,
        [Fault("authorization", "key", detail)],
        headers={"WWW-Authenticate": 'Bearer realm="supply-watch"'},
    )


def forbidden(detail: str) -> Problem:
    """403: a valid key that may not do this."""
    return Problem(403, "Forbidden", detail, [Fault("authorization", "role", detail)])
