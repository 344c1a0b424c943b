"""Declares every metric of alerts; shared.telemetry has those of all services."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SIGNALS = Counter("supply_watch_alerts_signals", "Records read from the signals topic.", ["outcome"])
CHANGES = Counter("supply_watch_alerts_changes", "Changes of alerts published on supply.alerts.v1.", ["transition"])
ATTEMPTS = Counter("supply_watch_alerts_delivery_attempts", "Attempts to deliver a webhook.", ["outcome"])
RETRIES = Counter("supply_watch_alerts_delivery_retries", "Attempts after the first of a delivery.")
ATTEMPT_SECONDS = Histogram("supply_watch_alerts_delivery_attempt_seconds", "Time of one attempt.")
IN_FLIGHT = Gauge("supply_watch_alerts_deliveries_in_flight", "Attempts under way in this process.")

# Read from the database, so that every replica says the same: use `max by`.
OPEN = Gauge("supply_watch_alerts_open", "Alerts that are firing or acknowledged.", ["severity"])
PENDING_DELIVERIES = Gauge("supply_watch_alerts_deliveries_pending", "Deliveries neither delivered nor failed.")
OLDEST_PENDING_SECONDS = Gauge("supply_watch_alerts_oldest_pending_delivery_seconds", "Age of the oldest of them.")
UNPUBLISHED = Gauge("supply_watch_alerts_changes_unpublished", "Changes that Kafka has not acknowledged yet.")
RULE_FAULTS = Gauge("supply_watch_alerts_rule_faults", "Rules that could not read a signal since the start.")
RULES_REFUSED = Gauge(
    "supply_watch_alerts_rules_refused", "1 while the rules in the files have faults, others in force."
)
