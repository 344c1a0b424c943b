"""EPCIS capture: jobs, captured events, the lots of serials; where parties are."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE producers ADD COLUMN country text NOT NULL DEFAULT 'VN'")
    op.execute(
        "CREATE TABLE parties (gln text PRIMARY KEY, country text NOT NULL, name text, changed_at timestamptz NOT NULL,"
        " changed_by text NOT NULL)"
    )
    op.execute(
        "CREATE TABLE captures (id uuid PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,"
        " producer text NOT NULL, behaviour text NOT NULL CHECK (behaviour IN ('rollback', 'proceed')),"
        " state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'success', 'errors')),"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz,"
        " errors text NOT NULL DEFAULT '[]', document bytea, size_bytes integer NOT NULL, frame text,"
        " mapped integer NOT NULL DEFAULT 0, incomplete integer NOT NULL DEFAULT 0,"
        " not_applicable integer NOT NULL DEFAULT 0, refused integer NOT NULL DEFAULT 0,"
        " attempts integer NOT NULL DEFAULT 0, holder text, leased_until timestamptz,"
        " CHECK ((state = 'running') = (finished_at IS NULL)), CHECK ((state = 'running') = (document IS NOT NULL)))"
    )
    # What waits, each producer's in the order in which it came; what is there, newest first, of all and of a producer.
    op.execute("CREATE INDEX captures_running ON captures (producer, number) WHERE state = 'running'")
    op.execute("CREATE INDEX captures_producer ON captures (producer, number)")
    # An event is one by its producer, its id and its content; the ids are too long for an index, hashes are not.
    op.execute(
        "CREATE TABLE captured_events (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id_hash bytea NOT NULL,"
        " producer text NOT NULL, content bytea NOT NULL, event_id text NOT NULL,"
        " capture uuid NOT NULL REFERENCES captures (id), event text NOT NULL, declared boolean NOT NULL,"
        " outcome text NOT NULL CHECK (outcome IN ('mapped', 'incomplete', 'not_applicable')), became jsonb NOT NULL,"
        " recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(), UNIQUE (id_hash, producer, content))"
    )
    op.execute(
        "CREATE TABLE serials (gtin text NOT NULL, serial text NOT NULL, producer text NOT NULL, lot text NOT NULL,"
        " told_at timestamptz NOT NULL, PRIMARY KEY (gtin, serial, producer))"
    )
    # The captured event that a rejection of the kind `incomplete` is about; it has one.
    op.execute("ALTER TABLE rejections ADD COLUMN captured bigint UNIQUE REFERENCES captured_events (number)")
    op.execute("ALTER TABLE rejections ADD CHECK ((kind = 'incomplete') = (captured IS NOT NULL))")
