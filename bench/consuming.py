"""What the two contestants share: where Kafka and the database are, and where to go on in each partition."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition

FETCH_MAX_BYTES: Final = 16 * 1024 * 1024
PARTITION_FETCH_MAX_BYTES: Final = 4 * 1024 * 1024


class Settings(msgspec.Struct, frozen=True):
    """The settings of a contestant, from its environment."""

    database_url: str
    kafka_bootstrap: str
    kafka_username: str
    kafka_password: str
    batch_records: int
    group: str

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        texts = {name: environment[f"BENCH_{name.upper()}"] for name in cls.__struct_fields__ if name != "group"}
        return cls(**{**texts, "batch_records": int(texts["batch_records"]), "group": f"bench-{uuid.uuid4()}"})  # type: ignore[arg-type]


def go_on(consumer: Any, stands: Mapping[TopicPartition, int]) -> None:
    """Seeks to the positions. A place at 0 is where a new group begins by itself, and may have begun already."""
    for place, offset in stands.items():
        if offset:
            consumer.seek(place, offset)
