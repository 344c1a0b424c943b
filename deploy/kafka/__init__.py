"""Topics and rights of Kafka as data, and what applies them to a cluster."""
