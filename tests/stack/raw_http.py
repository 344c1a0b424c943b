"""Sends HTTP requests byte for byte, also those that no client library would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from tests.corpus.hostile import AUTHORIZATION, Request

TIMEOUT_SECONDS: Final = 20.0
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
HEAD_LIMIT_BYTES: Final = 64 * 1024
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Reply:
    """What came back; `headers` by their names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body, if it is a problem; where the HTTP server itself answered it tells no faults."""
        is_one = self.headers.get("content-type") == "application/problem+json"
        found: dict[str, Any] = orjson.loads(self.body) if is_one else {"errors": []}
        return found

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(fault["code"] for fault in self.problem["errors"])


async def send(url: str, request: Request, key: str) -> Reply:
    """The reply to `request`, over a connection of its own. Raises TimeoutError."""
    parts = urlsplit(url)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=HEAD_LIMIT_BYTES)
        sending = asyncio.create_task(_write(writer, _bytes_of(request, parts.netloc, key)))
        try:
            return await _read(reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()


def _bytes_of(request: Request, host: str, key: str) -> bytes:
    named = {name.lower() for name, _ in request.headers}
    headers = [(b"host", host.encode()), (b"connection", b"close"), *request.headers]
    if AUTHORIZATION not in named:
        headers.append((AUTHORIZATION, f"Bearer {key}".encode()))
    if not named & FRAMING:
        headers.append((b"content-length", str(len(request.body)).encode()))
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return request.method + b" " + request.target + b" HTTP/1.1\r\n" + lines + b"\r\n" + request.body


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    """Whoever answers before all was sent may hang up: that is an answer too."""
    try:
        writer.write(content)
        await writer.drain()
    except ConnectionError:
        pass


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(_HEAD_END)
    first, *lines = head.removesuffix(_HEAD_END).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    body = await (reader.read() if length is None else reader.readexactly(int(length)))
    return Reply(int(first.split()[1]), headers, body)
