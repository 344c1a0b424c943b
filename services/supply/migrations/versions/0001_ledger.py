"""The journal, what is derived from it, and the consumer's positions."""

from alembic import op

revision = "0001"
down_revision = None

PLACES = "produced imported quarantine available rejected exported consumed destroyed transformed adjusted".split()
EVENT_ID_PARTS = 8


def upgrade() -> None:
    op.execute(
        "CREATE TABLE positions (topic_id smallint, partition smallint, next_offset bigint NOT NULL,"
        " epoch bigint NOT NULL, chain bytea NOT NULL, holder text NOT NULL, PRIMARY KEY (topic_id, partition))"
    )
    _journal()
    _identities()
    _derived()
    _answers()


def _journal() -> None:
    """Partitioned by month; the writer makes a month's part before the first record of it."""
    op.execute(
        "CREATE TABLE journal (gtin bigint, lot text, topic_id smallint, partition smallint, kafka_offset bigint,"
        " seq smallint, recorded_at timestamptz, verdict smallint, debit smallint, credit smallint, packs bigint,"
        " effective_on date, reversal boolean, expires_on date, period_start date, cause bytea, event_key bytea,"
        " said_at timestamptz, record_key bytea, headers bytea, value bytea, chain bytea,"
        " PRIMARY KEY (gtin, lot, topic_id, partition, kafka_offset, seq, recorded_at)"
        ") PARTITION BY RANGE (recorded_at)"
    )
    op.execute("CREATE INDEX journal_place ON journal (topic_id, partition, kafka_offset)")
    op.execute("CREATE INDEX journal_cause ON journal (cause) WHERE cause IS NOT NULL")
    op.execute("CREATE INDEX journal_odd ON journal (verdict, event_key) WHERE verdict >= 2")


def _identities() -> None:
    place = "topic_id smallint NOT NULL, partition smallint NOT NULL, kafka_offset bigint NOT NULL"
    op.execute(
        f"CREATE TABLE event_ids (event_key bytea PRIMARY KEY, content bytea NOT NULL, {place})"
        " PARTITION BY HASH (event_key)"
    )
    for part in range(EVENT_ID_PARTS):
        op.execute(
            f"CREATE TABLE event_ids_{part} PARTITION OF event_ids"
            f" FOR VALUES WITH (MODULUS {EVENT_ID_PARTS}, REMAINDER {part})"
        )
    said = f"source text NOT NULL, id text NOT NULL, time timestamptz NOT NULL, {place}, data jsonb NOT NULL"
    op.execute(f"CREATE TABLE corrections (event_key bytea PRIMARY KEY, target bytea NOT NULL, {said})")
    op.execute("CREATE INDEX corrections_target ON corrections (target)")
    op.execute(f"CREATE TABLE facts (event_key bytea PRIMARY KEY, type text NOT NULL, key text NOT NULL, {said})")
    op.execute("CREATE INDEX facts_key ON facts (key)")


def _derived() -> None:
    places = ", ".join(f"{place} bigint NOT NULL" for place in PLACES)
    op.execute(
        f"CREATE TABLE lots (gtin bigint, lot text, {places}, produced_count bigint NOT NULL,"
        " imported_count bigint NOT NULL, introduced_on date, expires_on date, supplied_on date,"
        " PRIMARY KEY (gtin, lot)) WITH (fillfactor = 80)"
    )
    op.execute("CREATE INDEX lots_supplied ON lots (supplied_on)")
    op.execute(
        "CREATE TABLE flows (gtin bigint, lot text, effective_on date, debit smallint, credit smallint,"
        " packs bigint NOT NULL, PRIMARY KEY (gtin, lot, effective_on, debit, credit)) WITH (fillfactor = 90)"
    )


def _answers() -> None:
    op.execute("CREATE TABLE checkpoints (n bigint PRIMARY KEY, at timestamptz NOT NULL UNIQUE, places jsonb NOT NULL)")
    op.execute(
        "CREATE TABLE signals (subject text PRIMARY KEY, version bigint NOT NULL, published bigint NOT NULL,"
        " at timestamptz NOT NULL, data jsonb NOT NULL)"
    )
    op.execute("CREATE INDEX signals_unpublished ON signals (version) WHERE published < version")
    op.execute(
        'CREATE TABLE evaluations (name text PRIMARY KEY, checkpoint bigint NOT NULL, "on" date NOT NULL,'
        " body jsonb NOT NULL)"
    )
    op.execute(
        "CREATE TABLE leases (name text PRIMARY KEY, holder text NOT NULL, epoch bigint NOT NULL,"
        " expires_at timestamptz NOT NULL)"
    )
