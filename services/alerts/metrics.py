"""Declares every metric of alerts; shared.telemetry has those of all services."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from services.alerts.alert import PUBLIC, Severity
from services.alerts.retry import Outcome
from shared.telemetry import LATENCY_BUCKETS_SECONDS

SIGNALS: Final = Counter("supply_watch_alerts_signals", "Records read from the signals topic.", ["outcome"])
APPLY_SECONDS: Final = Histogram(
    "supply_watch_alerts_apply_seconds", "Time of one batch's transaction.", buckets=LATENCY_BUCKETS_SECONDS
)
CHANGES: Final = Counter(
    "supply_watch_alerts_changes", "Changes of alerts published on supply.alerts.v1.", ["transition"]
)
ATTEMPTS: Final = Counter("supply_watch_alerts_delivery_attempts", "Attempts to deliver a webhook.", ["outcome"])
RETRIES: Final = Counter("supply_watch_alerts_delivery_retries", "Attempts after the first of a delivery.")
ATTEMPT_SECONDS: Final = Histogram(
    "supply_watch_alerts_delivery_attempt_seconds", "Time of one attempt.", buckets=LATENCY_BUCKETS_SECONDS
)
IN_FLIGHT: Final = Gauge("supply_watch_alerts_deliveries_in_flight", "Attempts under way in this process.")

# Read from the database, or of all partitions, so that every replica says the same: use `max by`.
LAG: Final = Gauge(
    "supply_watch_alerts_lag_records", "Offsets of the signals topic not yet applied; compaction leaves some empty."
)
ENDPOINTS: Final = Gauge("supply_watch_alerts_endpoints", "Endpoints by state.", ["state"])
OPEN: Final = Gauge("supply_watch_alerts_open", "Alerts that are firing or acknowledged.", ["severity"])
PENDING_DELIVERIES: Final = Gauge("supply_watch_alerts_deliveries_pending", "Deliveries neither delivered nor failed.")
OLDEST_PENDING_SECONDS: Final = Gauge(
    "supply_watch_alerts_oldest_pending_delivery_seconds", "Age of the oldest delivery neither delivered nor failed."
)
UNPUBLISHED: Final = Gauge("supply_watch_alerts_changes_unpublished", "Changes that Kafka has not acknowledged yet.")
RULE_FAULTS: Final = Gauge("supply_watch_alerts_rule_faults", "Rules that could not read a signal since the start.")
RULES_REFUSED: Final = Gauge(
    "supply_watch_alerts_rules_refused", "1 while the rules in the files have faults, others in force."
)

SAME_EVERYWHERE: Final = (LAG, ENDPOINTS, OPEN, PENDING_DELIVERIES, OLDEST_PENDING_SECONDS, UNPUBLISHED)

# What has not happened yet is 0, not unknown: an alerting rule cannot see the first of a series that was not there.
for _outcome in ("read", "unreadable"):
    SIGNALS.labels(_outcome)
for _transition in sorted(PUBLIC):
    CHANGES.labels(_transition)
for _kind in get_args(Outcome):
    ATTEMPTS.labels(_kind.__name__.lower())
for _severity in Severity:
    OPEN.labels(_severity)
