"""The bare edge: a consumer, a JSON decoder and an idempotent producer, as a reader of their documentation writes it.

What is JSON goes on to another topic with its key and headers, what is not is dropped; the offsets of a batch are
committed when Kafka has acknowledged it. Nothing else is checked, nobody is asked whose topic it is, nothing is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer

BATCH_RECORDS: Final = 2_000  # as many as ingest takes together
WAIT_SECONDS: Final = 0.1
FLUSH_TIMEOUT_SECONDS: Final = 30.0

_decode = msgspec.json.Decoder().decode


def config(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """How to log in."""
    return {
        "bootstrap.servers": environment["BENCH_KAFKA_BOOTSTRAP"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": environment["BENCH_KAFKA_USERNAME"],
        "sasl.password": environment["BENCH_KAFKA_PASSWORD"],
    }


def run() -> None:
    consumer = Consumer(
        {
            **config(),
            "group.id": os.environ["BENCH_GROUP"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer({**config(), "enable.idempotence": True, "acks": "all"})
    consumer.subscribe(os.environ["BENCH_TOPICS"].split(","))
    while True:
        messages = consumer.consume(BATCH_RECORDS, WAIT_SECONDS)
        for message in messages:
            _pass_on(producer, os.environ["BENCH_SCRATCH"], message)
        if messages:
            if left := producer.flush(FLUSH_TIMEOUT_SECONDS):
                raise TimeoutError(f"Kafka did not acknowledge {left} records")
            consumer.commit(asynchronous=False)


def _pass_on(producer: Producer, topic: str, message: Message) -> None:
    if (error := message.error()) is not None:
        raise KafkaException(error)
    value = message.value() or b""
    try:
        _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    producer.produce(topic, value, message.key(), headers=message.headers(), on_delivery=_acknowledged)


def _acknowledged(error: Any, _: Message) -> None:
    if error is not None:
        raise KafkaException(error)


if __name__ == "__main__":
    run()
