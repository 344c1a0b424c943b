"""Turns settings into the options of the Kafka clients in use: aiokafka and confluent-kafka."""

from __future__ import annotations

import ssl
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.helpers import create_ssl_context

from shared import kafka_connection
from shared.settings import ServiceSettings

kafka_connection.install()

REQUEST_TIMEOUT_MS: Final = 10_000
# Above the session's timeout: that long may Kafka keep a consumer waiting that joins a group.
CONSUMER_REQUEST_TIMEOUT_MS: Final = 15_000
SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_INTERVAL_MS: Final = 2_000
PRODUCER_BATCH_BYTES: Final = 256 * 1024
PRODUCER_LINGER_MS: Final = 2
# Above the topics' max.message.bytes, so that the broker's limit is the one that counts.
PRODUCER_REQUEST_BYTES: Final = 8 * 1024 * 1024


def tls_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    if not settings.kafka_security_protocol.endswith("SSL"):
        return None
    cafile = None if settings.kafka_ca_file is None else str(settings.kafka_ca_file)
    context: ssl.SSLContext = create_ssl_context(cafile=cafile)
    return context


def security(settings: ServiceSettings) -> dict[str, Any]:
    """Options of an aiokafka client."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.kafka_security_protocol,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_username,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
        "ssl_context": tls_context(settings),
    }


def confluent_config(settings: ServiceSettings) -> dict[str, Any]:
    """Options of a confluent-kafka client."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_username,
        "sasl.password": settings.kafka_password.get_secret_value(),
    }
    if settings.kafka_ca_file is not None:
        config["ssl.ca.location"] = str(settings.kafka_ca_file)
    return config


def producer(settings: ServiceSettings) -> AIOKafkaProducer:
    """An idempotent producer (acks=all), not started. Its callers name the partition of every record."""
    return AIOKafkaProducer(
        **security(settings),
        client_id=f"{settings.SERVICE}-{settings.instance}",
        enable_idempotence=True,
        acks="all",
        linger_ms=PRODUCER_LINGER_MS,
        max_batch_size=PRODUCER_BATCH_BYTES,
        max_request_size=PRODUCER_REQUEST_BYTES,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        compression_type=None,
    )
