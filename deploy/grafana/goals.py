"""Supply goals, for the authority: whether supply is on its path, and what is about to slip."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    BAD,
    GOOD,
    HALF,
    SIXTH,
    THIRD,
    WARN,
    bars,
    figure,
    filled,
    lines,
    rows,
    titled,
    variable,
)

GOALS = """
SELECT goal->>'title' AS goal, goal->>'status' AS status, (goal->>'value')::numeric AS value,
    (goal->>'expected')::numeric AS "expected today", (goal->>'gap')::numeric AS gap,
    (goal->>'target')::numeric AS target, goal->>'unit' AS unit, (goal->>'by')::date AS by,
    (goal->>'projected_on')::date AS "projected on", (goal->>'coverage')::numeric AS coverage, goal->>'source' AS source
FROM supply.evaluations, jsonb_array_elements(body->'goals') AS goal
WHERE name = 'newest'
ORDER BY array_position(ARRAY['off_track', 'missed', 'at_risk', 'no_data', 'on_track', 'met'], goal->>'status'), 1
"""
OBLIGATIONS = """
SELECT (data->>'due_on')::date AS due,
    (data->>'due_on')::date - (SELECT "on" FROM supply.evaluations WHERE name = 'newest') AS "days left",
    data->>'kind' AS kind, data->>'title' AS obligation, data->>'subject' AS about
FROM supply.signals
WHERE starts_with(subject, 'obligation/') AND data->>'state' = 'open'
ORDER BY 1 NULLS LAST, 4
LIMIT 100
"""
LEAST_STOCK = """
WITH named AS (
    SELECT DISTINCT ON (1) pack->>'gtin' AS gtin, data->'product'->>'name' AS name
    FROM supply.facts, jsonb_array_elements(data->'packs') AS pack
    WHERE type = 'supply.registration.granted.v1'
    ORDER BY 1, time DESC
)
SELECT name AS product, gtin, (data->>'value')::numeric AS months,
    (data->'inputs'->>'usable')::numeric AS "usable packs", (data->'inputs'->>'monthly_use')::numeric AS "used a month"
