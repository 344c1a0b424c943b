"""One attempt at a real receiver that does everything a receiver should not do."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.alerts.destination import Policy
from services.alerts.names import Names
from services.alerts.retry import Attempt
from services.alerts.sender import RESPONSE_HEAD_BYTES, Request, Sender
from shared.clock import RealClock
from tests.stack.hostile import OK, Behaviour, answering, drip, hang, pour, request_of, reset, serving

TIMEOUT_SECONDS = 1.0
LOCAL = Policy(allowed=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender(Names(), LOCAL, RealClock(), timeout_seconds=TIMEOUT_SECONDS, connect_timeout_seconds=TIMEOUT_SECONDS)
    yield made
    await made.close()


async def post(sender: Sender, url: str) -> Attempt:
    started = time.perf_counter()
    attempt = await sender.post(Request(url, {"content-type": "application/json"}, b"{}"))
    assert time.perf_counter() - started < TIMEOUT_SECONDS + 1
    return attempt


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


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200),
        (b"HTTP/1.0 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 410),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500),
    ],
)
async def test_whatever_the_content_is_the_status_counts(sender: Sender, answer: bytes, status: int) -> None:
    async with serving(answering(answer)) as url:
        assert (await post(sender, url)).status == status


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


@dataclass
class Authority:
    """A certificate authority of the test's own, and a certificate that it gave to one name."""

    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(self.name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.pem.decode())

    def serving(self, folder: Path, asked: list[str | None]) -> ssl.SSLContext:
        """The server's side; it notes the names that clients ask for."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "both.pem").write_bytes(key + self.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "both.pem")
        context.sni_callback = lambda connection, name, found: asked.append(name)
        return context


async def test_the_connection_goes_to_the_checked_address_and_keeps_the_name_for_tls_and_host(tmp_path: Path) -> None:
    authority, asked, heads = Authority("receiver.example"), list[str | None](), list[bytes]()

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request_of(reader))
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    looked_up: list[str] = []

    def look_up(host: str) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    made = Sender(
        Names(look_up),
        LOCAL,
        RealClock(),
        timeout_seconds=5.0,
        connect_timeout_seconds=5.0,
        tls=authority.trusted(),
    )
    async with serving(remember, authority.serving(tmp_path, asked)) as url:
        port = url.rsplit(":", 1)[1].strip("/")
        attempt = await made.post(Request(f"https://receiver.example:{port}/hook", {}, b"{}"))
        assert attempt.succeeded, attempt
        assert looked_up == ["receiver.example"]
        assert asked == ["receiver.example"]
        assert f"\r\nhost: receiver.example:{port}\r\n".encode() in heads[0].lower()
        other = await made.post(Request(f"https://other.example:{port}/hook", {}, b"{}"))
        assert other.status is None and other.error is not None
        assert "certificate" in other.error.lower()
    await made.close()


async def test_a_name_that_changes_its_address_is_checked_again_at_the_next_connection() -> None:
    """DNS rebinding: the second answer leads inside."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    listed = Policy(allowed=(ip_network("127.0.0.1/32"),))
    made = Sender(
        Names(lambda host: answers.pop(0)), listed, RealClock(), timeout_seconds=2.0, connect_timeout_seconds=2.0
    )
    async with serving(answering(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n")) as url:
        named = url.replace("127.0.0.1", "rebinding.example")
        assert (await made.post(Request(named, {}, b"{}"))).succeeded
        second = await made.post(Request(named, {}, b"{}"))
    assert second.error is not None and "127.0.0.2 is not a public address" in second.error
    await made.close()


async def test_proxies_of_the_environment_are_not_used(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    async with serving(answering(OK + b"Content-Length: 0\r\n\r\n")) as url:
        assert (await post(sender, url)).succeeded
