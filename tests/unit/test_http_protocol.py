"""A connection takes no more of a request than its bounds, however it is cut into pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from shared.http_protocol import HEAD_LIMIT_BYTES, MESSAGE_LIMIT_BYTES, BoundedHttp

PIECE_BYTES = 1_000
HEAD = b"POST /events HTTP/1.1\r\nHost: a\r\n"


class Line(asyncio.Transport):
    """A connection that keeps what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Answers 200 at once, without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def connection() -> tuple[BoundedHttp, Line]:
    config = uvicorn.Config(answers, log_config=None, lifespan="off", ws="none")
    config.load()
    line = Line()
    found = BoundedHttp(config, ServerState(), {})
    found.connection_made(line)
    return found, line


async def taken(pieces: Iterator[bytes], most: int) -> tuple[int, Line]:
    """How many bytes are sent until the connection is closed, and what was answered."""
    found, line = connection()
    sent = 0
    for piece in pieces:
        found.data_received(piece)
        await asyncio.sleep(0)
        sent += len(piece)
        if line.closed:
            return sent, line
        assert sent < most + 1024 * 1024, "nobody stopped it"
    return sent, line


def endless(*first: bytes) -> Iterator[bytes]:
    yield from first
    yield from repeat(b"a" * PIECE_BYTES)


@pytest.mark.parametrize(
    "first", [HEAD + b"x-a: ", HEAD, b"POST /", b"POST /events HTTP/1.1\r\nHost: a\r\nx-"], ids=range(4)
)
async def test_a_head_without_end_is_refused(first: bytes) -> None:
    sent, line = await taken(endless(first), HEAD_LIMIT_BYTES)
    assert sent <= HEAD_LIMIT_BYTES + len(first) + 2 * PIECE_BYTES
    assert line.written.startswith(b"HTTP/1.1 400 ")


async def test_header_lines_without_end_are_refused_also_in_one_piece() -> None:
    lines = b"x-a: 1\r\n" * 20_000
    _, line = await taken(iter([HEAD + lines + b"\r\n"]), len(lines))
    assert line.closed
    assert line.written.startswith(b"HTTP/1.1 400 ")


async def test_trailers_without_end_are_refused() -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    sent, line = await taken(iter([chunked, *[b"x-a: " + b"1" * 80 + b"\r\n"] * 20_000]), HEAD_LIMIT_BYTES)
    assert line.closed
    assert sent < 2 * HEAD_LIMIT_BYTES


async def test_who_sends_on_after_the_answer_is_cut_off() -> None:
    told = HEAD + b"Content-Length: 1000000000000\r\n\r\n"
    pieces = iter([told, *[b"a" * 65_536] * 1_000])
    sent, line = await taken(pieces, MESSAGE_LIMIT_BYTES)
    assert line.closed
    assert sent <= MESSAGE_LIMIT_BYTES + 3 * 65_536
    assert line.written.startswith(b"HTTP/1.1 200 ")


async def test_requests_that_follow_one_another_are_not_added_up() -> None:
    found, line = connection()
    one = HEAD + b"x-a: " + b"a" * 30_000 + b"\r\nContent-Length: 1000000\r\n\r\n" + b"b" * 1_000_000
    for _ in range(30):
        found.data_received(one)
        await asyncio.sleep(0.001)
    assert line.written.count(b"HTTP/1.1 200 ") == 30
    assert not line.closed
