"""Signed checkpoints: what goes outside carries the hash of the one before, the key's id and the signature."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE checkpoints ADD COLUMN previous text, ADD COLUMN key_id text, ADD COLUMN signature text")
    op.execute("CREATE INDEX checkpoints_signed ON checkpoints (n) WHERE signature IS NOT NULL")
