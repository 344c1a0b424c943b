"""Decides whether a journal is what its hash chains and signed checkpoints say, and names every row that is not. Pure.

    with Examination(ends, heads) as examination:
        for row in rows:              # in the order of journal_rows: topic_id, partition, offset, seq
            examination.take(row)
        report = examination.end()

Two things are checked, in one pass. That the chain of each partition follows from the raw bytes and agrees with what
was signed: see evidence_chain. That every other column follows from the raw bytes too: see evidence_entries. What grows
with the ledger (identities of events, signed heads) lies in a temporary file of SQLite, which is removed by itself;
memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Self

import msgspec

from services.supply.fold import MOVEMENTS_TOPIC_ID, REGISTRY_TOPIC_ID
from shared import topics

Kind = Literal["changed", "missing", "inserted", "moved", "truncated", "bad_signature", "checkpoint_mismatch"]
TOPIC_OF: Final = {MOVEMENTS_TOPIC_ID: topics.MOVEMENTS, REGISTRY_TOPIC_ID: topics.REGISTRY}
MAX_FINDINGS: Final = 1_000


class Row(msgspec.Struct, array_like=True, gc=False):
    """One row of the journal as it is stored. Moments and days are texts as PostgreSQL writes them (ISO, UTC)."""

    topic_id: int
    partition: int
    kafka_offset: int
    seq: int
    gtin: int
    lot: str
    recorded_at: str
    verdict: int | None
    debit: int | None
    credit: int | None
    packs: int | None
    effective_on: str | None
    reversal: bool | None
    expires_on: str | None
    period_start: str | None
    cause: bytes | None
    event_key: bytes | None
    said_at: str | None
    record_key: bytes | None
    headers: bytes | None
    value: bytes | None
    chain: bytes | None


COLUMNS: Final = Row.__struct_fields__


class End(msgspec.Struct, frozen=True):
    """Where the ledger itself says that it stands in a partition (a row of `positions`, in the rows' snapshot)."""

    topic_id: int
    partition: int
    next_offset: int
    chain: bytes


class Head(msgspec.Struct, frozen=True):
    """What checkpoint `n` says of a partition: the hash of the record before `next_offset`."""

    topic_id: int
    partition: int
    next_offset: int
    chain: bytes
    n: int


class Span(msgspec.Struct, frozen=True):
    """Records of one partition, both ends included."""

    topic_id: int
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        place = f"{TOPIC_OF.get(self.topic_id, f'topic {self.topic_id}')}[{self.partition}]@{self.first}"
        return place if self.first == self.last else f"{place}-{self.last}"

    def holds(self, topic_id: int, partition: int, offset: int) -> bool:
        return (self.topic_id, self.partition) == (topic_id, partition) and self.first <= offset <= self.last


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was recorded.

    `place` is where, as a person reads it; `spans` are the records concerned (none for a checkpoint). Where rows before
    these could have been rewritten together with their hashes, `doubt` is how far back.
    """

    kind: Kind
    place: str
    detail: str
    spans: tuple[Span, ...] = ()
    doubt: Span | None = None

    def names(self, topic_id: int, partition: int, offset: int) -> bool:
        """Whether the finding is about this record."""
        return any(span.holds(topic_id, partition, offset) for span in self.spans)


class Report(msgspec.Struct):
    """What an examination came to; `more` findings were made beyond MAX_FINDINGS."""

    records: int
    rows: int
    findings: list[Finding]
    more: int = 0


class Findings:
    """Collects findings up to a bound, each once."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.more = 0

    def add(self, kind: Kind, detail: str, *spans: Span, place: str | None = None, doubt: Span | None = None) -> None:
        found = Finding(kind, place or ", ".join(map(str, spans)), detail, spans, doubt)
        if len(self.kept) >= MAX_FINDINGS:
            self.more += 1
        elif found not in self.kept[-8:]:
            self.kept.append(found)


def at(row: Row) -> Span:
    """The record to which a row belongs."""
    return Span(row.topic_id, row.partition, row.kafka_offset, row.kafka_offset)


class Examination:
    """One pass over a journal; `ends` are its positions, `heads` what the signed checkpoints say (checked before)."""

    def __init__(self, ends: Iterable[End], heads: Iterable[Head] = ()) -> None:
        from services.supply.evidence_chain import ChainCheck
        from services.supply.evidence_entries import EntriesCheck
        from services.supply.scratch import Scratch

        self._found = Findings()
        self._scratch = Scratch()
        self._scratch.add_heads(heads)
        self._chain = ChainCheck(list(ends), self._scratch, self._found)
        self._entries = EntriesCheck(self._scratch, self._found)
        self._group: list[Row] = []
        self._rows = 0
        self._records = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._scratch.close()

    def take(self, row: Row) -> None:
        """The next row of the journal."""
        self._rows += 1
        if self._group and not _together(self._group[0], row):
            self._record()
        self._group.append(row)

    def end(self) -> Report:
        """After the last row: everything that was found."""
        if self._group:
            self._record()
        self._chain.end()
        self._entries.end()
        return Report(self._records, self._rows, self._found.kept, self._found.more)

    def _record(self) -> None:
        rows, self._group = self._group, []
        self._records += 1
        genuine = self._chain.take(rows)
        if genuine is not None:
            self._entries.take(genuine, rows)


def _together(one: Row, other: Row) -> bool:
    return (one.kafka_offset, one.partition, one.topic_id) == (other.kafka_offset, other.partition, other.topic_id)
