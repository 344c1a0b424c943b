"""Audit: who by name and role, what was before, why. What was kept so far is what was after (`detail`).

Every new column has a default, and none is taken away: the version before goes on writing beside this one. Until here
`by` held the name of whoever changed something; it is moved to where names are.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE alerts.audit
        ADD COLUMN name TEXT NOT NULL DEFAULT '',
        ADD COLUMN role TEXT NOT NULL DEFAULT '',
        ADD COLUMN before JSONB,
        ADD COLUMN reason TEXT NOT NULL DEFAULT '',
        ALTER COLUMN detail DROP NOT NULL,
        ALTER COLUMN at SET DEFAULT clock_timestamp()
    """,
    "UPDATE alerts.audit SET name = by",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
