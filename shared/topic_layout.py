"""Reads from the file of topics (deploy/kafka/topics.yaml) how each one is laid out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared import topics


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as wanted. `config` holds every setting that differs from the broker's own."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def load_topics(file: Path, *, replication: int | None = None) -> tuple[Topic, ...]:
    """The topics of `file`; `replication` replaces that of the file on smaller clusters."""
    data = _read(file)
    return tuple(_topic(entry["name"], entry, data["defaults"], replication) for entry in data["topics"])


def producer_topic(producer: str, file: Path, *, replication: int | None = None) -> Topic:
    """The inbound topic of one producer, by `producer_topic` of `file`."""
    data = _read(file)
    return _topic(topics.inbound(producer), data["producer_topic"], data["defaults"], replication)


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _topic(name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any], replication: int | None) -> Topic:
    copies = replication or entry.get("replication", defaults["replication"])
    in_sync = min(copies, entry.get("min_insync", defaults["min_insync"]))
    config = {**defaults["config"], "min.insync.replicas": str(in_sync), **entry.get("config", {})}
    return Topic(name, entry["partitions"], copies, config)
