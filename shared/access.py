"""Decides who is calling, by the keys that ingest publishes on supply.access.v1."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from fastapi import Request

from shared import topics
from shared.errors import Fault, Problem
from shared.kafka import security
from shared.keys import PRODUCER, AccessRecord, Principal, key_hash, key_id_of
from shared.rate import Rate
from shared.sessions import Holder, Person, Session
from shared.settings import ServiceSettings
from shared.telemetry import logger

SESSION_COOKIE: Final = "supply_watch_session"
READING: Final = ("GET", "HEAD")
RECONNECT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.5
PRINCIPALS_KEPT: Final = 4_096

log = logger(__name__)


class AccessCache:
    """Every key that ingest has published, held in memory; `ready` once the topic's present end has been read."""

    def __init__(self) -> None:
        self._records: dict[str, AccessRecord] = {}
        self._of_producers: dict[str, set[str]] = {}
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
            if record.role == PRODUCER:
                self._of_producers.setdefault(record.name, set()).add(record.key_id)

    def principal(self, key: str) -> Principal | None:
        """The caller behind `key`, None if the key is malformed, unknown, wrong or revoked."""
        record = self._records.get(key_id_of(key) or "")
        if record is None or record.revoked_at is not None:
            return None
        if not hmac.compare_digest(record.sha256, key_hash(key)):
            return None
        return _principal(record)

    def record(self, key_id: str) -> AccessRecord | None:
        """What is known of a key, revoked ones included."""
        return self._records.get(key_id)

    def producer(self, name: str) -> Principal | None:
        """The producer of this name, by one of its keys; None while none of them is valid."""
        for key_id in self._of_producers.get(name, ()):
            record = self._records.get(key_id)
            if record is not None and record.revoked_at is None:
                return _principal(record)
        return None

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


@dataclass(frozen=True)
class Require:
    """A FastAPI dependency that admits callers of these roles alone: 401 without a valid key, 403 for another role."""

    roles: tuple[str, ...]

    async def __call__(self, request: Request) -> Principal:
        return self.admit(authenticate(request))

    def admit(self, principal: Principal) -> Principal:
        """Raises Problem 403."""
        if principal.role not in self.roles:
            raise forbidden(f"needs the role {' or '.join(self.roles)}, the key has {principal.role}")
        return principal


def require(*roles: str) -> Require:
    return Require(roles)


def authenticate(request: Request) -> Principal:
    """The caller of `request` by `Authorization: Bearer`; one who only reads, also by the session of a browser.

    Raises Problem 401, 429 if the key has called too often, or 503 until the keys have been read.
    """
    cache = keys_of(request)
    authorization = request.headers.get("authorization")
    if authorization is None:
        principal = session_principal(request) if request.method in READING else None
        detail = "send an API key as 'Authorization: Bearer sw_…'"
    else:
        scheme, _, key = authorization.partition(" ")
        principal = cache.principal(key.strip()) if scheme.lower() == "bearer" else None
        detail = "the key is not valid"
    if principal is None:
        raise unauthorized(detail)
    count(request, principal)
    return principal


def count(request: Request, principal: Principal) -> None:
    """Raises Problem 429 if the key of `principal` has called too often, itself or by its sessions."""
    requests: Rate = request.app.state.requests
    requests.spend(principal.key_id)


def keys_of(request: Request) -> AccessCache:
    """Raises Problem 503 until the keys have been read: one that looks valid may be revoked further on."""
    cache: AccessCache = request.app.state.access
    if not cache.ready.is_set():
        raise Problem(503, "Starting", "the list of keys has not been read yet", retry_after_seconds=1)
    return cache


def session_secret(request: Request) -> bytes:
    settings: ServiceSettings = request.app.state.settings
    return settings.session_secret.get_secret_value().encode()


def session_cookie(request: Request) -> str:
    """Empty if there is none."""
    return request.cookies.get(SESSION_COOKIE, "")


def session_principal(request: Request) -> Principal | None:
    """Who is signed in at the browser that sent `request`. Raises Problem 503 until the keys have been read."""
    session = Session.read(session_cookie(request))
    if session is None:
        return None
    holder = _holder(request, session)
    if holder is None or not session.holds(session_secret(request), holder, now_seconds(request)):
        return None
    return holder.principal() if isinstance(holder, Person) else _principal(holder)


def _holder(request: Request, session: Session) -> Holder | None:
    """Whose session it says it is; a person only while the provider is one that we have."""
    if session.key_id is not None:
        return keys_of(request).record(session.key_id)
    provider = getattr(request.app.state, "provider", None)
    return None if provider is None else session.person(provider.identity)


def now_seconds(request: Request) -> float:
    """Real time, unix seconds."""
    now: Callable[[], float] = request.app.state.now_seconds
    return now()


def unauthorized(detail: str) -> Problem:
    """401: nobody whom we know."""
    return Problem(
        401,
        "Unauthorized",
        detail,
        [Fault("authorization", "key", detail)],
        headers={"WWW-Authenticate": 'Bearer realm="supply-watch"'},
    )


def forbidden(detail: str) -> Problem:
    """403: a valid key that may not do this."""
    return Problem(403, "Forbidden", detail, [Fault("authorization", "role", detail)])
