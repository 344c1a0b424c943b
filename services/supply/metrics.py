"""Declares every metric of the supply service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from services.supply.fold import Verdict
from shared.signals import TYPE_OF_SUBJECT, GoalStatus

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

# Read from the database by every instance (services.supply.business), so that all say the same: use `max by`.
CHECKPOINT_AT: Final = Gauge(
    "supply_watch_supply_checkpoint_timestamp_seconds", "When the ledger's newest checkpoint was taken, Unix time."
)
SHARE: Final = Gauge("supply_watch_domestic_share_ratio", "National domestic share.", ["measure"])
SHARE_COVERAGE: Final = Gauge(
    "supply_watch_domestic_share_coverage_ratio", "How much of the supply the share could count.", ["measure"]
)
GOALS: Final = Gauge("supply_watch_goals", "Goals by status.", ["status"])
GOAL_VALUE: Final = Gauge("supply_watch_goal_value", "Where a goal is, in its own unit.", ["goal"])
GOAL_EXPECTED: Final = Gauge("supply_watch_goal_expected", "Where its trajectory says it should be today.", ["goal"])
GOAL_TARGET: Final = Gauge("supply_watch_goal_target", "Where it should end.", ["goal"])
GOAL_GAP: Final = Gauge("supply_watch_goal_gap", "Its value less what is expected today.", ["goal"])
OF_GOALS: Final[Mapping[str, Gauge]] = {
    "value": GOAL_VALUE,
    "expected": GOAL_EXPECTED,
    "target": GOAL_TARGET,
    "gap": GOAL_GAP,
}
OBLIGATIONS: Final = Gauge("supply_watch_obligations_open", "Open obligations by when they are due.", ["kind", "due"])
ANOMALIES: Final = Gauge("supply_watch_anomalies", "Open anomalies by kind.", ["kind"])
STOCK: Final = Gauge(
    "supply_watch_products_by_stock_months", "Products whose usable stock lasts at most so many months.", ["le"]
)
STOCK_UNKNOWN: Final = Gauge(
    "supply_watch_products_stock_unknown", "Products of which nobody knows how long their stock lasts."
)
SAME_EVERYWHERE: Final = (
    *(CHECKPOINT_AT, SHARE, SHARE_COVERAGE, GOALS, *OF_GOALS.values(), OBLIGATIONS, ANOMALIES, STOCK, STOCK_UNKNOWN),
    LAG,
)

# What has not happened yet is 0, not unknown: an alerting rule cannot see the first of a series that was not there.
for _verdict in Verdict:
    RECORDS.labels(_verdict.name.lower())
for _kind in TYPE_OF_SUBJECT.values():
    SIGNALS.labels(_kind)
for _status in get_args(GoalStatus):
    GOALS.labels(_status)
