"""Kafka's batches read byte by byte: the same records in every compression, in bounded memory."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable

import pyarrow as pa
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.ingest import record_batch
from services.ingest.record_batch import EXPANDED_LIMIT_BYTES, RawHeader, RecordBatch, Unreadable

MEBIBYTE = 1024 * 1024
FRAME_BYTES = 61
AT = 1_700_000_000_000
Said = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
SAID: list[Said] = [
    (b"k", b'{"a":1}', [("ce_id", b"1"), ("none", None)]),
    (None, None, []),
    (b"", b"x" * 3_000, [("content-type", b"application/json")]),
]


def plain(said: list[Said] = SAID) -> bytes:
    """A batch as an uncompressed producer writes it."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 30)
    for offset, (key, value, headers) in enumerate(said):
        builder.append(offset, AT + offset, key, value, headers)
    return bytes(builder.build())


def compressed(whole: bytes, codec: int, compress: Callable[[bytes], bytes]) -> bytes:
    packed = compress(whole[FRAME_BYTES:])
    frame = bytearray(whole[:FRAME_BYTES])
    struct.pack_into(">i", frame, 8, FRAME_BYTES - 12 + len(packed))
    struct.pack_into(">h", frame, 21, codec)
    return bytes(frame) + packed


def zstd(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, codec="zstd", asbytes=True))


def lz4(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, codec="lz4", asbytes=True))


def snappy(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, codec="snappy", asbytes=True))


def xerial(raw: bytes) -> bytes:
    blocks = [snappy(raw[at : at + 1000]) for at in range(0, len(raw), 1000)]
    head = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    return head + b"".join(struct.pack(">I", len(block)) + block for block in blocks)


def one(fetched: bytes) -> RecordBatch:
    (batch,) = record_batch.batches(fetched)
    return batch


@pytest.mark.parametrize(
    ("codec", "compress"), [(0, bytes), (1, gzip.compress), (2, snappy), (2, xerial), (3, lz4), (4, zstd)]
)
def test_a_batch_says_the_same_in_every_compression(codec: int, compress: Callable[[bytes], bytes]) -> None:
    found = list(record_batch.records(one(compressed(plain(), codec, compress))))
    assert [(record.key, record.value) for record in found] == [(key, value) for key, value, _ in SAID]
    assert found[0].headers == (RawHeader(b"ce_id", b"1"), RawHeader(b"none", None))
    assert [(record.offset, record.at) for record in found] == [(0, AT), (1, AT + 1), (2, AT + 2)]


def test_the_name_of_a_header_may_be_any_bytes() -> None:
    whole = plain([(None, b"1", [("abc", b"2")])]).replace(b"abc", b"\xff\xfe\x00")
    (record,) = record_batch.records(one(whole))
    assert record.headers == (RawHeader(b"\xff\xfe\x00", b"2"),)


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    whole = plain()
    assert len(list(record_batch.batches(whole + whole[:-1]))) == 1
    assert list(record_batch.batches(whole[:70])) == list(record_batch.batches(b"")) == []


@pytest.mark.parametrize(("codec", "compress"), [(1, gzip.compress), (4, zstd), (3, lz4)])
def test_a_bomb_is_passed_over_in_little_memory(codec: int, compress: Callable[[bytes], bytes]) -> None:
    said: list[Said] = [(None, b"before", []), (None, bytes(32 * MEBIBYTE), []), (None, b"after", [])]
    batch = one(compressed(plain(said), codec, compress))
    tracemalloc.start()
    found = list(record_batch.records(batch))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [record.value_bytes for record in found] == [6, 32 * MEBIBYTE, 5]
    assert len(found[1].value or b"") == MEBIBYTE + 1 and found[2].value == b"after"
    assert peak < 8 * MEBIBYTE


def test_a_batch_beyond_the_limit_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batch, "EXPANDED_LIMIT_BYTES", 2 * MEBIBYTE)
    batch = one(compressed(plain([(None, b"before", []), (None, bytes(3 * MEBIBYTE), [])]), 4, zstd))
    reading = record_batch.records(batch)
    assert next(reading).value == b"before"
    with pytest.raises(Unreadable, match="beyond"):
        next(reading)
    assert EXPANDED_LIMIT_BYTES == 256 * MEBIBYTE


@pytest.mark.parametrize("codec", range(1, 8))
def test_what_is_no_batch_is_unreadable(codec: int) -> None:
    with pytest.raises(Unreadable):
        list(record_batch.records(one(compressed(plain(), codec, lambda raw: b"\x05" + raw))))


def test_headers_are_kept_up_to_a_limit_whatever_their_number() -> None:
    many: list[tuple[str, bytes | None]] = [("", None)] * 50_000
    (record,) = record_batch.records(one(plain([(None, b"1", many)])))
    assert 1_000 < len(record.headers) < 10_000
