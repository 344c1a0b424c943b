"""Requests that HTTP itself forbids, or that two servers could read in two ways."""

from __future__ import annotations

from typing import Final

from shared.events.cloudevent import STRUCTURED
from tests.corpus.hostile import Classes, Given, over_http, text_of

_FORM: Final = (b"content-type", STRUCTURED.encode())
_CHUNK_BYTES: Final = 64 * 1024
_CHUNKS: Final = 17


def classes(given: Given) -> Classes:
    body = text_of(given.event("wire"))
    length = str(len(body)).encode()
    for name, what, headers, content in (
        ("two_lengths", "two lengths that differ", [(b"content-length", length), (b"content-length", b"0")], body),
        ("length_and_chunks", "a length beside chunks, as smugglers send it",
         [(b"content-length", length), (b"transfer-encoding", b"chunked")], body),
        ("negative_length", "a length below zero", [(b"content-length", b"-1")], body),
        ("nul_header", "a NUL in a header", [(b"x-a", b"a\x00b")], body),
        ("bad_chunk", "a chunk whose size is no number", [(b"transfer-encoding", b"chunked")], b"zz\r\n\r\n"),
        ("huge_headers", "a megabyte of headers", [(b"x-a", b"a" * 8_000)] * 128, body),
    ):  # fmt: skip
        yield over_http(name, what, [_FORM, *headers], content, 400)
    chunk = f"{_CHUNK_BYTES:x}\r\n".encode() + b" " * _CHUNK_BYTES + b"\r\n"
    endless = chunk * _CHUNKS + b"0\r\n\r\n"
    headers = [_FORM, (b"transfer-encoding", b"chunked")]
    yield over_http("endless_chunks", "a body that does not say how long it is", headers, endless, 413, "size")
    yield over_http("made_up_method", "a method that is none", [_FORM], body, 400, method=b"BREW")
    yield over_http("wrong_method", "a method that is not for this", [_FORM], body, 405, method=b"PATCH")
