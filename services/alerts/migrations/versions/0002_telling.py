"""Add silences, groups, reminders and escalation, and what endpoints and deliveries need for them."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("groups", "silences", "mute_checks")
STATEMENTS = (
    """
    ALTER TABLE alerts.alerts
        ADD told_at TIMESTAMP WITH TIME ZONE,
        ADD reminders INTEGER NOT NULL DEFAULT 0,
        ADD level INTEGER NOT NULL DEFAULT 0,
        ADD muted_by TEXT[] NOT NULL DEFAULT '{}',
        ADD covers TEXT[] NOT NULL DEFAULT '{}',
        ADD "group" TEXT
    """,
    # What has fired has been told.
    "UPDATE alerts.alerts SET told_at = fired_at",
    "CREATE INDEX alerts_covers ON alerts.alerts USING gin (covers) WHERE covers <> '{}'",
    "CREATE INDEX alerts_muted ON alerts.alerts USING gin (muted_by) WHERE muted_by <> '{}'",
    """
    ALTER TABLE alerts.changes
        ADD told BOOLEAN NOT NULL DEFAULT false,
        ADD "group" TEXT,
        ADD waiting BOOLEAN NOT NULL DEFAULT false
    """,
    "UPDATE alerts.changes SET told = public",
    'CREATE INDEX changes_waiting ON alerts.changes ("group", id) WHERE waiting',
    "CREATE INDEX changes_recorded ON alerts.changes (recorded_at) WHERE told",
    """
    CREATE TABLE alerts.groups (
        "group" TEXT NOT NULL,
        flush_at TIMESTAMP WITH TIME ZONE,
        not_before TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY ("group")
    )
    """,
    "CREATE INDEX groups_due ON alerts.groups (flush_at) WHERE flush_at IS NOT NULL",
    """
    CREATE TABLE alerts.silences (
        id UUID NOT NULL,
        matchers JSONB NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        reason TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        deleted_at TIMESTAMP WITH TIME ZONE,
        deleted_by TEXT,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX silences_end ON alerts.silences (ends_at)",
    "CREATE INDEX silences_newest ON alerts.silences (created_at DESC, id DESC)",
    """
    CREATE TABLE alerts.mute_checks (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        token TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    ALTER TABLE alerts.endpoints
        ADD level INTEGER NOT NULL DEFAULT 0,
        ADD headers JSONB NOT NULL DEFAULT '{}'
    """,
    """
    ALTER TABLE alerts.deliveries
        ADD changes BIGINT[],
        ADD first_try INTEGER NOT NULL DEFAULT 0
    """,
    "CREATE INDEX deliveries_of_endpoint ON alerts.deliveries (endpoint, created_at DESC)",
    "CREATE INDEX deliveries_of_group ON alerts.deliveries USING gin (changes) WHERE changes IS NOT NULL",
)
UNDONE = (
    "DROP INDEX alerts.deliveries_of_endpoint",
    "ALTER TABLE alerts.deliveries DROP changes, DROP first_try",
    "ALTER TABLE alerts.endpoints DROP level, DROP headers",
    *(f"DROP TABLE alerts.{table}" for table in TABLES),
    'ALTER TABLE alerts.changes DROP told, DROP "group", DROP waiting',
    """
    ALTER TABLE alerts.alerts DROP told_at, DROP reminders, DROP level, DROP muted_by, DROP covers, DROP "group"
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in UNDONE:
        op.execute(statement)
