"""Logs in to a Kafka cluster for administration, and says when the cluster answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

REQUEST_TIMEOUT_SECONDS: Final = 15.0
PROBE_TIMEOUT_SECONDS: Final = 1.0
PROBE_EVERY_SECONDS: Final = 0.1
REASONS_KEPT: Final = 6

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

    def client(self, on_error: Callable[[KafkaError], None] = lambda error: None) -> AdminClient:
        """`on_error` is told of lost and refused connections and log-ins."""
        return AdminClient(self.config() | {"error_cb": on_error}, logger=_silent)


def why_silent(login: AdminLogin, timeout_seconds: float, cancelled: Callable[[], bool] = lambda: False) -> str | None:
    """Waits until the cluster answers `login` with at least one broker: None. Else what kept it from it."""
    reasons = ["it was not waited for"]
    admin = login.client(lambda error: reasons.append(error.str()))
    end = time.monotonic() + timeout_seconds
    while not cancelled() and time.monotonic() < end:
        try:
            if admin.list_topics(timeout=PROBE_TIMEOUT_SECONDS).brokers:
                return None
            reasons.append("no broker is in service")
        except KafkaException as error:
            reasons.append(error.args[0].str())
        del reasons[:-REASONS_KEPT]
        time.sleep(PROBE_EVERY_SECONDS)
    return "; ".join(dict.fromkeys(reasons))
