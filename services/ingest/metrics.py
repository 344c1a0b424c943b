"""Every metric of ingest."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

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
