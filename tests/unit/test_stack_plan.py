"""What a Kafka cluster still needs, decided from data."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaException

from deploy.kafka import apply
from deploy.kafka.plan import (
    TOPICS_FILE,
    Grant,
    PlanError,
    TopicState,
    grant_changes,
    load_grants,
    topic_changes,
)
from shared import topics
from shared.topic_layout import load_topics, producer_topic

ON_A_CLUSTER = {topic.name: topic for topic in load_topics(TOPICS_FILE)}


def test_every_topic_of_the_system_is_in_the_data_and_no_other() -> None:
    named = {topics.MOVEMENTS, topics.REGISTRY, topics.REJECTED, topics.ACCESS}
    assert set(ON_A_CLUSTER) == named | {topics.SIGNALS, topics.CHECKPOINTS, topics.ALERTS}


def test_limits_grow_along_the_way_of_an_event() -> None:
    def limit(config: dict[str, str]) -> int:
        return int(config["max.message.bytes"])

    inbound = limit(dict(producer_topic("someone", TOPICS_FILE).config))
    trusted = [limit(dict(ON_A_CLUSTER[name].config)) for name in (topics.MOVEMENTS, topics.REGISTRY)]
    rejected = limit(dict(ON_A_CLUSTER[topics.REJECTED].config))
    assert 1024 * 1024 < inbound < min(trusted) <= max(trusted) < rejected


def test_what_the_ledger_is_made_from_is_kept_for_ever_and_timed_by_the_broker() -> None:
    for name in (topics.MOVEMENTS, topics.REGISTRY, topics.CHECKPOINTS):
        config = ON_A_CLUSTER[name].config
        assert config["retention.ms"] == "-1"
        assert config["cleanup.policy"] == "delete"
        assert config["message.timestamp.type"] == "LogAppendTime"


def test_a_small_cluster_gets_fewer_copies_and_asks_for_no_more_in_sync() -> None:
    for topic in (*load_topics(TOPICS_FILE, replication=1), producer_topic("someone", TOPICS_FILE, replication=1)):
        assert (topic.replication, topic.config["min.insync.replicas"]) == (1, "1")
    assert ON_A_CLUSTER[topics.MOVEMENTS].replication == 3
    assert ON_A_CLUSTER[topics.MOVEMENTS].config["min.insync.replicas"] == "2"


def test_a_topic_that_is_as_wanted_is_left_alone() -> None:
    wanted = load_topics(TOPICS_FILE, replication=1)
    found = {topic.name: TopicState(topic.partitions, {**topic.config, "other": "1"}) for topic in wanted}
    changes = topic_changes(wanted, found)
    assert (changes.create, changes.configure) == ((), {})


def test_only_settings_that_differ_are_changed() -> None:
    wanted = ON_A_CLUSTER[topics.SIGNALS]
    found = {wanted.name: TopicState(wanted.partitions, {**wanted.config, "cleanup.policy": "delete"})}
    assert topic_changes([wanted], found).configure == {wanted.name: {"cleanup.policy": "compact"}}


def test_another_number_of_partitions_stops_everything() -> None:
    wanted = ON_A_CLUSTER[topics.MOVEMENTS]
    with pytest.raises(PlanError, match=r"supply\.movements\.v1 has 7 partitions instead of 6"):
        topic_changes([wanted], {wanted.name: TopicState(7, wanted.config)})


def test_no_service_writes_what_another_one_owns() -> None:
    writers: dict[str, set[str]] = {}
    for grant in load_grants():
        if grant.resource == "topic" and grant.operation == "Write":
            writers.setdefault(grant.name, set()).add(grant.principal)
    assert writers == {
        topics.MOVEMENTS: {"ingest"},
        topics.REGISTRY: {"ingest"},
        topics.REJECTED: {"ingest"},
        topics.ACCESS: {"ingest"},
        topics.SIGNALS: {"supply"},
        topics.CHECKPOINTS: {"supply"},
        topics.ALERTS: {"alerts"},
    }


def test_rights_beyond_the_data_are_taken_from_those_it_names_alone() -> None:
    wanted = frozenset({Grant("supply", "topic", "a", False, "Read")})
    stale = Grant("supply", "topic", "b", False, "Write")
    producer = Grant("manufacturer-1", "topic", "inbound.manufacturer-1", False, "Write")
    assert grant_changes(wanted, frozenset({stale, producer})) == (wanted, frozenset({stale}))


def test_a_cluster_that_never_answers_a_request_is_a_failure_that_a_start_can_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apply, "REQUEST_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(apply, "GRACE_SECONDS", 0.001)
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        apply.answered(Future())
