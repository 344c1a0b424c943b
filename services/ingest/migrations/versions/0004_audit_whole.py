"""Audit: who by name and role, what was before, why. What was kept so far is what was after (`detail`)."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Every new column has a default, and none is taken away: the version before goes on writing beside this one.
    op.execute(
        "ALTER TABLE audit ADD COLUMN name text NOT NULL DEFAULT '', ADD COLUMN role text NOT NULL DEFAULT '',"
        " ADD COLUMN before jsonb, ADD COLUMN reason text NOT NULL DEFAULT '', ALTER COLUMN detail DROP NOT NULL"
    )
    op.execute("CREATE INDEX audit_of_subject ON audit (subject, id)")
