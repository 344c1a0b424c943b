"""Too deep, too many, too large, and small on the way and huge when opened."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Final

from shared.events.cloudevent import BATCH, STRUCTURED
from tests.corpus.compressed import zeros_in_deflate, zeros_in_gzip, zeros_in_zstd
from tests.corpus.hostile import (
    GTIN,
    Answer,
    Classes,
    Given,
    Hostile,
    Record,
    event,
    over_http,
    over_kafka,
    structured,
    text_of,
    with_raw,
)

MEBIBYTE: Final = 2**20
MAX_DEPTH: Final = 20
# Kafka bounds what a batch is on the wire: what it expands to is bounded by how well its codec can lie.
EXPANDED_BYTES: Final = {"gzip": 64 * MEBIBYTE, "lz4": 64 * MEBIBYTE, "zstd": 64 * MEBIBYTE, "snappy": 16 * MEBIBYTE}
_TYPE: Final = (b"content-type", STRUCTURED.encode())


def classes(given: Given) -> Classes:
    yield from _depths(given)
    yield from _sizes(given)
    yield from _batches(given)
    yield from _bombs_over_http()
    yield from _bombs_over_kafka(given)


def _depths(given: Given) -> Classes:
    inside = MAX_DEPTH - 2  # the event and its data are two
    deep = given.event("depth")
    for name, what, content in (
        ("depth_21", "one level too many", with_raw(deep, "x", "[" * (inside + 1) + "]" * (inside + 1))),
        ("depth_100000", "deep enough to overflow a stack", b"[" * 100_000 + b"]" * 100_000),
        ("depth_unclosed", "objects that never end", b'{"a":' * 50_000),
        ("depth_quoted", "depth behind quotes that never close", b'{"a":' * 30 + b'"' + b'\\"' * 100_000),
    ):
        yield structured(name, what, content, 400, "depth")
    legal = with_raw(deep, "x", "[" * inside + "]" * inside)
    yield structured("depth_20", "as deep as is read, in a field that nobody knows", legal, 422, "unknown_field")


def _sizes(given: Given) -> Classes:
    padded = text_of(given.event("size"))
    padded += b" " * (MEBIBYTE + 1 - len(padded))
    yield structured("over_a_mebibyte", "an event behind a mebibyte of spaces", padded, 413, "size")
    fits = text_of(given.event("fits"))
    fits += b" " * (MEBIBYTE - len(fits))
    yield structured("a_mebibyte", "as large as is taken: legal", fits, 202)
    keys = given.event("keys")
    keys["data"] |= {f"k{number:x}": 0 for number in range(50_000)}
    yield _more_faults(event("many_fields", "50,000 fields that nobody knows", keys, 422, "unknown_field"))
    name = given.event("name")
    name["data"]["n" * 500_000] = 0
    yield event("long_name", "a field whose name has 500,000 characters", name, 422, "unknown_field")
    items = given.event("items", "batch.produced", inputs=[0] * 300_000)
    yield event("many_items", "300,000 inputs", items, 422, "length")
    type_ = {**given.event("type"), "type": "supply." + "x" * 500_000}
    yield event("long_type", "a type of half a megabyte", type_, 422, "unknown_type")
    escapes = with_raw(given.event("escapes", "batch.rejected"), "reason", '"' + "\\u0041" * 100_000 + '"')
    yield structured("many_escapes", "100,000 escapes for as many letters", escapes, 422, "length")


def _more_faults(found: Hostile) -> Hostile:
    """HTTP tells a hundred faults, and how many more there are."""
    assert found.answer is not None
    return replace(found, answer=Answer(found.answer.status, found.answer.codes | {"more_faults"}))


def _batches(given: Given) -> Classes:
    form = [(b"content-type", BATCH.encode())]
    many = text_of([{}] * 1_001)
    yield over_http("batch_of_1001", "one event too many", form, many, 413, "too_many")
    junk = text_of([{}] * 1_000)
    yield over_http("batch_of_junk", "1,000 times nothing", form, junk, 400, "no_cloudevent", "more_faults")
    one = text_of(given.event("batch_object"))
    yield over_http("batch_object", "one event where a list must be", form, one, 400, "no_cloudevent")
    good, bad = given.event("batch_good"), given.event("batch_bad", quantity=0)
    mixed = text_of([good, bad])
    yield over_http("batch_mixed", "a good event beside a bad one: neither is recorded", form, mixed, 422, "range")


def _bombs_over_http() -> Classes:
    size = 64 * MEBIBYTE
    for name, encoding, body in (
        ("gzip", b"gzip", zeros_in_gzip(size)),
        ("gzip_twice", b"gzip, gzip", gzip.compress(zeros_in_gzip(size), mtime=0)),
        ("deflate", b"deflate", zeros_in_deflate(size)),
        ("zstd", b"zstd", zeros_in_zstd(size)),
        ("unknown", b"middle-out", b"{}"),
    ):
        what = f"{size // MEBIBYTE} MiB in {len(body):,} bytes" if len(body) > 2 else "an encoding that nobody knows"
        headers = [_TYPE, (b"content-encoding", encoding)]
        yield over_http(f"encoded_{name}", what, headers, body, 415, "content_encoding")
    yield over_http("unnamed_gzip", "a bomb that does not say so", [_TYPE], zeros_in_gzip(size), 400, "encoding")


def _bombs_over_kafka(given: Given) -> Classes:
    for codec, size in EXPANDED_BYTES.items():
        what = f"a batch of some KB that expands to {size // MEBIBYTE} MiB"
        bomb = Record(GTIN.encode(), bytes(size), (_TYPE,), codec)
        yield over_kafka(f"bomb_{codec}", what, bomb, "size")
    hidden = given.event("bomb_event")
    event_in_spaces = b" " * (32 * MEBIBYTE) + json.dumps(hidden).encode()
    bomb = Record(GTIN.encode(), event_in_spaces, (_TYPE,), "gzip")
    yield over_kafka("bomb_event", "a good event behind 32 MiB of spaces", bomb, "size")
    key = Record(bytes(16 * MEBIBYTE), json.dumps(given.event("bomb_key")).encode(), (_TYPE,), "gzip")
    yield over_kafka("bomb_key", "a key of 16 MiB", key, "size")
    headers = (_TYPE, (b"x", bytes(16 * MEBIBYTE)))
    header = Record(GTIN.encode(), json.dumps(given.event("bomb_header")).encode(), headers, "gzip")
    yield over_kafka("bomb_header", "a header of 16 MiB", header, "size")
    inner = Record(GTIN.encode(), zeros_in_gzip(64 * MEBIBYTE), (_TYPE, (b"content-encoding", b"gzip")))
    yield over_kafka("compressed_value", "a bomb inside the value", inner, "encoding")
    small = Record(GTIN.encode(), text_of(given.event("compressed_batch")), (_TYPE,), "zstd")
    yield over_kafka("compressed_batch", "a batch that is compressed and harmless: legal", small, None)
