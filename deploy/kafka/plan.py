"""Reads acls.yaml and decides what a cluster still needs of topics and rights. Pure: no cluster is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from shared.topic_layout import Topic

TOPICS_FILE: Final = Path(__file__).with_name("topics.yaml")
ACLS_FILE: Final = Path(__file__).with_name("acls.yaml")
RESOURCES: Final = ("topic", "group", "cluster")


class PlanError(Exception):
    """The data, or the cluster that it meets, is such that nothing may be changed."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """`principal` may do `operation` on a resource: a topic, group or cluster by its name, or by its prefix."""

    principal: str
    resource: str
    name: str
    prefixed: bool
    operation: str


def load_grants(file: Path = ACLS_FILE) -> frozenset[Grant]:
    """Every right of `file`, one a principal, resource and operation."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    return frozenset(grant for principal, rules in data.items() for rule in rules for grant in _grants(principal, rule))


def _grants(principal: str, rule: Mapping[str, Any]) -> Iterable[Grant]:
    named = [resource for resource in RESOURCES if resource in rule]
    if len(named) != 1 or rule.keys() - {*RESOURCES, "prefixed", "operations"}:
        raise PlanError(f"acls of {principal}: a rule names one of {', '.join(RESOURCES)}: {dict(rule)}")
    for operation in rule["operations"]:
        yield Grant(principal, named[0], rule[named[0]], rule.get("prefixed", False), operation)


@dataclass(frozen=True, slots=True)
class TopicState:
    """What the cluster says of a topic that it has."""

    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """Topics to create, and settings to change of those that are there."""

    create: tuple[Topic, ...]
    configure: Mapping[str, Mapping[str, str]]


def topic_changes(wanted: Iterable[Topic], found: Mapping[str, TopicState]) -> TopicChanges:
    """Raises PlanError where a topic is there with another number of partitions: that can never be mended in place."""
    create, configure = [], {}
    for topic in wanted:
        state = found.get(topic.name)
        if state is None:
            create.append(topic)
            continue
        if state.partitions != topic.partitions:
            raise PlanError(f"{topic.name} has {state.partitions} partitions instead of {topic.partitions}")
        if different := {key: value for key, value in topic.config.items() if state.config.get(key) != value}:
            configure[topic.name] = different
    return TopicChanges(tuple(create), configure)


def grant_changes(wanted: frozenset[Grant], found: frozenset[Grant]) -> tuple[frozenset[Grant], frozenset[Grant]]:
    """What to add, and what to take from the principals that `wanted` names. Others keep what they have."""
    ours = {grant.principal for grant in wanted}
    return wanted - found, frozenset(grant for grant in found - wanted if grant.principal in ours)
