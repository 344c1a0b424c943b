"""Shows a person what was sent: as text where all of it can be printed, else byte by byte; a bounded part of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.ingest.inbound import Header
from services.ingest.rejection import header_name, printed, unpack_headers
from services.ingest.tables import Rejection

SHOWN_BYTES: Final = 16 * 1024
SHOWN_HEADERS: Final = 100
LINE_BYTES: Final = 16


class Part(NamedTuple):
    """A key, a value, or one side of a header. `dump` is a line of hexadecimal for each 16 bytes, where it is no text.

    All three are None where nothing was sent, which is not the same as nothing between quotes.
    """

    size: int | None
    text: str | None = None
    dump: str | None = None

    @property
    def left_out(self) -> int:
        """How many bytes are not shown."""
        return max(0, (self.size or 0) - SHOWN_BYTES)


class Sent(NamedTuple):
    """What was sent. `more_headers` is how many are not shown."""

    key: Part
    value: Part
    headers: list[tuple[Part, Part]]
    more_headers: int


def sent(row: Rejection) -> Sent:
    """What is kept of `row`, for a page."""
    headers = unpack_headers(row.raw_headers)
    shown = [_header(header) for header in headers[:SHOWN_HEADERS]]
    return Sent(part(row.raw_key), part(row.raw_value), shown, len(headers) - len(shown))


def _header(header: Header) -> tuple[Part, Part]:
    name, value = header
    return part(header_name(name)), part(value)


def part(raw: bytes | None) -> Part:
    """`raw`, as far as it is shown."""
    if raw is None:
        return Part(None)
    text = printed(raw)
    if text is not None:
        return Part(len(raw), raw[:SHOWN_BYTES].decode("utf-8", "ignore"))
    return Part(len(raw), dump="\n".join(_lines(raw[:SHOWN_BYTES])))


def _lines(raw: bytes) -> Iterator[str]:
    """Where it stands, its bytes, and those of them that are printable ASCII."""
    for at in range(0, len(raw), LINE_BYTES):
        line = raw[at : at + LINE_BYTES]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{at:06x}  {line.hex(' '):<{3 * LINE_BYTES - 1}}  {letters}"
