"""Turns a consumed Kafka record into the bytes that the journal keeps and chains. Pure."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import msgspec

from services.supply.posting import POSTINGS
from shared.events import reader

_U32 = struct.Struct(">I")
_HEAD = struct.Struct(">IQq")  # partition, offset, timestamp in milliseconds
_NULL_LENGTH = 0xFFFFFFFF
_NULL = _U32.pack(_NULL_LENGTH)
CHAIN_START = bytes(32)

Header = tuple[str, bytes | None]


class Consumed(msgspec.Struct, gc=False):
    """One record as it came from a trusted topic. `event` is None where no reader understands it (`why` says so).

    `rows` and `identity` are what the ledger will most probably write of it, packed ahead (see rows.py).
    """

    topic_id: int
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: bytes
    value: bytes | None
    chain: bytes
    event: reader.Event | None
    event_key: bytes | None
    content: bytes | None
    why: str | None = None
    rows: bytes = b""
    identity: bytes = b""


# Lengths and header names recur in every record: their packed forms are made once.
_LENGTHS = [_U32.pack(length) for length in range(4096)]
_NAMES: dict[str, bytes] = {}
_TEXTS: dict[bytes, str] = {}
MAX_REMEMBERED_NAMES = 256


def _prefixed(part: bytes | None) -> bytes:
    return _NULL if part is None else _length(part) + part


def _length(part: bytes) -> bytes:
    length = len(part)
    return _LENGTHS[length] if length < 4096 else _U32.pack(length)


def _name(name: str) -> bytes:
    packed = _NAMES.get(name)
    if packed is None:
        packed = _prefixed(name.encode("utf-8", "surrogateescape"))
        if len(_NAMES) < MAX_REMEMBERED_NAMES:
            _NAMES[name] = packed
    return packed


def pack_headers(headers: Sequence[Header]) -> bytes:
    """The sorted headers: a count, then name and value of each, all lengths 32-bit big-endian (2^32-1: null)."""
    parts = [_U32.pack(len(headers))]
    try:
        ordered = sorted(headers)
    except TypeError:  # one name twice, once without a value
        ordered = sorted(headers, key=_in_order)
    for name, value in ordered:
        parts.append(_NAMES.get(name) or _name(name))
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(_length(value))
            parts.append(value)
    return b"".join(parts)


def _in_order(header: Header) -> tuple[str, bool, bytes]:
    """By name, then value, a null before an empty one."""
    name, value = header
    return (name, value is not None, value or b"")


def unpack_headers(packed: bytes) -> list[tuple[str, bytes]]:
    """The headers inside what pack_headers made; a null value reads as empty."""
    length_at = _U32.unpack_from
    found, at = [], 4
    for _ in range(length_at(packed)[0]):
        end = at + 4 + length_at(packed, at)[0]
        name = packed[at + 4 : end]
        length = length_at(packed, end)[0]
        at = end + 4
        end = at if length == _NULL_LENGTH else at + length
        found.append((_TEXTS.get(name) or _text(name), packed[at:end]))
        at = end
    return found


def _text(name: bytes) -> str:
    text = name.decode("utf-8", "surrogateescape")
    if len(_TEXTS) < MAX_REMEMBERED_NAMES:
        _TEXTS[name] = text
    return text


def named_in(headers: Sequence[Header]) -> tuple[str, str] | None:
    """Source and id that a record claims, also one that no reader understands; None where either is missing."""
    found = dict(headers)
    try:
        source, id_ = ((found.get(name) or b"").decode() for name in ("ce_source", "ce_id"))
    except UnicodeDecodeError:
        return None
    return (source, id_) if source and id_ else None


def read(key: bytes | None, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> reader.Event:
    """The event that a record holds. Raises reader.Unreadable, and nothing else.

    A fact or a mark is kept under its record's key, which therefore has to be a text as PostgreSQL holds it.
    """
    event = reader.read(headers, value)
    if key is not None and type(event.data) not in POSTINGS and type(event.data) is not reader.EventCorrected:
        try:
            if "\0" in key.decode():
                raise reader.Unreadable("the key holds a NUL")
        except UnicodeDecodeError:
            raise reader.Unreadable("the key is not UTF-8") from None
    return event


def link(
    before: bytes,
    topic: bytes,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    headers: bytes,
    value: bytes | None,
) -> bytes:
    """h(n) = SHA-256(h(n-1) ‖ topic ‖ partition ‖ offset ‖ timestamp ‖ key ‖ sorted headers ‖ value).

    Every variable part carries its length; neither batches nor the time of recording enter.
    """
    place = _HEAD.pack(partition, offset, timestamp_ms)
    about = (before, _length(topic), topic, place, _NULL if key is None else _length(key), key or b"")
    said = (_length(headers), headers, _NULL if value is None else _length(value), value or b"")
    return hashlib.sha256(b"".join((*about, *said))).digest()
