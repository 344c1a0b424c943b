"""Webhooks, for ops: whether alerts reach their receivers, how fast, and which endpoint does not take them."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import BAD, GOOD, THIRD, WARN, bars, figure, filled, lines, rows, titled

ENDPOINTS = """
SELECT coalesce(nullif(description, ''), id::text) AS endpoint, format, level,
    CASE WHEN NOT enabled THEN 'disabled' WHEN failing_since IS NULL THEN 'working' ELSE 'failing' END AS state,
    failing_since AS "failing since", disabled_reason AS "disabled because", told.delivered, told.failed, told.pending
FROM alerts.endpoints
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'delivered') AS delivered, count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'pending') AS pending
    FROM alerts.deliveries WHERE endpoint = endpoints.id AND $__timeFilter(created_at)
) AS told
WHERE deleted_at IS NULL
ORDER BY 4, 1
LIMIT 200
"""
NOT_DELIVERED = """
SELECT delivery.created_at AS since, coalesce(nullif(endpoint.description, ''), endpoint.id::text) AS endpoint,
    alert.summary AS alert, transition, delivery.state, tries, last.status AS "last status", last.error AS "last error",
    next_attempt_at AS "next attempt"
FROM alerts.deliveries AS delivery
JOIN alerts.endpoints AS endpoint ON endpoint.id = delivery.endpoint
LEFT JOIN alerts.alerts AS alert ON alert.id = delivery.alert
LEFT JOIN LATERAL (
    SELECT status, error FROM alerts.attempts WHERE delivery = delivery.id ORDER BY number DESC LIMIT 1
) AS last ON true
WHERE delivery.state <> 'delivered' AND $__timeFilter(delivery.created_at)
ORDER BY delivery.created_at DESC
LIMIT 100
"""
ATTEMPTS = "supply_watch_alerts_delivery_attempts_total"
SECONDS = "supply_watch_alerts_delivery_attempt_seconds"


def webhooks() -> Dashboard:
    dashboard = titled(
        "supply-webhooks",
        "Webhooks",
        "Whether alerts reach their receivers, how fast, and which endpoint does not take them.",
        since="24h",
        refresh="30s",
    )
    return filled(
        dashboard,
        {
            "At a glance": (
                figure("Endpoints", ("max by (state) (supply_watch_alerts_endpoints)", "{{state}}"), width=THIRD),
                figure("Pending", ("max(supply_watch_alerts_deliveries_pending)", "deliveries"), warn_from=100),
                figure(
                    "Oldest pending",
                    ("max(supply_watch_alerts_oldest_pending_delivery_seconds)", "age"),
                    unit="s",
                    warn_from=300,
                    bad_from=900,
                ),
                figure(
                    "Attempts that failed",
                    ("supply_watch:webhook_failures:ratio_rate15m", "of 15 minutes"),
                    unit="percentunit",
                    warn_from=0.1,
                    bad_from=0.5,
                ),
                figure("Under way", ("sum(supply_watch_alerts_deliveries_in_flight)", "attempts")),
            ),
            "Attempts": (
                lines(
                    "Attempts by outcome",
                    (f"sum by (outcome) (rate({ATTEMPTS}[$__rate_interval]))", "{{outcome}}"),
                    unit="reqps",
                    says="again: to be tried again; gone: the receiver wants no more (410).",
                    width=THIRD,
                ),
                lines(
                    "Time of an attempt",
                    (f"histogram_quantile(0.5, sum by (le) (rate({SECONDS}_bucket[$__rate_interval])))", "half within"),
                    (
                        f"histogram_quantile(0.95, sum by (le) (rate({SECONDS}_bucket[$__rate_interval])))",
                        "95 % within",
                    ),
                    unit="s",
                    width=THIRD,
                ),
                lines(
                    "Attempts after the first",
                    ("sum(rate(supply_watch_alerts_delivery_retries_total[$__rate_interval]))", "retries"),
                    unit="reqps",
                    width=THIRD,
                ),
                lines("Pending deliveries", ("max(supply_watch_alerts_deliveries_pending)", "pending"), width=THIRD),
                lines(
                    "Age of the oldest pending",
                    ("max(supply_watch_alerts_oldest_pending_delivery_seconds)", "age"),
                    unit="s",
                    width=THIRD,
                ),
                bars("Open alerts", ("max by (severity) (supply_watch_alerts_open)", "{{severity}}"), width=THIRD),
            ),
            "Receivers": (
                rows(
                    "Endpoints",
                    ENDPOINTS,
                    says="Deliveries are those created in the time shown.",
                    colours={"state": {"working": GOOD, "failing": WARN, "disabled": BAD}},
                ),
                rows("Not delivered", NOT_DELIVERED),
            ),
        },
    )
