-- What the role `grafana` may read: that something was refused and why. Never keys, nor what was sent.
GRANT USAGE ON SCHEMA ingest TO grafana;
GRANT SELECT (id, kind, producer, event_id, topic, partition, "offset", code, detail, received_at, state, replayed_at)
    ON ingest.rejections TO grafana;
GRANT SELECT (id, number, producer, state, created_at, finished_at, mapped, incomplete, not_applicable, refused)
    ON ingest.captures TO grafana;
GRANT SELECT (name, roles, country, created_at) ON ingest.producers TO grafana;
