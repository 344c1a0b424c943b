"""Create the tables of alerts."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "subjects",
    "positions",
    "unreadable_signals",
    "rules_in_force",
    "alerts",
    "changes",
    "endpoints",
    "deliveries",
    "attempts",
    "leases",
)
STATEMENTS = (
    """
    CREATE TABLE alerts.subjects (
        subject TEXT NOT NULL,
        version BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        data JSONB NOT NULL,
        wake_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (subject)
    )
    """,
    "CREATE INDEX subjects_wake ON alerts.subjects (wake_at) WHERE wake_at IS NOT NULL",
    """
    CREATE TABLE alerts.positions (
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next_offset BIGINT NOT NULL,
        PRIMARY KEY (topic, partition)
    )
    """,
    """
    CREATE TABLE alerts.unreadable_signals (
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        "offset" BIGINT NOT NULL,
        why TEXT NOT NULL,
        value BYTEA,
        recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (topic, partition, "offset")
    )
    """,
    """
    CREATE TABLE alerts.rules_in_force (
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE alerts.alerts (
        id UUID NOT NULL,
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        state TEXT NOT NULL,
        severity TEXT NOT NULL,
        opened_version BIGINT NOT NULL,
        opening INTEGER NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        fired_at TIMESTAMP WITH TIME ZONE,
        acknowledged_at TIMESTAMP WITH TIME ZONE,
        acknowledged_by TEXT,
        resolved_at TIMESTAMP WITH TIME ZONE,
        summary TEXT NOT NULL,
        description TEXT NOT NULL,
        resolution TEXT NOT NULL,
        value TEXT,
        threshold TEXT,
        labels JSONB NOT NULL,
        evidence JSONB NOT NULL,
        links JSONB NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX alerts_by_state ON alerts.alerts (state, started_at DESC, id DESC)",
    "CREATE INDEX alerts_newest ON alerts.alerts (started_at DESC, id DESC)",
    "CREATE INDEX alerts_of_subject ON alerts.alerts (subject, rule, opened_version DESC)",
    "CREATE UNIQUE INDEX alerts_one_open ON alerts.alerts (rule, subject) WHERE state <> 'resolved'",
    """
    CREATE TABLE alerts.changes (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        alert UUID NOT NULL,
        transition TEXT NOT NULL,
        name TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
        by TEXT NOT NULL,
        why TEXT NOT NULL,
        snapshot JSONB NOT NULL,
        public BOOLEAN NOT NULL,
        published_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX changes_of_alert ON alerts.changes (alert, id)",
    "CREATE INDEX changes_unpublished ON alerts.changes (id) WHERE public AND published_at IS NULL",
    """
    CREATE TABLE alerts.endpoints (
        id UUID NOT NULL,
        url TEXT NOT NULL,
        format TEXT NOT NULL,
        severities TEXT[] NOT NULL,
        rules TEXT[] NOT NULL,
        scopes TEXT[] NOT NULL,
        rate FLOAT,
        description TEXT NOT NULL,
        secret TEXT NOT NULL,
        former_secret TEXT,
        former_secret_until TIMESTAMP WITH TIME ZONE,
        enabled BOOLEAN NOT NULL,
        disabled_reason TEXT,
        failing_since TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_by TEXT NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE alerts.deliveries (
        id UUID NOT NULL,
        endpoint UUID NOT NULL,
        lane UUID NOT NULL,
        alert UUID NOT NULL,
        change BIGINT NOT NULL,
        transition TEXT NOT NULL,
        state TEXT NOT NULL,
        tries INTEGER NOT NULL,
        next_attempt_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX deliveries_due ON alerts.deliveries (endpoint, next_attempt_at) WHERE state = 'pending'",
    "CREATE INDEX deliveries_lane ON alerts.deliveries (endpoint, lane, change) WHERE state = 'pending'",
    "CREATE INDEX deliveries_newest ON alerts.deliveries (change DESC, id DESC)",
    "CREATE INDEX deliveries_of_alert ON alerts.deliveries (alert, change)",
    """
    CREATE TABLE alerts.attempts (
        delivery UUID NOT NULL,
        number INTEGER NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        status INTEGER,
        seconds FLOAT NOT NULL,
        response_head TEXT,
        error TEXT,
        PRIMARY KEY (delivery, number)
    )
    """,
    """
    CREATE TABLE alerts.leases (
        name TEXT NOT NULL,
        holder TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (name)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE alerts.{table}")
