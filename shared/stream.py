"""Turns settings into the security of a FastStream broker, for the services that consume with it."""

from __future__ import annotations

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.kafka import tls_context
from shared.settings import ServiceSettings


def faststream_security(settings: ServiceSettings) -> BaseSecurity:
    """The `security=` of a FastStream Kafka broker."""
    kinds = {"SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512, "PLAIN": SASLPlaintext}
    kind = kinds[settings.kafka_sasl_mechanism]
    context = tls_context(settings)
    password = settings.kafka_password.get_secret_value()
    return kind(settings.kafka_username, password, ssl_context=context, use_ssl=context is not None)
