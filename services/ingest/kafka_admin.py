"""Gives a producer its own way into Kafka, and takes it away: user, topic inbound.<producer>, right to write there."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from services.ingest.settings import IngestSettings
from shared import topics
from shared.errors import Transient
from shared.kafka import confluent_config
from shared.topic_layout import producer_topic

REQUEST_TIMEOUT_SECONDS: Final = 10.0
PASSWORD_BYTES: Final = 24
SCRAM_ITERATIONS: Final = 4096
_MECHANISMS: Final = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
_RIGHTS: Final = (AclOperation.WRITE, AclOperation.DESCRIBE)
_log = logging.getLogger(__name__)


class KafkaAdmin:
    """Administration of producers on Kafka. Every method is safe to repeat and raises Transient if Kafka is away."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._client: AdminClient | None = None

    async def admit(self, producer: str, username: str) -> str:
        """The password of `username`, who may from now on write to the producer's own topic."""
        password = _password()
        await asyncio.to_thread(self._admit, producer, username, password)
        return password

    async def expel(self, producer: str, username: str) -> None:
        """Takes the right first: connections that are open end there. Then the password becomes one nobody knows.

        The user is not deleted: a broker of Kafka 4.3 that reads its metadata log from the beginning forgets every
        SCRAM user if a deleted one comes first in its hash map (`ScramDelta.apply` drops the mechanism when its users
        are none for a moment), and after a restart nobody can log in any more.
        """
        await asyncio.to_thread(self._expel, producer, username)

    def _admin(self) -> AdminClient:
        if self._client is None:
            password = self._settings.kafka_admin_password.get_secret_value()
            login = {"sasl.username": self._settings.kafka_admin_username, "sasl.password": password}
            self._client = AdminClient({**confluent_config(self._settings), **login}, logger=_log)
        return self._client

    def _admit(self, producer: str, username: str, password: str) -> None:
        settings, admin = self._settings, self._admin()
        wanted = producer_topic(producer, settings.topics_file, replication=settings.inbound_replication or None)
        topic = NewTopic(wanted.name, wanted.partitions, wanted.replication, config=dict(wanted.config))
        _wait(admin.create_topics([topic], request_timeout=REQUEST_TIMEOUT_SECONDS), KafkaError.TOPIC_ALREADY_EXISTS)
        self._set_password(username, password)
        granted = [_acl(AclBinding, producer, username, right) for right in _RIGHTS]
        _wait(admin.create_acls(granted, request_timeout=REQUEST_TIMEOUT_SECONDS))

    def _expel(self, producer: str, username: str) -> None:
        taken = [_acl(AclBindingFilter, producer, username, right) for right in _RIGHTS]
        _wait(self._admin().delete_acls(taken, request_timeout=REQUEST_TIMEOUT_SECONDS))
        self._set_password(username, _password())

    def _set_password(self, username: str, password: str) -> None:
        info = ScramCredentialInfo(self._mechanism, SCRAM_ITERATIONS)
        change = UserScramCredentialUpsertion(username, info, password.encode())
        _wait(self._admin().alter_user_scram_credentials([change], request_timeout=REQUEST_TIMEOUT_SECONDS))

    @property
    def _mechanism(self) -> ScramMechanism:
        return _MECHANISMS[self._settings.kafka_sasl_mechanism]


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _acl(kind: type[Any], producer: str, username: str, right: AclOperation) -> Any:
    return kind(
        ResourceType.TOPIC,
        topics.inbound(producer),
        ResourcePatternType.LITERAL,
        f"User:{username}",
        "*",
        right,
        AclPermissionType.ALLOW,
    )


def _wait(futures: Mapping[Any, Future[Any]], *tolerated: int) -> None:
    """Waits for every request. Raises Transient for what may pass, KafkaException for what is a bug."""
    for error in _failures(futures.values()):
        if error.code() in tolerated:
            continue
        if error.retriable() or error.code() in _AWAY:
            raise Transient(f"Kafka's administration is away: {error.name()}")
        raise KafkaException(error)


_AWAY: Final = (
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.REQUEST_TIMED_OUT,
)


def _failures(futures: Iterable[Future[Any]]) -> Iterable[KafkaError]:
    for future in futures:
        try:
            future.result(REQUEST_TIMEOUT_SECONDS * 2)
        except KafkaException as error:
            yield error.args[0]
        except TimeoutError:
            yield KafkaError(KafkaError._TIMED_OUT)
