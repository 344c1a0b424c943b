"""Keep what people change; index alerts by rule and severity, so that a list of few among many answers as fast."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX alerts_by_rule ON alerts.alerts (rule, started_at DESC, id DESC)",
    "CREATE INDEX alerts_by_severity ON alerts.alerts (severity, started_at DESC, id DESC)",
    """
    CREATE TABLE alerts.audit (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        by TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail JSONB NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX audit_of_subject ON alerts.audit (subject, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE alerts.audit")
    op.execute("DROP INDEX alerts.alerts_by_rule")
    op.execute("DROP INDEX alerts.alerts_by_severity")
