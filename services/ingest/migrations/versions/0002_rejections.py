"""What was refused or is incomplete, with what was sent."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE rejections (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL"
        " CHECK (kind IN ('rejected', 'incomplete')), producer text NOT NULL, event_id text, topic text,"
        ' "partition" integer, "offset" bigint, at timestamptz, code text NOT NULL, detail text NOT NULL,'
        " received_at timestamptz NOT NULL DEFAULT now(), state text NOT NULL DEFAULT 'open'"
        " CHECK (state IN ('open', 'replayed')), replayed_at timestamptz, truncated boolean NOT NULL DEFAULT false,"
        " raw_key bytea, raw_value bytea, raw_headers bytea NOT NULL)"
    )
    # A record is kept once, however often it is read. A document of several events can leave several incomplete ones.
    op.execute(
        'CREATE UNIQUE INDEX rejections_place ON rejections (topic, "partition", "offset") WHERE kind = \'rejected\''
    )
    # Lists are by moment and id, newest first: of all, of a producer, of a code.
    op.execute("CREATE INDEX rejections_received ON rejections (received_at, id)")
    op.execute("CREATE INDEX rejections_producer ON rejections (producer, received_at, id)")
    op.execute("CREATE INDEX rejections_code ON rejections (code, received_at, id)")
