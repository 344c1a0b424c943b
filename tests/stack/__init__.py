"""What the system does on real Kafka and PostgreSQL."""
