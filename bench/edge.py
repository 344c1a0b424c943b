"""Measures how many records a second one ingest process settles from the topics of producers, beside the bare edge."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.expected import Wrong
from bench.fill import write
from bench.ground import Ground
from bench.group import POLL_SECONDS, SHARES, Group, Watched
from bench.inbound import PARTITIONS, Expected, Place, told
from bench.ingest import INGEST, KAFKA_TIMEOUT_SECONDS, SENDERS
from bench.report import contestant
from bench.sent import Sender
from bench.watch import Failed
from deploy.local.postgres import SUPERUSER
from deploy.local.progress import Steps
from shared import topics

EDGE, BARE_EDGE = "edge", "bare_edge"
GROUP: Final = "ingest-edge"
TRUSTED: Final = (topics.MOVEMENTS, topics.REGISTRY)
SCRATCH: Final = "bench.scratch"
SCRATCH_PARTITIONS: Final = 6
READ_AT_ONCE: Final = 5_000
READ_TIMEOUT_SECONDS: Final = 30.0
WHAT: Final = {
    BARE_EDGE: "confluent-kafka, msgspec and an idempotent producer, nothing checked",
    EDGE: "one ingest process: catalogue, authority, normal form, acks=all, what is refused kept in PostgreSQL",
}
Ends = dict[tuple[str, int], int]
Say = Callable[[str], None]


def edge(ground: Ground, records: int, rounds: int, steps: Steps) -> tuple[dict[str, Any], Expected]:
    """The results, and what every round came to.

    Every contestant in turn, from the beginning of the same topics. Raises Failed, NotWritten, or Wrong."""
    with steps.step("filling the topics of producers") as detail:
        detail(f"{records:,} records")
        expected = _filled(ground, records)
        _make_scratch(ground)
    runs = {BARE_EDGE: _bare, EDGE: _ingest}
    found: dict[str, list[Watched]] = {name: [] for name in runs}
    for number in range(1, rounds + 1):
        for name, run in runs.items():
            with steps.step(f"{name}, round {number} of {rounds}") as detail:
                found[name].append(run(ground, expected, detail))
            steps.say(f"  {found[name][-1].measured.rate:,.0f} records a second, each of them as it must be")
    results = {name: _told(name, taken) for name, taken in found.items()}
    results[EDGE] |= {
        "records": expected.records,
        "hostile": len(expected.codes),
        "to_bare_edge": round(results[EDGE]["rate"]["median"] / results[BARE_EDGE]["rate"]["median"], 3),
    }
    return results, expected


def _told(name: str, rounds: list[Watched]) -> dict[str, Any]:
    resident = {f"at_{share:.0%}": [one.resident_mb[at] for one in rounds] for at, share in enumerate(SHARES)}
    return contestant(WHAT[name], [one.measured for one in rounds], resident_mb=resident)


# What is there.


def _filled(ground: Ground, records: int) -> Expected:
    told_of = ground.stack.credentials["producers"]
    senders = {name: Sender(told_of[name]["key"], told_of[name]["gln"][0]) for name in SENDERS}
    if any(ends(ground, map(topics.inbound, senders)).values()):
        raise Failed("the topics of producers are not empty")
    expected = Expected()
    for name, sender in senders.items():
        [foreign] = {other.gln for other in senders.values()} - {sender.gln}
        said = told(name, sender, foreign, records // len(senders), expected)
        write(ground.kafka, topics.inbound(name), PARTITIONS, said)
    if sum(ends(ground, map(topics.inbound, senders)).values()) != expected.records:
        raise Failed("the topics of producers do not hold what was written")
    return expected


def _make_scratch(ground: Ground) -> None:
    wanted = NewTopic(SCRATCH, SCRATCH_PARTITIONS, 1, config={"max.message.bytes": "2097152"})
    admin = AdminClient(ground.kafka)  # an answer comes as long as its client lives
    try:
        admin.create_topics([wanted])[SCRATCH].result(KAFKA_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise Failed(f"the topic {SCRATCH}: {error}") from None
    limit = time.monotonic() + KAFKA_TIMEOUT_SECONDS
    while not _is_led(ground, SCRATCH):
        if time.monotonic() > limit:
            raise Failed(f"the topic {SCRATCH} has no leader")
        time.sleep(POLL_SECONDS)


def _is_led(ground: Ground, topic: str) -> bool:
    """Whether the broker has taken it up, which may be later than its creation is told."""
    try:
        return len(ends(ground, [topic])) > 0
    except KafkaException as error:
        if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
            raise
        return False


def ends(ground: Ground, names: Iterable[str]) -> Ends:
    """Where the next record of each partition of these topics will lie."""
    admin = AdminClient(ground.kafka)
    listed = admin.list_topics(timeout=KAFKA_TIMEOUT_SECONDS).topics
    asked = {
        TopicPartition(topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic in names
        for number in (listed[topic].partitions if topic in listed else ())
    }
    found = admin.list_offsets(asked).items()
    return {(at.topic, at.partition): end.result(KAFKA_TIMEOUT_SECONDS).offset for at, end in found}


@contextmanager
def _group(ground: Ground, name: str) -> Iterator[Group]:
    partitions = [TopicPartition(topics.inbound(one), number) for one in SENDERS for number in range(PARTITIONS)]
    group = Group(ground.kafka, name, partitions)
    try:
        yield group
    finally:
        group.close()


# The contestants.


def _ingest(ground: Ground, expected: Expected, say: Say) -> Watched:
    """On an empty table of rejections, with a group that begins anew. Raises Wrong unless each record ended once."""
    asyncio.run(_without_rejections(ground))
    with _group(ground, GROUP) as group:
        group.forget()
        before = ends(ground, TRUSTED)
        ground.stack.start_child(INGEST, wait=False)
        try:
            watched = group.watch(ground, INGEST, expected.records, say)
        finally:
            ground.stack.stop_child(INGEST)
    check_accepted(ground, before, expected)
    asyncio.run(check_rejected(ground, expected))
    return watched


async def _without_rejections(ground: Ground) -> None:
    async with ground.connected(SUPERUSER) as connection:
        await connection.execute("TRUNCATE ingest.rejections")
        await connection.execute("CHECKPOINT")


def _bare(ground: Ground, expected: Expected, say: Say) -> Watched:
    """Raises Wrong unless it passed on all that is JSON."""
    name = f"bench-{uuid.uuid4()}"
    before = sum(ends(ground, [SCRATCH]).values())
    settings = ("GROUP", name), ("TOPICS", ",".join(map(topics.inbound, SENDERS))), ("SCRATCH", SCRATCH)
    with _group(ground, name) as group:
        ground.start_program(BARE_EDGE, *settings)
        try:
            watched = group.watch(ground, BARE_EDGE, expected.records, say)
        finally:
            ground.end(BARE_EDGE)
    if (passed := sum(ends(ground, [SCRATCH]).values()) - before) != expected.json:
        raise Wrong(f"{BARE_EDGE} passed on {passed:,} records, {expected.json:,} are JSON")
    return watched


# What came of it.


def check_accepted(ground: Ground, before: Ends, expected: Expected) -> None:
    """Raises Wrong unless every good event, and no other, lies in the trusted topics behind `before`, at least once."""
    seen = {source: bytearray(count) for source, count in expected.good.items()}
    for source, id in _trusted(ground, before):
        known = seen.get(source, b"")
        if not (id.isdecimal() and int(id) < len(known)):
            raise Wrong(f"the event {id!r} of {source!r} was accepted, and never said")
        seen[source][int(id)] = 1
    for source, ids in seen.items():
        if missing := ids.count(0):
            raise Wrong(f"{missing:,} of {len(ids):,} good events of {source} are not there; the first: {ids.find(0)}")


def _trusted(ground: Ground, before: Ends) -> Iterator[tuple[str, str]]:
    """Source and id of each event that was added."""
    left = sum(ends(ground, TRUSTED).values()) - sum(before.values())
    consumer = Consumer({**ground.kafka, "group.id": f"bench-{uuid.uuid4()}", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in before.items()])
        while left > 0:
            messages = consumer.consume(min(left, READ_AT_ONCE), READ_TIMEOUT_SECONDS)
            if not messages:
                raise Failed(f"{left:,} records of the trusted topics cannot be read")
            for message in messages:
                if (error := message.error()) is not None:
                    raise Failed(f"the trusted topics cannot be read: {error}")
                headers: Mapping[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]
                yield headers["ce_source"].decode(), headers["ce_id"].decode()
            left -= len(messages)
    finally:
        consumer.close()


async def check_rejected(ground: Ground, expected: Expected) -> None:
    """Raises Wrong unless the table holds every hostile record once, under its code, and no other."""
    async with ground.connected(SUPERUSER) as connection:
        rows = await connection.fetch('SELECT topic, partition, "offset", code FROM ingest.rejections')
    found: dict[Place, str] = {(row["topic"], row["partition"], row["offset"]): row["code"] for row in rows}
    if len(rows) != len(found):
        raise Wrong(f"{len(rows) - len(found):,} rejections stand twice")
    if found != expected.codes:
        place = next(place for place in sorted(found.keys() | expected.codes) if _differs(place, found, expected))
        wanted, got = expected.codes.get(place), found.get(place)
        raise Wrong(f"{place} is kept as {got}, not {wanted}; {len(found):,} rejections of {len(expected.codes):,}")


def _differs(place: Place, found: Mapping[Place, str], expected: Expected) -> bool:
    return found.get(place) != expected.codes.get(place)
