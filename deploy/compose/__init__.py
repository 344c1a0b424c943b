"""The system on one machine with Docker: compose.yaml, the broker's settings, and what makes the secrets."""
