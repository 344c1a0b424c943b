"""The runtime of one service: requests, errors, their time, and what its processes use."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import HALF, THIRD, bars, figure, filled, lines, titled, variable

REQUESTS = 'supply_watch_http_requests_total{service="$service"}'
ERRORS = 'supply_watch_http_requests_total{service="$service",status=~"5.."}'
BUCKETS = 'supply_watch_http_request_seconds_bucket{service="$service"}'


def _within(quantile: float, by: str = "le") -> str:
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({BUCKETS}[$__rate_interval])))"


def runtime() -> Dashboard:
    dashboard = titled(
        "supply-runtime",
        "Runtime of a service",
        "Rate, errors and duration of requests by route, and what the service's processes use.",
        since="3h",
        refresh="30s",
    ).with_variable(variable("service", "Service", "label_values(supply_watch_http_requests_total, service)"))
    return filled(
        dashboard,
        {
            "At a glance": (
                figure("Instances", ('sum(up{job="$service"})', "up")),
                figure(
                    "Requests", ('service:supply_watch_http_requests:rate5m{service="$service"}', "rate"), unit="reqps"
                ),
                figure(
                    "Answered with 5xx",
                    ('service:supply_watch_http_errors:ratio_rate5m{service="$service"}', "of 5 minutes"),
                    unit="percentunit",
                    warn_from=0.01,
                    bad_from=0.05,
                ),
                figure(
                    "95 % answered within",
                    ('service:supply_watch_http_request_seconds:p95_5m{service="$service"}', "of 5 minutes"),
                    unit="s",
                    warn_from=0.1,
                    bad_from=1,
                ),
                figure("Memory", ('sum(process_resident_memory_bytes{job="$service"})', "resident"), unit="bytes"),
                figure(
                    "Up since",
                    ('min(process_start_time_seconds{job="$service"}) * 1000', "start"),
                    unit="dateTimeFromNow",
                ),
            ),
            "Requests": (
                lines("By route", (f"sum by (route) (rate({REQUESTS}[$__rate_interval]))", "{{route}}"), unit="reqps"),
                lines(
                    "By status", (f"sum by (status) (rate({REQUESTS}[$__rate_interval]))", "{{status}}"), unit="reqps"
                ),
                lines(
                    "Time to answer",
                    (_within(0.5), "half within"),
                    (_within(0.95), "95 % within"),
                    (_within(0.99), "99 % within"),
                    unit="s",
                    width=THIRD,
                ),
                lines(
                    "95 % answered within, by route",
                    (f"topk(10, {_within(0.95, 'route, le')})", "{{route}}"),
                    unit="s",
                    width=THIRD,
                ),
                lines(
                    "Errors",
                    (f"sum by (route) (rate({ERRORS}[$__rate_interval])) or vector(0)", "{{route}}"),
                    unit="reqps",
                    width=THIRD,
                ),
            ),
            "Processes": (
                lines(
                    "CPU",
                    (
                        'sum by (instance) (rate(process_cpu_seconds_total{job="$service"}[$__rate_interval]))',
                        "{{instance}}",
                    ),
                    unit="percentunit",
                    says="1 is one core.",
                    width=THIRD,
                ),
                lines(
                    "Memory of instances",
                    ('sum by (instance) (process_resident_memory_bytes{job="$service"})', "{{instance}}"),
                    unit="bytes",
                    width=THIRD,
                ),
                lines(
                    "Collections of garbage",
                    (
                        'sum by (generation) (rate(python_gc_collections_total{job="$service"}[$__rate_interval]))',
                        "generation {{generation}}",
                    ),
                    unit="cps",
                    width=THIRD,
                ),
                lines(
                    "Open files",
                    ('sum by (instance) (process_open_fds{job="$service"})', "{{instance}}"),
                    ('min by (instance) (process_max_fds{job="$service"})', "allowed"),
                ),
                bars(
                    "Requests by route",
                    (f"topk(15, sum by (route) (increase({REQUESTS}[$__range])))", "{{route}}"),
                    says="Of the time shown.",
                    width=HALF,
                ),
            ),
        },
    )
