"""Hands the tables of alerts to Alembic."""

from services.alerts.tables import metadata
from shared.migrations import run

run(metadata)
