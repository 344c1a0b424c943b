-- What the role `grafana` may read. Of endpoints never secret, headers or url: a url of Slack's is a secret itself.
GRANT USAGE ON SCHEMA alerts TO grafana;
GRANT SELECT (id, rule, subject, state, severity, started_at, fired_at, acknowledged_at, acknowledged_by, resolved_at,
    summary, value, threshold, labels) ON alerts.alerts TO grafana;
GRANT SELECT (id, format, severities, rules, scopes, rate, level, description, enabled, disabled_reason, failing_since,
    created_at, deleted_at) ON alerts.endpoints TO grafana;
GRANT SELECT (id, endpoint, alert, transition, state, tries, next_attempt_at, created_at, finished_at)
    ON alerts.deliveries TO grafana;
GRANT SELECT (delivery, number, at, status, seconds, error) ON alerts.attempts TO grafana;
