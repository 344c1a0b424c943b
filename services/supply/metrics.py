"""Declares every metric of the supply service."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECORDS: Final = Counter("supply_watch_supply_records", "Records journalled, by verdict.", ["verdict"])
ENTRIES: Final = Counter("supply_watch_supply_entries", "Entries posted to the journal.")
COMMIT_SECONDS: Final = Histogram(
    "supply_watch_supply_commit_seconds",
    "Time of one batch's transaction.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
RETRIES: Final = Counter("supply_watch_supply_write_retries", "Batches tried again, by what stood in the way.", ["why"])
CLAIMS: Final = Gauge("supply_watch_supply_claimed_partitions", "Partitions that this instance may write.")
NOT_OWNER: Final = Counter(
    "supply_watch_supply_refused_writes", "Batches refused because another instance had claimed."
)
LAG: Final = Gauge("supply_watch_supply_lag_records", "Records of the trusted topics not yet in the ledger.")

CHECKPOINT: Final = Gauge("supply_watch_supply_checkpoint", "Number of the newest checkpoint this instance took.")
PUBLISHED: Final = Gauge(
    "supply_watch_supply_published_checkpoint",
    "Number of the newest signed checkpoint this instance knows on Kafka.",
)
EVALUATED: Final = Gauge(
    "supply_watch_supply_evaluated_checkpoint", "Number of the newest checkpoint that this instance has evaluated."
)
EVALUATION_SECONDS: Final = Histogram(
    "supply_watch_supply_evaluation_seconds",
    "Time of one evaluation of all indicators, goals, obligations and anomalies.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
SIGNALS: Final = Counter("supply_watch_supply_signals", "Signals acknowledged by Kafka, by kind.", ["kind"])
SHARE: Final = Gauge("supply_watch_domestic_share_ratio", "National domestic share.", ["measure"])
GOALS: Final = Gauge("supply_watch_goals", "Goals by status.", ["status"])
ANOMALIES: Final = Gauge("supply_watch_anomalies", "Open anomalies by kind.", ["kind"])
