"""Writes and reads an export of the journal: JSON lines, from which anybody can verify it without the database.

First line: {"type":"supply.journal.export.v1","at","columns":[…],"positions":[{"topic_id","partition","next_offset",
"chain"}],"topics":{id:name}}. Then a line a row: the array of its columns, bytes in base64, in the order of their
places. Last line: {"type":"end","rows"}: without it the file is not whole. A name that ends in .gz is compressed.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

from services.supply.checkpoint_files import Unusable
from services.supply.findings import COLUMNS, TOPIC_OF, End, Row

TYPE: Final = "supply.journal.export.v1"
ROWS_A_TELL: Final = 1_000


class ExportHead(msgspec.Struct, frozen=True):
    """The first line. `at` is when it was made (RFC 3339)."""

    at: str
    positions: tuple[End, ...]
    columns: tuple[str, ...] = COLUMNS
    topics: dict[int, str] = msgspec.field(default_factory=lambda: dict(TOPIC_OF))
    type: str = TYPE


class _End(msgspec.Struct):
    rows: int
    type: str = "end"


_encode: Final = msgspec.json.Encoder().encode
_read_row: Final = msgspec.json.Decoder(Row).decode


async def write_export(
    path: Path, head: ExportHead, rows: AsyncIterator[Row], tell: Callable[[int], None] = lambda rows: None
) -> int:
    """Writes a neighbour, syncs it, and renames it into place: whole or not at all. How many rows. Raises OSError."""
    neighbour = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with _opened(neighbour, "wb", path.suffix) as out:
            out.write(_encode(head) + b"\n")
            async for row in rows:
                out.write(_encode(row) + b"\n")
                count += 1
                if count % ROWS_A_TELL == 0:
                    tell(count)
            out.write(_encode(_End(count)) + b"\n")
        _sync(neighbour)
        neighbour.rename(path)
    finally:
        neighbour.unlink(missing_ok=True)
    tell(count)
    return count


def read_export(path: Path) -> tuple[ExportHead, Iterator[Row]]:
    """The first line and the rows. Raises Unusable, also while the rows are read."""
    lines = _lines(path)
    number, line = next(lines, (1, b""))
    head = _parsed(path, number, line, msgspec.json.Decoder(ExportHead).decode)
    if head.type != TYPE or head.columns != COLUMNS or head.topics != TOPIC_OF:
        raise Unusable(f"{path}, line 1: an export of another format ({head.type[:60]})")
    return head, _rows(path, lines)


def _rows(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[Row]:
    count = 0
    for number, line in lines:
        if line.startswith(b"{"):
            end = _parsed(path, number, line, msgspec.json.Decoder(_End).decode)
            if end.rows != count or next(lines, None) is not None:
                raise Unusable(f"{path}, line {number}: {count} rows before the last line, which says {end.rows}")
            return
        yield _parsed(path, number, line, _read_row)
        count += 1
    raise Unusable(f"{path}: it ends after {count} rows without a last line: the export is not whole")


def _parsed(path: Path, number: int, line: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}, line {number}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with _opened(path, "rb", path.suffix) as lines:
            yield from enumerate(lines, 1)
    except (OSError, EOFError) as error:
        raise Unusable(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _opened(path: Path, mode: Literal["rb", "wb"], suffix: str) -> IO[bytes]:
    opener: Any = gzip.open if suffix == ".gz" else open
    found: IO[bytes] = opener(path, mode)
    return found


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
