"""One attempt at a real receiver that does everything a receiver should not do."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from services.alerts.destination import Policy
from services.alerts.names import Names
from services.alerts.retry import Attempt
from services.alerts.sender import RESPONSE_HEAD_BYTES, Request, Sender
from shared.clock import RealClock

TIMEOUT_SECONDS = 1.0
LOCAL = Policy(allowed=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[str]:
    """The base URL of a server that treats each connection by `behaviour`."""

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(treat, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender(Names(), LOCAL, RealClock(), timeout_seconds=TIMEOUT_SECONDS, connect_timeout_seconds=TIMEOUT_SECONDS)
    yield made
    await made.close()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """Reads one request whole; its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return head


def answering(*parts: bytes, then: Behaviour | None = None) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for part in parts:
            writer.write(part)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return behave


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def post(sender: Sender, url: str) -> Attempt:
    started = time.perf_counter()
    attempt = await sender.post(Request(url, {"content-type": "application/json"}, b"{}"))
    assert time.perf_counter() - started < TIMEOUT_SECONDS + 1
    return attempt


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (hang, "TimeoutError"),
        (answering(OK, then=hang), "TimeoutError"),
        (answering(OK + b"Content-Length: 10\r\n\r\n12", then=hang), "TimeoutError"),
        (answering(OK + b"Content-Length: 100\r\n\r\n", then=drip), "TimeoutError"),
        (answering(OK + b"X: ", then=pour), "more than 16384 bytes"),
        (answering(b"hello, this is no HTTP\r\n\r\n"), "400"),
        (answering(then=reset), "Server"),
        (reset, "Server"),
        (answering(OK + b"Content-Length: 100\r\n\r\nshort"), "Payload"),
    ],
)
async def test_whatever_a_receiver_does_an_attempt_ends_in_time_with_an_error(
    sender: Sender, behaviour: Behaviour, error: str
) -> None:
    async with serving(behaviour) as url:
        attempt = await post(sender, url)
    assert attempt.status is None
    assert attempt.error is not None and error in attempt.error


async def test_an_endless_body_is_cut_and_the_status_counts(sender: Sender) -> None:
    async with serving(answering(OK + b"\r\n", then=pour)) as url:
        attempt = await post(sender, url)
    assert attempt.succeeded
    assert attempt.response_head is not None and len(attempt.response_head) == RESPONSE_HEAD_BYTES


async def test_a_compression_bomb_stays_small(sender: Sender) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with serving(answering(head, bomb)) as url:
        attempt = await post(sender, url)
    assert attempt.succeeded
    assert attempt.response_head is not None and len(attempt.response_head) <= RESPONSE_HEAD_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(sender: Sender, status: int) -> None:
    visits = 0

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1

    async with serving(elsewhere) as target:
        answer = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, target.encode())
        async with serving(answering(answer)) as url:
            attempt = await post(sender, url)
    assert (attempt.status, visits) == (status, 0)


async def test_retry_after_and_the_head_of_the_response_are_kept(sender: Sender) -> None:
    answer = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 7\r\n\r\nlater\xff\0"
    async with serving(answering(answer)) as url:
        attempt = await post(sender, url)
    assert (attempt.status, attempt.retry_after, attempt.response_head) == (
        429,
        "7",
        "later\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}",
    )


async def test_a_connection_that_was_closed_meanwhile_does_not_fail_the_next_attempt(sender: Sender) -> None:
    async with serving(answering(OK + b"Content-Length: 0\r\n\r\n")) as url:
        assert (await post(sender, url)).succeeded
        await asyncio.sleep(0.05)
        assert (await post(sender, url)).succeeded


async def test_nothing_listens(sender: Sender) -> None:
    async with serving(hang) as url:
        pass
    attempt = await post(sender, url)
    assert attempt.error is not None and "refused" in attempt.error.lower()


async def test_a_server_without_tls_is_no_https(sender: Sender) -> None:
    async with serving(answering(OK + b"\r\n")) as url:
        attempt = await post(sender, url.replace("http:", "https:"))
    assert attempt.error is not None


async def test_a_certificate_that_nobody_vouches_for_is_refused(sender: Sender) -> None:
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
    async with serving(hang) as url:
        attempt = await post(sender, url.replace("http:", "https:"))
    assert attempt.status is None


async def test_a_name_is_resolved_and_each_of_its_addresses_checked() -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(OK + b"Content-Length: 0\r\n\r\n")(reader, writer)

    addresses = ["127.0.0.1", "10.0.0.1"]
    made = Sender(
        Names(lambda host: addresses),
        LOCAL,
        RealClock(),
        timeout_seconds=TIMEOUT_SECONDS,
        connect_timeout_seconds=TIMEOUT_SECONDS,
    )
    async with serving(count) as url:
        named = url.replace("127.0.0.1", "receiver.example")
        refused = await post(made, named)
        assert connections == 0
        assert refused.error is not None and "10.0.0.1 is not a public address" in refused.error
        addresses.pop()
        assert (await post(made, named)).succeeded
    await made.close()


async def test_a_name_that_leads_home_is_refused_where_nothing_is_listed() -> None:
    made = Sender(Names(), Policy(allow_http=True), RealClock(), timeout_seconds=2.0, connect_timeout_seconds=1.0)
    async with serving(answering(OK + b"\r\n")) as url:
        for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]"):
            attempt = await made.post(Request(url.replace("127.0.0.1", host), {}, b"{}"))
            assert attempt.status is None and attempt.error is not None
            assert "not a public address" in attempt.error, host
    await made.close()


async def test_proxies_of_the_environment_are_not_used(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    async with serving(answering(OK + b"Content-Length: 0\r\n\r\n")) as url:
        assert (await post(sender, url)).succeeded
