"""Every metric of ingest."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from shared import topics
from shared.telemetry import LATENCY_BUCKETS_SECONDS

EVENTS_ACCEPTED: Final = Counter("supply_watch_ingest_events_accepted", "Events acknowledged by Kafka.", ["topic"])
FAULTS: Final = Counter("supply_watch_ingest_faults", "Faults told to producers.", ["code"])
PUBLISH_SECONDS: Final = Histogram(
    "supply_watch_ingest_publish_seconds", "Time for Kafka to acknowledge a request.", buckets=LATENCY_BUCKETS_SECONDS
)
PUBLISH_FAILURES: Final = Counter("supply_watch_ingest_publish_failures", "Requests that Kafka did not acknowledge.")
IN_FLIGHT_EVENTS: Final = Gauge("supply_watch_ingest_in_flight_events", "Events waiting for Kafka.")
KAFKA_CONNECTED: Final = Gauge("supply_watch_ingest_kafka_connected", "1 while there is a producer to Kafka.")
KEYS_UNANNOUNCED: Final = Gauge("supply_watch_ingest_keys_unannounced", "Keys that services have not been told of.")

EDGE_RECORDS: Final = Counter("supply_watch_ingest_edge_records", "Records of inbound topics by outcome.", ["outcome"])
EDGE_LAG: Final = Gauge(
    "supply_watch_ingest_edge_lag_records", "Records of this instance's inbound partitions that are not yet read."
)
EDGE_SETTLE_SECONDS: Final = Histogram(
    "supply_watch_ingest_edge_settle_seconds",
    "Time from a batch of inbound records judged to its place committed.",
    buckets=LATENCY_BUCKETS_SECONDS,
)
EDGE_RETRIES: Final = Counter("supply_watch_ingest_edge_retries", "Times that a batch had to wait for something away.")
EDGE_PAUSED_SECONDS: Final = Counter("supply_watch_ingest_edge_paused_seconds", "Time that inbound topics were paused.")
REJECTIONS: Final = Counter("supply_watch_ingest_rejections", "Refused Kafka records by their first fault.", ["code"])
REPLAYS: Final = Counter("supply_watch_ingest_replays", "Rejections judged again, by outcome.", ["outcome"])


_accepted_on: Final = cache(EVENTS_ACCEPTED.labels)


def count_accepted(topics: Iterable[str]) -> None:
    """Counts events by the topic that acknowledged them."""
    for topic, number in Count(topics).items():
        _accepted_on(topic).inc(number)


CAPTURE_JOBS: Final = Counter("supply_watch_ingest_capture_jobs", "EPCIS capture jobs done, by outcome.", ["outcome"])
CAPTURE_EVENTS: Final = Counter("supply_watch_ingest_capture_events", "EPCIS events by outcome.", ["outcome"])
CAPTURE_WAITING: Final = Gauge("supply_watch_ingest_capture_waiting", "EPCIS capture jobs that are not done.")
CAPTURE_RETRIES: Final = Counter(
    "supply_watch_ingest_capture_retries", "Times that a capture job had to wait for something away."
)
CAPTURE_BUGS: Final = Counter("supply_watch_ingest_capture_bugs", "Documents refused for a fault of ours.")

# Read from the database, so that every replica says the same: use `max by`.
SAME_EVERYWHERE: Final = (CAPTURE_WAITING,)

# What has not happened yet is 0, not unknown: an alerting rule cannot see the first of a series that was not there.
for _topic in (topics.MOVEMENTS, topics.REGISTRY):
    EVENTS_ACCEPTED.labels(_topic)
for _outcome in ("accepted", "rejected"):
    EDGE_RECORDS.labels(_outcome)
    REPLAYS.labels(_outcome)
for _state in ("success", "errors"):
    CAPTURE_JOBS.labels(_state)
for _name in ("mapped", "incomplete", "not_applicable", "refused"):
    CAPTURE_EVENTS.labels(_name)


def count_capture(state: str, events: Mapping[str, int]) -> None:
    """Counts a document that is done, and its events by what became of them."""
    CAPTURE_JOBS.labels(state).inc()
    for outcome, number in events.items():
        CAPTURE_EVENTS.labels(outcome).inc(number)
