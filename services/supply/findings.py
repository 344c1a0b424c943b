"""Names what an examination of the journal reads, and what it finds. Pure."""

from __future__ import annotations

from typing import Final, Literal

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
