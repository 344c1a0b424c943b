"""Keeps what an examination must look up again in a temporary SQLite file: memory does not grow with the ledger.

The file has no name: the system removes it when the examination ends, however it ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from services.supply.findings import Head

CACHE_KIB: Final = 64 * 1024
KEYS_A_QUERY: Final = 10_000
HEADS_A_STEP: Final = 10_000

_TABLES: Final = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE heads (topic_id INT, partition INT, next_offset INT, chain BLOB, n INT,
    PRIMARY KEY (topic_id, partition, next_offset, chain)) WITHOUT ROWID;
CREATE TABLE signed (n INT PRIMARY KEY, digest TEXT, previous TEXT, place TEXT) WITHOUT ROWID;
CREATE TABLE events (key BLOB, content BLOB, topic_id INT, partition INT, kafka_offset INT, verdict INT, target BLOB,
    record_key BLOB, headers BLOB, value BLOB);
CREATE INDEX events_key ON events (key);
CREATE INDEX events_target ON events (target) WHERE target IS NOT NULL;
"""
_TWICE: Final = """
SELECT key, content, topic_id, partition, kafka_offset, verdict FROM events
WHERE key IN (SELECT key FROM events GROUP BY key HAVING count(*) > 1 OR max(verdict) > 0)
ORDER BY key, topic_id, partition, kafka_offset
"""


class Seen(NamedTuple):
    """A readable record; `target` where it is a correction, the raw bytes where it is the recorded one of its event."""

    key: bytes
    content: bytes
    topic_id: int
    partition: int
    kafka_offset: int
    verdict: int
    target: bytes | None
    record_key: bytes | None
    headers: bytes | None
    value: bytes | None


class Scratch:
    """One examination's temporary tables."""

    def __init__(self) -> None:
        self._tables = sqlite3.connect("", isolation_level=None)
        self._tables.executescript(_TABLES)
        self._tables.execute("BEGIN")

    def close(self) -> None:
        self._tables.close()

    def add_heads(self, heads: Iterable[Head]) -> None:
        """Of those that say the same, the first is kept."""
        rows = ((h.topic_id, h.partition, h.next_offset, h.chain, h.n) for h in heads)
        while step := list(islice(rows, HEADS_A_STEP)):
            self._tables.executemany("INSERT OR IGNORE INTO heads VALUES (?, ?, ?, ?, ?)", step)

    def heads(self, topic_id: int, partition: int) -> Iterator[Head]:
        """What was signed of a partition, from its beginning on."""
        query = "SELECT * FROM heads WHERE topic_id = ? AND partition = ? ORDER BY next_offset, n"
        for row in self._tables.execute(query, (topic_id, partition)):
            yield Head(*row)

    def last_head(self, topic_id: int, partition: int) -> Head | None:
        query = "SELECT * FROM heads WHERE topic_id = ? AND partition = ? ORDER BY next_offset DESC, n LIMIT 1"
        row = self._tables.execute(query, (topic_id, partition)).fetchone()
        return None if row is None else Head(*row)

    def partitions(self) -> list[tuple[int, int]]:
        """Every partition of which something was signed."""
        return list(self._tables.execute("SELECT DISTINCT topic_id, partition FROM heads"))

    def add_signed(self, n: int, digest: str, previous: str | None, place: str) -> str | None:
        """The place of another checkpoint with this number but another digest, if there was one before."""
        query = "INSERT OR IGNORE INTO signed VALUES (?, ?, ?, ?)"
        if self._tables.execute(query, (n, digest, previous, place)).rowcount:
            return None
        held, where = self._tables.execute("SELECT digest, place FROM signed WHERE n = ?", (n,)).fetchone()
        return None if held == digest else str(where)

    def signed(self) -> Iterator[tuple[int, str, str | None, str]]:
        """(n, digest, previous, place) of every checkpoint, by n."""
        return self._tables.execute("SELECT n, digest, previous, place FROM signed ORDER BY n")

    def add_events(self, events: Iterable[Seen]) -> None:
        self._tables.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", events)

    def recorded(self, column: str, keys: Collection[bytes]) -> list[Seen]:
        """The recorded events whose `column` (key or target) is one of `keys`, first recorded first."""
        found: list[Seen] = []
        rest = iter(keys)
        while step := list(islice(rest, KEYS_A_QUERY)):
            marks = ",".join("?" * len(step))
            query = f"SELECT * FROM events WHERE {column} IN ({marks}) AND verdict = 0 ORDER BY rowid"
            found += map(Seen._make, self._tables.execute(query, step))
        return found

    def not_alone(self) -> Iterator[tuple[Any, ...]]:
        """(key, content, topic_id, partition, kafka_offset, verdict) of the events that were told more than once, or
        of which a record stands as something else than recorded."""
        return self._tables.execute(_TWICE)
