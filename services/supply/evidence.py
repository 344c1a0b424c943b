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
from typing import Self

from services.supply.evidence_chain import ChainCheck
from services.supply.evidence_entries import EntriesCheck
from services.supply.findings import End, Findings, Head, Report, Row
from services.supply.scratch import Scratch


class Examination:
    """One pass over a journal; `ends` are its positions, `heads` what the signed checkpoints say (checked before)."""

    def __init__(self, ends: Iterable[End], heads: Iterable[Head] = ()) -> None:
        # What the chain says comes first: entries of other records may be wrong because of a record that is gone.
        self._of_chain, self._of_entries = Findings(), Findings()
        self._scratch = Scratch()
        self._scratch.add_heads(heads)
        self._chain = ChainCheck(list(ends), self._scratch, self._of_chain)
        self._entries = EntriesCheck(self._scratch, self._of_entries)
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
        found = [*self._of_chain.kept, *self._of_entries.kept]
        return Report(self._records, self._rows, found, self._of_chain.more + self._of_entries.more)

    def _record(self) -> None:
        rows, self._group = self._group, []
        self._records += 1
        genuine = self._chain.take(rows)
        if genuine is not None:
            self._entries.take(genuine, rows)


def _together(one: Row, other: Row) -> bool:
    return (one.kafka_offset, one.partition, one.topic_id) == (other.kafka_offset, other.partition, other.topic_id)
