"""Logs in to a Kafka cluster for administration, and says when the cluster answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

REQUEST_TIMEOUT_SECONDS: Final = 15.0
PROBE_TIMEOUT_SECONDS: Final = 1.0
PROBE_EVERY_SECONDS: Final = 0.1

# librdkafka reports every refused connection; while waiting for a cluster they are expected.
_silent = logging.getLogger("supply_watch.kafka_admin")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@dataclass(frozen=True)
class AdminLogin:
    """Where a cluster is and who administers it."""

    bootstrap: str
    username: str
    password: str
    security_protocol: str = "SASL_SSL"
    sasl_mechanism: str = "SCRAM-SHA-256"
    ca_file: str | None = None

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
        }
        return config if self.ca_file is None else config | {"ssl.ca.location": self.ca_file}

    def client(self) -> AdminClient:
        return AdminClient(self.config(), logger=_silent)


def wait_until_answering(
    login: AdminLogin, timeout_seconds: float, cancelled: Callable[[], bool] = lambda: False
) -> bool:
    """Waits until the cluster answers `login` with at least one broker; False if it does not in time."""
    admin = login.client()
    end = time.monotonic() + timeout_seconds
    while not cancelled() and time.monotonic() < end:
        try:
            if admin.list_topics(timeout=PROBE_TIMEOUT_SECONDS).brokers:
                return True
        except KafkaException:
            pass
        time.sleep(PROBE_EVERY_SECONDS)
    return False