FROM supply.signals
CROSS JOIN LATERAL (SELECT split_part(subject, ':', 2) AS gtin) AS about LEFT JOIN named USING (gtin)
WHERE starts_with(subject, 'indicator/months_of_stock/gtin:') AND data->>'value' IS NOT NULL
ORDER BY 3, 2
LIMIT 50
"""
ANOMALIES = """
SELECT data->>'since' AS since, data->>'kind' AS kind, data->>'subject' AS about, data->>'detail' AS detail
FROM supply.signals
WHERE starts_with(subject, 'anomaly/') AND data->>'until' IS NULL
ORDER BY 1 DESC, 2, 3
LIMIT 100
"""
OPEN_ALERTS = """
SELECT severity, summary, started_at AS since, state, acknowledged_by AS "acknowledged by", rule, subject AS about
FROM alerts.alerts
WHERE state IN ('firing', 'acknowledged')
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], severity), started_at DESC
LIMIT 100
"""
STATUS_COLOURS = {
    "off_track": BAD,
    "missed": BAD,
    "at_risk": WARN,
    "no_data": "text",
    "on_track": GOOD,
    "met": GOOD,
}
SEVERITY_COLOURS = {"critical": BAD, "warning": WARN, "info": "blue"}


def supply_goals() -> Dashboard:
    dashboard = titled(
        "supply-goals",
        "Supply goals",
        "Whether the nation's medicine supply is on the path of its goals, what is due, and what is about to slip.",
        since="30d",
        refresh="1m",
    ).with_variable(variable("goal", "Goal", "label_values(supply_watch_goal_target, goal)"))
    return filled(
        dashboard,
        {
            "Where we stand": (
                figure(
                    "Domestic share by volume",
                    ('max(measure:supply_watch_domestic_share_ratio:max{measure="volume"})', "volume"),
                    unit="percentunit",
                    says="D / (D + I) of the last 365 days, in defined daily doses.",
                ),
                figure(
                    "Domestic share by value",
                    ('max(measure:supply_watch_domestic_share_ratio:max{measure="value"})', "value"),
                    unit="percentunit",
                    says="The same at the price of the day on which each lot first reached available.",
                ),
                figure(
                    "Goals off track or missed",
                    ('sum(status:supply_watch_goals:max{status=~"off_track|missed"})', "goals"),
                    bad_from=1,
                ),
                figure("Goals at risk", ('sum(status:supply_watch_goals:max{status="at_risk"})', "goals"), warn_from=1),
                figure(
                    "Obligations overdue",
                    ('sum(max by (kind) (supply_watch_obligations_open{due="overdue"})) or vector(0)', "overdue"),
                    bad_from=1,
                ),
                figure(
                    "Open alerts",
                    ("max by (severity) (supply_watch_alerts_open)", "{{severity}}"),
                    says="Firing or acknowledged.",
                    warn_from=1,
                ),
            ),
            "Goals": (
                lines(
                    "Domestic share",
                    ("measure:supply_watch_domestic_share_ratio:max", "by {{measure}}"),
                    ("max by (measure) (supply_watch_domestic_share_coverage_ratio)", "coverage of {{measure}}"),
                    unit="percentunit",
                    says="Where the coverage falls, the share speaks of less of the supply.",
                ),
                lines(
                    "Value and trajectory of the goal",
                    ('max(supply_watch_goal_value{goal="$goal"})', "value"),
                    ('max(supply_watch_goal_expected{goal="$goal"})', "expected by its trajectory"),
                    ('max(supply_watch_goal_target{goal="$goal"})', "target"),
                    says="In the goal's own unit.",
                    from_zero=False,
                ),
                bars(
                    "Gap to the trajectory",
                    (
                        "goal:supply_watch_goal_gap:max / (abs(max by (goal) (supply_watch_goal_expected)) > 0)",
                        "{{goal}}",
                    ),
                    unit="percentunit",
                    says="Value less what is expected today, as a part of what is expected.",
                    width=HALF,
                    bad_below=0,
                ),
                bars("Goals by status", ("status:supply_watch_goals:max", "{{status}}"), width=HALF),
                rows("All goals", GOALS, colours={"status": STATUS_COLOURS}),
            ),
            "What is due": (
                bars(
                    "Open obligations by when they are due",
                    ("sum by (due) (max by (kind, due) (supply_watch_obligations_open))", "{{due}}"),
                ),
                bars(
                    "Open obligations by kind",
                    ("sum by (kind) (max by (kind, due) (supply_watch_obligations_open))", "{{kind}}"),
                ),
                bars("Open anomalies", ("max by (kind) (supply_watch_anomalies)", "{{kind}}")),
                rows("Next obligations", OBLIGATIONS, width=HALF),
                rows("Newest anomalies", ANOMALIES, width=HALF),
            ),
            "Stock": (
                bars(
                    "Products by months of stock",
                    ("max by (le) (supply_watch_products_by_stock_months)", "up to {{le}}"),
                    says="Usable stock over the average use of six reported months; each bar holds those before.",
                    width=THIRD - SIXTH // 2,
                ),
                lines(
                    "Months of stock",
                    (
                        "histogram_quantile(0.1, max by (le) (supply_watch_products_by_stock_months))",
                        "a tenth of products has less",
                    ),
                    (
                        "histogram_quantile(0.5, max by (le) (supply_watch_products_by_stock_months))",
                        "half of products has less",
                    ),
                    width=HALF,
                ),
                figure(
                    "Stock not known",
                    ("max(supply_watch_products_stock_unknown)", "products"),
                    says="Products whose use nobody has reported.",
                    width=SIXTH + SIXTH // 2,
                ),
                rows("Least stock", LEAST_STOCK),
            ),
            "Alerts": (rows("Open alerts", OPEN_ALERTS, colours={"severity": SEVERITY_COLOURS}),),
        },
    )
