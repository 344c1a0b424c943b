"""The body of every service's migrations/env.py: one schema, one version table in it, the caller's transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import MetaData


def run(metadata: MetaData) -> None:
    """Runs the migrations on the connection that shared.database handed in."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=metadata,
        version_table_schema=attributes["schema"],
        include_schemas=False,
    )
    with context.begin_transaction():
        context.run_migrations()
