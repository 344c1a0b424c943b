"""Keep what people change."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp(), by text NOT NULL, name text NOT NULL, role text NOT NULL,"
        " action text NOT NULL, subject text NOT NULL, before jsonb, detail jsonb, reason text NOT NULL)"
    )
    op.execute("CREATE INDEX audit_of_subject ON audit (subject, id)")
