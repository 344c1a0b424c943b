"""Brings a Kafka cluster to what topics.yaml and acls.yaml say, and sets its users' passwords. Safe to repeat.

python -m deploy.kafka.apply --bootstrap kafka:9092 --username admin --password-file admin.txt --users users.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from deploy.kafka.client import REQUEST_TIMEOUT_SECONDS, AdminLogin, why_silent
from deploy.kafka.plan import (
    ACLS_FILE,
    TOPICS_FILE,
    Grant,
    PlanError,
    TopicState,
    grant_changes,
    load_grants,
    topic_changes,
)
from shared.topic_layout import Topic, load_topics

SCRAM_ITERATIONS: Final = 4096
GRACE_SECONDS: Final = 5.0  # the request's own timeout comes first, and says more
VISIBLE_TIMEOUT_SECONDS: Final = 15.0
VISIBLE_POLL_SECONDS: Final = 0.05
T = TypeVar("T")
_RESOURCE: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}
_RESOURCE_NAME: Final = {kind: name for name, kind in _RESOURCE.items()}
_OPERATION: Final = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Delete": AclOperation.DELETE,
    "Alter": AclOperation.ALTER,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
    "IdempotentWrite": AclOperation.IDEMPOTENT_WRITE,
}
_OPERATION_NAME: Final = {operation: name for name, operation in _OPERATION.items()}


def apply(
    login: AdminLogin,
    users: Mapping[str, str],
    *,
    replication: int | None = None,
    topics_file: Path = TOPICS_FILE,
    acls_file: Path = ACLS_FILE,
) -> None:
    """Topics, rights and users (name to password), in this order. Raises PlanError or KafkaException."""
    admin = login.client()
    apply_topics(admin, load_topics(topics_file, replication=replication))
    apply_grants(admin, load_grants(acls_file))
    apply_users(admin, users)
    for name, password in users.items():
        # Brokers learn of a password some moments after it has been set.
        reason = why_silent(replace(login, username=name, password=password), VISIBLE_TIMEOUT_SECONDS)
        if reason is not None:
            raise PlanError(
                f"{name} cannot log in {VISIBLE_TIMEOUT_SECONDS:.0f} s after its password was set: {reason}"
            )


def apply_topics(admin: AdminClient, wanted: Iterable[Topic]) -> None:
    """Creates what is missing, changes settings that differ, waits until every partition has a leader."""
    topics = tuple(wanted)
    changes = topic_changes(topics, _topics_found(admin, [topic.name for topic in topics]))
    new = [
        NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config)) for topic in changes.create
    ]
    if new:
        _results(admin.create_topics(new, request_timeout=REQUEST_TIMEOUT_SECONDS), tolerated=_ALREADY_THERE)
    altered = [_alteration(name, config) for name, config in changes.configure.items()]
    if altered:
        _results(admin.incremental_alter_configs(altered, request_timeout=REQUEST_TIMEOUT_SECONDS))
    _wait_for_leaders(admin, topics)


_ALREADY_THERE: Final = KafkaError.TOPIC_ALREADY_EXISTS


def _results(futures: Mapping[Any, Future[Any]], *, tolerated: int | None = None) -> dict[Any, Any]:
    """The result of each request; raises the first failure that is not tolerated."""
    results = {}
    for subject, future in futures.items():
        try:
            results[subject] = answered(future)
        except KafkaException as error:
            if error.args[0].code() != tolerated:
                raise
    return results


def answered(future: Future[T]) -> T:
    """The result of a request. Raises KafkaException, also when the client itself never says how it went."""
    try:
        return future.result(REQUEST_TIMEOUT_SECONDS + GRACE_SECONDS)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


def _topics_found(admin: AdminClient, names: list[str]) -> dict[str, TopicState]:
    known = admin.list_topics(timeout=REQUEST_TIMEOUT_SECONDS).topics
    there = [name for name in names if name in known]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in there]
    if not resources:
        return {}
    configs = _results(admin.describe_configs(resources, request_timeout=REQUEST_TIMEOUT_SECONDS))
    return {
        resource.name: TopicState(
            len(known[resource.name].partitions), {key: entry.value for key, entry in config.items()}
        )
        for resource, config in configs.items()
    }


def _alteration(name: str, config: Mapping[str, str]) -> ConfigResource:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in sorted(config.items())
    ]
    return ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)


def _wait_for_leaders(admin: AdminClient, topics: tuple[Topic, ...]) -> None:
    end = time.monotonic() + VISIBLE_TIMEOUT_SECONDS
    while True:
        known = admin.list_topics(timeout=REQUEST_TIMEOUT_SECONDS).topics
        leaderless = [
            topic.name
            for topic in topics
            if topic.name not in known or any(p.leader < 0 for p in known[topic.name].partitions.values())
        ]
        if not leaderless:
            return
        if time.monotonic() > end:
            raise PlanError(f"no leader for {', '.join(leaderless)} after {VISIBLE_TIMEOUT_SECONDS:.0f} s")
        time.sleep(VISIBLE_POLL_SECONDS)


def apply_grants(admin: AdminClient, wanted: frozenset[Grant]) -> None:
    """Adds the rights that are missing and removes those beyond `wanted` of the principals that it names."""
    add, remove = grant_changes(wanted, _grants_found(admin))
    if add:
        _results(admin.create_acls([_binding(grant) for grant in sorted(add)], request_timeout=REQUEST_TIMEOUT_SECONDS))
    if remove:
        filters = [_filter(grant) for grant in sorted(remove)]
        _results(admin.delete_acls(filters, request_timeout=REQUEST_TIMEOUT_SECONDS))


def _grants_found(admin: AdminClient) -> frozenset[Grant]:
    anyone: Any = None
    everything = AclBindingFilter(
        ResourceType.ANY, anyone, ResourcePatternType.ANY, anyone, anyone, AclOperation.ANY, AclPermissionType.ANY
    )
    bindings = answered(admin.describe_acls(everything, request_timeout=REQUEST_TIMEOUT_SECONDS))
    return frozenset(
        Grant(
            binding.principal.removeprefix("User:"),
            _RESOURCE_NAME.get(binding.restype, binding.restype.name),
            binding.name,
            binding.resource_pattern_type == ResourcePatternType.PREFIXED,
            _OPERATION_NAME.get(binding.operation, binding.operation.name),
        )
        for binding in bindings
    )


def _acl_fields(grant: Grant) -> tuple[Any, ...]:
    pattern = ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL
    operation = _OPERATION[grant.operation] if grant.operation in _OPERATION else AclOperation[grant.operation]
    resource = _RESOURCE[grant.resource] if grant.resource in _RESOURCE else ResourceType[grant.resource]
    return resource, grant.name, pattern, f"User:{grant.principal}", "*", operation, AclPermissionType.ALLOW


def _binding(grant: Grant) -> AclBinding:
    return AclBinding(*_acl_fields(grant))


def _filter(grant: Grant) -> AclBindingFilter:
    return AclBindingFilter(*_acl_fields(grant))


def apply_users(admin: AdminClient, users: Mapping[str, str]) -> None:
    """Sets the SCRAM password of each user; a user that is not there is created."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, SCRAM_ITERATIONS)
    changes: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, info, password.encode()) for name, password in sorted(users.items())
    ]
    if changes:
        _results(admin.alter_user_scram_credentials(changes, request_timeout=REQUEST_TIMEOUT_SECONDS))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.kafka.apply", description=__doc__)
    parser.add_argument("--bootstrap", required=True, help="host:port of a broker")
    parser.add_argument("--username", default="admin", help="who administers the cluster")
    parser.add_argument("--password-file", type=Path, help="its password (else KAFKA_ADMIN_PASSWORD)")
    parser.add_argument("--security-protocol", default="SASL_SSL")
    parser.add_argument("--sasl-mechanism", default="SCRAM-SHA-256")
    parser.add_argument("--ca-file", help="certificate authority of the brokers")
    parser.add_argument("--replication", type=int, help="replaces the replication of topics.yaml on small clusters")
    parser.add_argument("--users", type=Path, help="JSON file: name of a user to its password")
    parser.add_argument("--wait-seconds", type=float, default=0.0, help="how long to wait for a cluster that is away")
    chosen = parser.parse_args()
    password = chosen.password_file.read_text().strip() if chosen.password_file else os.environ["KAFKA_ADMIN_PASSWORD"]
    users = json.loads(chosen.users.read_bytes()) if chosen.users else {}
    login = AdminLogin(
        chosen.bootstrap, chosen.username, password, chosen.security_protocol, chosen.sasl_mechanism, chosen.ca_file
    )
    silent = why_silent(login, chosen.wait_seconds) if chosen.wait_seconds else None
    if silent is not None:
        sys.exit(f"cannot apply: {chosen.bootstrap} does not answer: {silent}")
    try:
        apply(login, users, replication=chosen.replication)
    except (PlanError, KafkaException) as error:
        print(f"cannot apply: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
