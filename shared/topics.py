"""Names the topics and decides the partition of a key, alike for every client library."""

from __future__ import annotations

from typing import Final

MOVEMENTS: Final = "supply.movements.v1"
REGISTRY: Final = "supply.registry.v1"
REJECTED: Final = "supply.rejected.v1"
ACCESS: Final = "supply.access.v1"
SIGNALS: Final = "supply.signals.v1"
CHECKPOINTS: Final = "supply.checkpoints.v1"
ALERTS: Final = "supply.alerts.v1"

INBOUND_PREFIX: Final = "inbound."


def inbound(producer: str) -> str:
    """The topic of what `producer` alone writes."""
    return INBOUND_PREFIX + producer


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 of `key`, unsigned.

    Source: org.apache.kafka.common.utils.Utils.murmur2 (the function; its constants are the algorithm's).
    """
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
    if rest := key[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of `partitions`: murmur2, sign bit dropped, as Kafka's own partitioner."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
