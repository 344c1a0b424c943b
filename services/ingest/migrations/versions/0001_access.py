"""Producers, their GLNs, keys and the audit of what people changed."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE producers (name text PRIMARY KEY, roles text[] NOT NULL, created_at timestamptz NOT NULL)")
    op.execute("CREATE TABLE glns (gln text PRIMARY KEY, producer text NOT NULL REFERENCES producers (name))")
    op.execute("CREATE INDEX ix_glns_producer ON glns (producer)")
    op.execute(
        "CREATE TABLE keys (key_id text PRIMARY KEY, sha256 text NOT NULL, role text NOT NULL, name text NOT NULL,"
        " label text NOT NULL, kafka_username text, created_at timestamptz NOT NULL, created_by text NOT NULL,"
        " revoked_at timestamptz, announced boolean NOT NULL)"
    )
    op.execute("CREATE INDEX keys_unannounced ON keys (key_id) WHERE NOT announced")
    op.execute(
        "CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp(), by text NOT NULL, action text NOT NULL,"
        " subject text NOT NULL, detail jsonb NOT NULL)"
    )
