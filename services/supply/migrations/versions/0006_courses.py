"""How the goals came to where they are, kept for pages; obligations are found by their day, lots by their number."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("CREATE TABLE courses (name text PRIMARY KEY, checkpoint bigint NOT NULL, body jsonb NOT NULL)")
    op.execute(
        "CREATE INDEX signals_due ON signals ((coalesce(data->>'due_on', '9999')), subject)"
        " WHERE starts_with(subject, 'obligation/') AND data->>'state' = 'open'"
    )
    op.execute("CREATE INDEX lots_by_number ON lots (lot, gtin)")
