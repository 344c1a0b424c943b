"""A webhook receiver that is as fast as can be: answers 204 at once, or never on /hang; GET / tells how many came.

`python -m bench.receiving`, with the port in BENCH_PORT. Where BENCH_MARK, a pattern, is found in a message, the moment
of the first one is kept by the text found: GET /marks answers them as JSON, in unix seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from typing import Final, cast

import uvloop

HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MARK: Final = re.compile(os.environ.get("BENCH_MARK", "(?!)").encode())
NO_CONTENT: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


class Counts:
    """What came so far."""

    received = 0
    marks: Final = dict[str, float]()


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._read, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._read) < whole:
                return
            request, self._read = self._read[:whole], self._read[whole:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        assert self._transport is not None
        if request.startswith(b"GET"):
            told = Counts.marks if request.startswith(b"GET /marks") else {"received": Counts.received}
            body = json.dumps(told).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        if request.startswith(b"POST /hang"):
            return
        Counts.received += 1
        mark = MARK.search(request)
        if mark:
            Counts.marks.setdefault(mark[0].decode(), time.time())
        self._transport.write(NO_CONTENT)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, HOST, int(os.environ["BENCH_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
