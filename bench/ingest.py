"""Measures how many events a second one ingest process takes over HTTP, acknowledged by Kafka, beside the bare way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from bench.ground import Ground
from bench.load import ANSWER_TIMEOUT_SECONDS, Loaded, Orders
from bench.report import contestant
from bench.sent import Sender
from bench.watch import Failed, Measured, cpu_of, peak_memory_mb
from deploy.local.http import wait_for_200
from deploy.local.ports import HOST
from deploy.local.progress import Steps
from deploy.local.specs import PYTHON, ROOT
from shared import topics

INGEST, BARE, GROUPED = "ingest", "bare", "bare_grouped"
LOAD: Final = "load"
# Both are manufacturers; two keys stay below what one key may send.
SENDERS: Final = ("manufacturer-1", "manufacturer-2")
WARM_UP_SECONDS: Final = 1.0
ROUND_SECONDS: Final = 5.0
START_TIMEOUT_SECONDS: Final = 30.0
KAFKA_TIMEOUT_SECONDS: Final = 10.0
# Generating what is sent is not in the time of a round.
PREPARE_TIMEOUT_SECONDS: Final = 30.0


class Shape(msgspec.Struct, frozen=True):
    """How events are sent: `events` a request over so many `connections`, each with one request under way."""

    name: str
    events: int
    connections: int


BATCHES, SINGLES = SHAPES = Shape("batches", 100, 8), Shape("singles", 1, 32)
WHAT: Final = {
    BARE: "Starlette, msgspec and an idempotent aiokafka producer, nothing checked",
    GROUPED: "the same, with one record batch for what a partition gets of a request",
    INGEST: "one ingest process: keys, catalogue, authority, normal form, acks=all",
}
# A single event is one record batch in either way.
TRIED: Final = {BARE: SHAPES, GROUPED: (BATCHES,), INGEST: SHAPES}


class Round(msgspec.Struct, frozen=True):
    """One contestant under one load."""

    measured: Measured
    loaded: Loaded


def ingest(ground: Ground, rounds: int, steps: Steps, seconds: float = ROUND_SECONDS) -> dict[str, Any]:
    """Every contestant in every shape, in turn. Raises Failed when one refuses, or Kafka has not what was answered."""
    found: dict[tuple[str, str], list[Round]] = {}
    for number in range(1, rounds + 1):
        for name, shapes in TRIED.items():
            with steps.step(f"{name} over HTTP, round {number} of {rounds}") as detail, _running(ground, name) as port:
                for shape in shapes:
                    detail(shape.name)
                    found.setdefault((name, shape.name), []).append(_round(ground, name, port, shape, seconds))
            for shape in shapes:
                rate = found[name, shape.name][-1].measured.rate
                steps.say(f"  {shape.name}: {rate:,.0f} events a second, all of them in Kafka")
    return {f"{name}_{shape}": _told(name, taken) for (name, shape), taken in found.items()}


def _told(name: str, rounds: list[Round]) -> dict[str, Any]:
    shape = {"p50_ms": [one.loaded.p50_ms for one in rounds], "p99_ms": [one.loaded.p99_ms for one in rounds]}
    busy = max(one.loaded.cpu_seconds / one.loaded.seconds for one in rounds)
    return contestant(WHAT[name], [one.measured for one in rounds], **shape, load_share_of_a_core=round(busy, 3))


def _round(ground: Ground, name: str, port: int, shape: Shape, seconds: float) -> Round:
    _load(ground, port, shape, min(seconds, WARM_UP_SECONDS))
    before, cpu = _recorded(ground), _cpu_seconds(ground, name)
    loaded = _load(ground, port, shape, seconds)
    spent = {process: round(used - cpu[process], 2) for process, used in _cpu_seconds(ground, name).items()}
    events, recorded = loaded.requests * shape.events, _recorded(ground) - before
    if recorded != events:
        raise Failed(f"{name} answered for {events:,} events, Kafka holds {recorded:,}")
    spent[LOAD] = round(loaded.cpu_seconds, 2)
    return Round(Measured(events, loaded.seconds, spent, peak_memory_mb(ground, name)), loaded)


def _load(ground: Ground, port: int, shape: Shape, seconds: float) -> Loaded:
    """Raises Failed if any answer is not 202, or none comes."""
    told = ground.stack.credentials["producers"]
    senders = tuple(Sender(told[name]["key"], told[name]["gln"][0]) for name in SENDERS)
    orders = Orders(HOST, port, senders, shape.connections, shape.events, seconds)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=msgspec.json.encode(orders),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=PYTHON,
            timeout=seconds + ANSWER_TIMEOUT_SECONDS + PREPARE_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise Failed(f"the load generator: {error}") from None
    loaded = msgspec.json.decode(done.stdout, type=Loaded)
    if loaded.refused is not None:
        raise Failed(f"an answer was not 202: {loaded.refused}")
    return loaded


@contextmanager
def _running(ground: Ground, name: str) -> Iterator[int]:
    """The port of the contestant, which runs meanwhile."""
    if name == INGEST:
        ground.stack.start_child(INGEST)
        try:
            yield ground.stack.ports.of(INGEST)
        finally:
            ground.stack.stop_child(INGEST)
        return
    port = ground.stack.ports.of(INGEST) + 1
    settings = ("PORT", str(port)), ("GROUPED", str(int(name == GROUPED)))
    ground.start_program(name, *settings, module=BARE)
    try:
        if not wait_for_200(
            f"http://{HOST}:{port}/ready", START_TIMEOUT_SECONDS, lambda: bool(ground.stack.children.deaths(name))
        ):
            raise Failed(f"{name} does not answer")
        yield port
    finally:
        ground.end(name)


def _recorded(ground: Ground) -> int:
    """How many records the trusted topics hold."""
    admin = AdminClient(ground.kafka)
    listed = admin.list_topics(timeout=KAFKA_TIMEOUT_SECONDS).topics
    ends = {
        TopicPartition(topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic in (topics.MOVEMENTS, topics.REGISTRY)
        for number in listed[topic].partitions
    }
    return sum(found.result(KAFKA_TIMEOUT_SECONDS).offset for found in admin.list_offsets(ends).values())


def _cpu_seconds(ground: Ground, name: str) -> dict[str, float]:
    return {process: cpu_of(ground.stack.pid(process)) for process in (name, "kafka")}
