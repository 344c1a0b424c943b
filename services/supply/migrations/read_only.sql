-- What the role `grafana` may read: what alerts are told too. Never the journal with its raw records.
GRANT USAGE ON SCHEMA supply TO grafana;
GRANT SELECT ON supply.evaluations TO grafana;
GRANT SELECT ON supply.signals TO grafana;
GRANT SELECT (type, key, time, data) ON supply.facts TO grafana;
GRANT SELECT (topic_id, partition, next_offset, epoch, holder) ON supply.positions TO grafana;
GRANT SELECT (n, at, key_id) ON supply.checkpoints TO grafana;
