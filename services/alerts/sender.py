"""Makes one attempt to deliver a webhook: to a checked address, without redirects or proxies, bounded in all."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from services.alerts.destination import Address, Policy, check, destination
from services.alerts.names import Names
from services.alerts.retry import Attempt
from shared.clock import Clock
from shared.errors import Invalid

RESPONSE_HEAD_BYTES: Final = 4096
RESPONSE_HEADER_BYTES: Final = 16384
ERROR_MAX_LENGTH: Final = 500
KEEP_ALIVE_SECONDS: Final = 15.0
USER_AGENT: Final = "supply-watch-alerts/1"


@dataclass(frozen=True, slots=True)
class Request:
    """One webhook, signed and ready."""

    url: str
    headers: dict[str, str]
    body: bytes


class Refused(OSError):
    """The name leads to an address that may not be reached. An OSError, as aiohttp expects of a resolver."""


class CheckedResolver(AbstractResolver):
    """Hands aiohttp the addresses that were checked, so that it connects to these and to no others."""

    def __init__(self, names: Names, policy: Policy, *, plain: bool) -> None:
        self._names = names
        self._policy = policy
        self._plain = plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._names.addresses(host)
        try:
            check(addresses, self._policy, plain=self._plain)
        except Invalid as error:
            raise Refused(str(error)) from None
        return [_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        """Nothing is held."""


class Sender:
    """Posts webhooks; one for the process, made inside its event loop."""

    def __init__(
        self,
        names: Names,
        policy: Policy,
        clock: Clock,
        *,
        timeout_seconds: float,
        connect_timeout_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._names = names
        self._tls = tls or ssl.create_default_context()
        self._policy = policy
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=connect_timeout_seconds)
        self._sessions = {plain: self._session(plain=plain) for plain in (False, True)}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, request: Request) -> Attempt:
        """One attempt. Whatever the receiver does becomes an Attempt; only a bug raises."""
        at, started = self._clock.real_now(), time.perf_counter()
        try:
            status, retry_after, head = await self._exchange(request)
        except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as error:
            return Attempt(at, time.perf_counter() - started, error=_said(error))
        return Attempt(at, time.perf_counter() - started, status, head, retry_after=retry_after)

    async def _exchange(self, request: Request) -> tuple[int, str | None, str]:
        goal = destination(request.url)
        if goal.address is not None:  # aiohttp does not ask the resolver about literals
            check([goal.address], self._policy, plain=goal.plain)
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers}
        session = self._sessions[goal.plain]
        async with session.post(goal.url, data=request.body, headers=headers, allow_redirects=False) as response:
            head = await _head(response.content)
            if not response.content.at_eof():
                response.close()
            return response.status, response.headers.get("Retry-After"), _storable(head.decode("utf-8", "replace"))

    def _session(self, *, plain: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CheckedResolver(self._names, self._policy, plain=plain),
                use_dns_cache=False,
                ssl=self._tls,
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            ),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=RESPONSE_HEADER_BYTES,
            max_field_size=RESPONSE_HEADER_BYTES,
        )


async def _head(content: aiohttp.StreamReader) -> bytes:
    """The first bytes of the response; the rest is never read."""
    head = b""
    while len(head) < RESPONSE_HEAD_BYTES and (chunk := await content.read(RESPONSE_HEAD_BYTES - len(head))):
        head += chunk
    return head


def _said(error: Exception) -> str:
    """One line for people; a connection that could not be made says why."""
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return _storable(f"{type(reason).__name__}: {reason}".removesuffix(": ")[:ERROR_MAX_LENGTH])


def _storable(text: str) -> str:
    """What a receiver says, without what PostgreSQL's text cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )
