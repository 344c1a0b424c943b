"""Reads Kafka's record batches (magic 2) byte by byte, in bounded memory whatever they expand to. Pure.

The client library reads nearly every batch; this reads those that it cannot: batches that it will not decompress, and
records with the name of a header that is not UTF-8.
Source: "Record Batch" in https://kafka.apache.org/documentation/#messageformat.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

# base offset, length, leader epoch, magic, crc, attributes, last offset delta, base and max timestamp, producer id,
# producer epoch, base sequence, number of records
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
# What `length` does not count: the base offset and itself.
_BEFORE_LENGTH: Final = 12
_MAGIC: Final = 2
_CODEC_BITS: Final = 0x07
_LOG_APPEND_TIME_BIT: Final = 0x08
_CONTROL_BIT: Final = 0x20
_CODECS: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_GZIP: Final = 31  # zlib's window bits for the gzip format

# Beyond this a batch is not read on: what it holds further is unknown.
EXPANDED_LIMIT_BYTES: Final = 256 * 1024 * 1024
KEPT_VALUE_BYTES: Final = 1024 * 1024 + 1
KEPT_KEY_BYTES: Final = 64 * 1024 + 1
KEPT_HEADERS_BYTES: Final = 64 * 1024 + 1
HEADER_ITSELF_BYTES: Final = 8
_PIECE_BYTES: Final = 64 * 1024


class Unreadable(Exception):
    """These bytes are no batch, or expand beyond the limit."""


class RawHeader(NamedTuple):
    name: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as bytes. Of longer parts one byte more is kept than we take; `value_bytes` counts them all."""

    offset: int
    at: int
    key: bytes | None
    value: bytes | None
    value_bytes: int
    headers: tuple[RawHeader, ...]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A batch's frame, with its records still packed. Offsets are those of the partition."""

    base_offset: int
    last_offset: int
    attributes: int
    base_at: int
    max_at: int
    count: int
    packed: bytes

    @property
    def is_control(self) -> bool:
        """Whether it holds no records but marks of transactions."""
        return bool(self.attributes & _CONTROL_BIT)


def batches(fetched: bytes) -> Iterator[RecordBatch]:
    """The whole batches at the beginning of `fetched`; Kafka may cut the last one off."""
    at = 0
    while at + _HEADER.size <= len(fetched):
        base, length, _, magic, _, attributes, last, base_at, max_at, _, _, _, count = _HEADER.unpack_from(fetched, at)
        end = at + _BEFORE_LENGTH + length
        if magic != _MAGIC or end > len(fetched) or end <= at:
            return
        packed = fetched[at + _HEADER.size : end]
        yield RecordBatch(base, base + last, attributes, base_at, max_at, count, packed)
        at = end


def records(batch: RecordBatch) -> Iterator[RawRecord]:
    """Its records, one by one. Raises Unreadable, perhaps after some."""
    source = _Source(_expanded(batch))
    for _ in range(0 if batch.is_control else batch.count):
        yield _record(source, batch)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _expanded(batch: RecordBatch) -> _Readable:
    codec = batch.attributes & _CODEC_BITS
    if codec == 0:
        return io.BytesIO(batch.packed)
    name = _CODECS.get(codec)
    if name is None:
        raise Unreadable(f"an unknown compression: {codec}")
    if name == "gzip":
        return _Gzip(batch.packed)
    return io.BytesIO(_from_snappy(batch.packed)) if name == "snappy" else _arrow_stream(batch.packed, name)


def _arrow_stream(packed: bytes, codec: str) -> _Readable:
    import pyarrow  # 40 MB that most days nothing needs

    stream: _Readable = pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), codec)
    return stream


class _Gzip:
    """Expands a gzip stream no further than it is read."""

    def __init__(self, packed: bytes) -> None:
        self._inflate = zlib.decompressobj(_GZIP)
        self._left = packed

    def read(self, size: int, /) -> bytes:
        found = self._inflate.decompress(self._left, size)
        self._left = self._inflate.unconsumed_tail
        return found


def _from_snappy(packed: bytes) -> bytes:
    """Snappy expands to about twenty times its size at the most; Java's clients frame it in blocks."""
    if not packed.startswith(_XERIAL):
        return _snappy_block(packed)
    found, at = [], _XERIAL_HEADER_BYTES
    while at + 4 <= len(packed):
        (length,) = struct.unpack_from(">I", packed, at)
        found.append(_snappy_block(packed[at + 4 : at + 4 + length]))
        at += 4 + length
    return b"".join(found)


def _snappy_block(packed: bytes) -> bytes:
    import pyarrow

    size, shift = 0, 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > EXPANDED_LIMIT_BYTES:
        raise Unreadable(f"expands to {size} bytes")
    try:
        found: bytes = pyarrow.decompress(packed, size, codec="snappy", asbytes=True)
    except (OSError, ValueError) as error:
        raise Unreadable(f"not what its compression says: {error}") from None
    return found


class _Source:
    """What a batch expands to, read forwards and counted."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._taken = 0

    def take(self, size: int, keep: int | None = None) -> bytes:
        """The next `size` bytes, of which only the first `keep` are returned."""
        kept: list[bytes] = []
        room = size if keep is None else min(size, keep)
        while size:
            piece = self._next(size)
            size -= len(piece)
            if room:
                kept.append(piece[:room])
                room -= len(kept[-1])
        return b"".join(kept)

    def _next(self, most: int) -> bytes:
        if self._at == len(self._buffer):
            try:
                self._buffer, self._at = self._stream.read(_PIECE_BYTES), 0
            except (zlib.error, OSError, ValueError, EOFError) as error:
                raise Unreadable(f"not what its compression says: {error}") from None
            self._taken += len(self._buffer)
            if not self._buffer:
                raise Unreadable("the batch ends within a record")
            if self._taken > EXPANDED_LIMIT_BYTES:
                raise Unreadable(f"the batch expands beyond {EXPANDED_LIMIT_BYTES} bytes")
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def varint(self) -> int:
        """A signed number in zig-zag form."""
        value, shift = 0, 0
        while True:
            byte = self._next(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > 63:
                raise Unreadable("a number of more than ten bytes")

    def bytes_or_none(self, keep: int) -> bytes | None:
        size = self.varint()
        return None if size < 0 else self.take(size, keep)


def _record(source: _Source, batch: RecordBatch) -> RawRecord:
    source.varint()  # its length
    source.take(1)  # attributes, unused
    at = batch.base_at + source.varint()
    offset = batch.base_offset + source.varint()
    key = source.bytes_or_none(KEPT_KEY_BYTES)
    value_bytes = source.varint()
    value = None if value_bytes < 0 else source.take(value_bytes, KEPT_VALUE_BYTES)
    at = batch.max_at if batch.attributes & _LOG_APPEND_TIME_BIT else at
    return RawRecord(offset, at, key, value, max(value_bytes, 0), tuple(_headers(source)))


def _headers(source: _Source) -> Iterator[RawHeader]:
    room = KEPT_HEADERS_BYTES
    for _ in range(source.varint()):
        header = RawHeader(source.bytes_or_none(max(room, 0)) or b"", source.bytes_or_none(max(room, 0)))
        if room > 0:
            yield header
        room -= header_bytes(header.name, header.value)


def header_bytes(name: bytes | str, value: bytes | None) -> int:
    """What a header counts: its parts, and that it is one."""
    return HEADER_ITSELF_BYTES + len(name) + len(value or b"")
