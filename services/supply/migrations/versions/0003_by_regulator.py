"""By what authority a fact was said: from the record's headers, so that no answer depends on today's access list.

Facts that were recorded before ingest wrote that header stand as said without authority.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE facts ADD COLUMN by_regulator boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE facts ALTER COLUMN by_regulator DROP DEFAULT")
