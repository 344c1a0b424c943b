"""The pipeline, for ops: whether events come in, are recorded and judged, and how far behind each step is."""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import HALF, SIXTH, THIRD, bars, figure, filled, lines, rows, titled

REJECTIONS = """
SELECT received_at AS received, kind, producer, code, detail, state, topic, partition, "offset"
FROM ingest.rejections
WHERE $__timeFilter(received_at)
ORDER BY id DESC
LIMIT 100
"""
POSITIONS = """
SELECT CASE topic_id WHEN 1 THEN 'supply.movements.v1' ELSE 'supply.registry.v1' END AS topic, partition,
    next_offset AS "next offset", holder, epoch
FROM supply.positions
ORDER BY 1, 2
"""
CAPTURES = """
SELECT created_at AS sent, producer, state, mapped, incomplete, not_applicable AS "not applicable", refused,
    finished_at - created_at AS took
FROM ingest.captures
WHERE $__timeFilter(created_at)
ORDER BY number DESC
LIMIT 100
"""


def _p95(histogram: str, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile(0.95, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def _mean(histogram: str) -> str:
    return f"sum(rate({histogram}_sum[$__rate_interval])) / sum(rate({histogram}_count[$__rate_interval]))"


def seconds(title: str, histogram: str) -> timeseries.Panel:
    """How long something takes."""
    measured = ((_p95(histogram), "95 % within"), (_mean(histogram), "mean"))
    return lines(title, *measured, unit="s", width=THIRD)


def _rate(counter: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[$__rate_interval]))"


def pipeline() -> Dashboard:
    dashboard = titled(
        "supply-pipeline",
        "Pipeline",
        "From a producer's event to a judged signal: rates, lag and commit times of each step.",
        since="3h",
        refresh="30s",
    )
    return filled(
        dashboard,
        {
            "At a glance": (
                figure("Instances", ('sum by (job) (up{job=~"ingest|supply|alerts"})', "{{job}}")),
                figure("Connected to Kafka", ("max(supply_watch_ingest_kafka_connected)", "ingest")),
                figure(
                    "Ledger is behind",
                    ("supply_watch:ledger_lag_records:max", "records"),
                    warn_from=5_000,
                    bad_from=50_000,
                ),
                figure(
                    "Newest checkpoint",
                    ("time() - max(supply_watch_supply_checkpoint_timestamp_seconds)", "age"),
                    unit="s",
                    says="One is taken every second.",
                    warn_from=15,
                    bad_from=60,
                ),
                figure("Signals not judged", ("max(supply_watch_alerts_lag_records)", "records"), warn_from=1_000),
                figure(
                    "Alerts of the pipeline",
                    ('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),
                    says="Prometheus' own, about the pipeline.",
                    bad_from=1,
                ),
            ),
            "Way in": (
                lines(
                    "Events accepted",
                    (_rate("supply_watch_ingest_events_accepted_total", "topic"), "{{topic}}"),
                    unit="eps",
                ),
                lines(
                    "Faults told to producers",
                    (_rate("supply_watch_ingest_faults_total", "code"), "{{code}}"),
                    unit="eps",
                ),
                seconds("Kafka's acknowledgement", "supply_watch_ingest_publish_seconds"),
                lines(
                    "Waiting for Kafka",
                    ("sum(supply_watch_ingest_in_flight_events)", "events in flight"),
                    width=THIRD,
                ),
                lines(
                    "Not acknowledged",
                    (_rate("supply_watch_ingest_publish_failures_total"), "requests"),
                    unit="reqps",
                    width=THIRD,
                ),
            ),
            "Producers' topics": (
                lines(
                    "Inbound records",
                    (_rate("supply_watch_ingest_edge_records_total", "outcome"), "{{outcome}}"),
                    unit="eps",
                    width=THIRD,
                ),
                lines("Inbound lag", ("sum(supply_watch_ingest_edge_lag_records)", "records"), width=THIRD),
                seconds("Time to settle a batch", "supply_watch_ingest_edge_settle_seconds"),
                lines(
                    "Rejections by code",
                    (_rate("supply_watch_ingest_rejections_total", "code"), "{{code}}"),
                    unit="eps",
                    width=THIRD,
                ),
                lines(
                    "Had to wait",
                    (_rate("supply_watch_ingest_edge_retries_total"), "retries of batches"),
                    (_rate("supply_watch_ingest_edge_paused_seconds_total"), "seconds paused a second"),
                    width=THIRD,
                ),
                lines(
                    "EPCIS documents",
                    (_rate("supply_watch_ingest_capture_jobs_total", "outcome"), "{{outcome}}"),
                    ("max(supply_watch_ingest_capture_waiting)", "waiting"),
                    width=THIRD,
                ),
                rows("Newest rejections", REJECTIONS, width=HALF),
                rows("Newest EPCIS documents", CAPTURES, width=HALF),
            ),
            "Ledger": (
                lines(
                    "Records journalled",
                    (_rate("supply_watch_supply_records_total", "verdict"), "{{verdict}}"),
                    unit="eps",
                ),
                lines("Lag of the ledger", ("max(supply_watch_supply_lag_records)", "records")),
                seconds("Time of a commit", "supply_watch_supply_commit_seconds"),
                lines(
                    "Writes that failed",
                    (_rate("supply_watch_supply_write_retries_total") + " or vector(0)", "tried again"),
                    (_rate("supply_watch_supply_refused_writes_total"), "refused: not the owner"),
                    width=THIRD,
                ),
                lines(
                    "Partitions held",
                    ("sum by (instance) (supply_watch_supply_claimed_partitions)", "{{instance}}"),
                    width=THIRD,
                ),
                seconds("Time of an evaluation", "supply_watch_supply_evaluation_seconds"),
                lines(
                    "Signals told",
                    (_rate("supply_watch_supply_signals_total", "kind"), "{{kind}}"),
                    unit="eps",
                    width=THIRD,
                ),
                lines(
                    "Checkpoints",
                    (
                        "max(supply_watch_supply_checkpoint) - max(supply_watch_supply_evaluated_checkpoint)",
                        "not measured",
                    ),
                    (
                        "max(supply_watch_supply_checkpoint) - max(supply_watch_supply_published_checkpoint)",
                        "not outside",
                    ),
                    says="Only the holder of the lease counts; one is measured when anything was recorded.",
                    width=THIRD,
                ),
                rows("Positions", POSITIONS),
            ),
            "Judging": (
                lines(
                    "Signals read",
                    (_rate("supply_watch_alerts_signals_total", "outcome"), "{{outcome}}"),
                    unit="eps",
                    width=THIRD,
                ),
                lines("Signals not judged", ("max(supply_watch_alerts_lag_records)", "records"), width=THIRD),
                seconds("Time to apply a batch", "supply_watch_alerts_apply_seconds"),
                lines(
                    "Changes of alerts",
                    (_rate("supply_watch_alerts_changes_total", "transition"), "{{transition}}"),
                    ("max(supply_watch_alerts_changes_unpublished)", "not published"),
                ),
                bars(
                    "Rules",
                    ("max(supply_watch_alerts_rules_refused)", "files refused"),
                    ("max(supply_watch_alerts_rule_faults)", "rules that could not read a signal"),
                    width=HALF - SIXTH,
                ),
                figure("Keys not announced", ("max(supply_watch_ingest_keys_unannounced)", "keys"), bad_from=1),
            ),
        },
    )
