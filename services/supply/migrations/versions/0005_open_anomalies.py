"""Open anomalies are found by their kind, however many have ended."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX signals_open ON signals (split_part(subject, '/', 2), subject)"
        " WHERE starts_with(subject, 'anomaly/') AND data->>'until' IS NULL"
    )
