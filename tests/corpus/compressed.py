"""Zeros, a thousand or more for a byte on the way: what makes a bomb."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import cache
from typing import Final

_ZSTD_MAGIC: Final = 0xFD2FB528
_ZSTD_WINDOW: Final = 16 << 3  # 2^(10 + 16) bytes
_ZSTD_BLOCK_BYTES: Final = 128 * 1024
_ZSTD_RUN_LENGTH: Final = 1 << 1


@cache
def zeros_in_gzip(size: int) -> bytes:
    return gzip.compress(bytes(size), mtime=0)


@cache
def zeros_in_deflate(size: int) -> bytes:
    return zlib.compress(bytes(size))


@cache
def zeros_in_zstd(size: int) -> bytes:
    """One frame of run-length blocks. Source: RFC 8878, 3.1.1."""
    frame = struct.pack("<IBB", _ZSTD_MAGIC, 0, _ZSTD_WINDOW)
    blocks = size // _ZSTD_BLOCK_BYTES
    for number in range(blocks):
        is_last = number == blocks - 1
        frame += (_ZSTD_BLOCK_BYTES << 3 | _ZSTD_RUN_LENGTH | is_last).to_bytes(3, "little") + b"\x00"
    return frame
