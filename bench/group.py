"""Watches a consumer group commit from its first offset to the end of its topics: time, processor, memory on the way.

The clock starts at the first commit that is seen, and stops when all that lies in the topics is committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.ground import Ground
from bench.watch import (
    STALL_TIMEOUT_SECONDS,
    START_TIMEOUT_SECONDS,
    Failed,
    Measured,
    all_alive,
    cpu_seconds,
    peak_memory_mb,
)

POLL_SECONDS: Final = 0.02
REQUEST_TIMEOUT_SECONDS: Final = 10.0
# A member that was stopped is remembered until its session ends.
FORGOTTEN_WITHIN_SECONDS: Final = 30.0
SHARES: Final = (0.1, 0.5, 1.0)


class Watched(msgspec.Struct, frozen=True):
    """One run, and the resident MB of its process when each of `SHARES` of the records was committed."""

    measured: Measured
    resident_mb: list[float]


class Group:
    """The committed offsets of one consumer group over some partitions."""

    def __init__(self, login: dict[str, Any], name: str, partitions: Sequence[TopicPartition]) -> None:
        self._login, self.name, self._partitions = login, name, list(partitions)
        self._client = Consumer({**login, "group.id": name})

    def close(self) -> None:
        self._client.close()

    def stands(self) -> int:
        """How many records are committed, of topics that begin at 0."""
        committed = self._client.committed(self._partitions, timeout=REQUEST_TIMEOUT_SECONDS)
        return sum(max(0, one.offset) for one in committed)

    def forget(self) -> None:
        """Removes the group, so that it begins anew. Raises Failed while somebody is in it."""
        admin, limit = AdminClient(self._login), time.monotonic() + FORGOTTEN_WITHIN_SECONDS
        while time.monotonic() < limit:
            try:
                admin.delete_consumer_groups([self.name])[self.name].result(REQUEST_TIMEOUT_SECONDS)
                return
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return
                if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                    raise
            time.sleep(POLL_SECONDS)
        raise Failed(f"the group {self.name} has members still")

    def watch(self, ground: Ground, name: str, end: int, say: Callable[[str], None]) -> Watched:
        """Waits until `end` records are committed by the process `name`. Raises Failed."""
        first = self._moved(ground, name, 0, START_TIMEOUT_SECONDS)
        if first >= end:
            raise Failed(f"{name}: all of {end:,} records were committed at once, too few to say anything")
        began, cpu = time.monotonic(), cpu_seconds(ground, [name])
        stands, resident = first, [_resident_mb(ground, name)] * sum(first >= share * end for share in SHARES)
        while stands < end:
            stands = self._moved(ground, name, stands, STALL_TIMEOUT_SECONDS)
            say(f"{stands:,} of {end:,}")
            while len(resident) < len(SHARES) and stands >= SHARES[len(resident)] * end:
                resident.append(_resident_mb(ground, name))
        seconds = time.monotonic() - began
        spent = {process: round(used - cpu[process], 2) for process, used in cpu_seconds(ground, [name]).items()}
        return Watched(Measured(end - first, seconds, spent, peak_memory_mb(ground, name)), resident)

    def _moved(self, ground: Ground, name: str, before: int, timeout_seconds: float) -> int:
        """Where it stands, once that is beyond `before`."""
        limit = time.monotonic() + timeout_seconds
        while time.monotonic() < limit:
            if (stands := self.stands()) > before:
                return stands
            all_alive(ground, [name])
            time.sleep(POLL_SECONDS)
        raise Failed(f"{name}: the group {self.name} stands at {before:,} for {timeout_seconds:.0f} s")


def _resident_mb(ground: Ground, name: str) -> float:
    return round(psutil.Process(ground.stack.pid(name)).memory_info().rss / 2**20, 1)
