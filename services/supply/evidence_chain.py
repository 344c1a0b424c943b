"""Checks the chain of each partition: what was changed, left out, put in or moved, and where the signed heads differ.

A record's stored hash must follow from the hash before it and its own raw bytes. Where it does not, the record after it
tells which of the two is wrong; what cannot be told yet is kept as a doubt and settled at the end, when rows that stand
in each other's places have been found. A chain that was computed anew after a change is consistent in itself and only
disagrees with what was signed outside: then the records between the last signed head that agrees and the first that
does not are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Final

import msgspec

from services.supply.findings import TOPIC_OF, End, Findings, Head, Kind, Row, Span, at
from services.supply.record import CHAIN_START, link
from services.supply.scratch import Scratch

MAX_DOUBTS: Final = 64
MAX_BEFORES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_RAW: Final = ("recorded_at", "record_key", "headers", "value")
# Which raw columns may have been exchanged: all, or some of them.
_MIXES: Final = [names for count in range(len(_RAW), 0, -1) for names in combinations(_RAW, count)]


def linked(before: bytes, place: Span, row: Row) -> bytes | None:
    """The hash of a record with the raw bytes of `row` at `place`; None where it could never have been a record."""
    try:
        moment = datetime.fromisoformat(row.recorded_at)
        milliseconds, rest = divmod(moment - _EPOCH, _MILLISECOND)
    except (ValueError, TypeError, OverflowError):
        return None
    topic = TOPIC_OF.get(place.topic_id)
    if rest or row.headers is None or topic is None or place.first < 0 or place.partition < 0:
        return None
    return link(
        before, topic.encode(), place.partition, place.first, milliseconds, row.record_key, row.headers, row.value
    )


class Doubt(msgspec.Struct):
    """A place whose record does not follow (`row`), is not there, or is one too many (`extra`).

    `befores` are the hashes that the record before may have; what lies before `since` a signature vouches for.
    """

    kind: Kind
    place: Span
    row: Row | None
    befores: list[bytes]
    since: int
    detail: str
    settled: bool = False

    @property
    def extra(self) -> bool:
        return self.kind == "inserted"


class ChainCheck:
    """The chains of all partitions, one record after the other; findings go to `found`."""

    def __init__(self, ends: Iterable[End], scratch: Scratch, found: Findings) -> None:
        self._ends = {(end.topic_id, end.partition): end for end in ends}
        self._scratch = scratch
        self._found = found
        self._left = {*self._ends, *scratch.partitions()}
        self._doubts: list[Doubt] = []
        self._walk: _Walk | None = None

    def take(self, rows: Sequence[Row]) -> Row | None:
        """The rows of one place, by seq. The row that holds the record's raw bytes, if there is one."""
        place = (rows[0].topic_id, rows[0].partition)
        if self._walk is None or self._walk.place != place:
            self._finish()
            self._walk = self._begin(place)
        return self._walk.take(rows)

    def end(self) -> None:
        """After the last record: partitions without any, and the doubts."""
        self._finish()
        for place in sorted(self._left):
            self._begin(place).end()
        settle(self._doubts, self._found)

    def _begin(self, place: tuple[int, int]) -> _Walk:
        self._left.discard(place)
        return _Walk(place, self._ends.get(place), self._scratch, self._doubt, self._found)

    def _finish(self) -> None:
        if self._walk is not None:
            self._walk.end()
            self._walk = None

    def _doubt(self, doubt: Doubt) -> None:
        """Keeps it for the end, when rows in each other's places are found; beyond a bound it is told as it is."""
        if len(self._doubts) < MAX_DOUBTS:
            self._doubts.append(doubt)
        else:
            _tell(doubt, self._found)


class _Walk:
    """One partition from its first record on."""

    def __init__(
        self,
        place: tuple[int, int],
        end: End | None,
        scratch: Scratch,
        doubt: Callable[[Doubt], None],
        found: Findings,
    ) -> None:
        self.place = place
        self._end = end
        self._heads = scratch.heads(*place)
        self._head = next(self._heads, None)
        self._signed = scratch.last_head(*place)
        self._tell_doubt = doubt
        self._found = found
        self._next = 0
        self._befores = [CHAIN_START]  # what the hash before the next record may be, the likeliest first
        self._chain = CHAIN_START  # the hash stored with the record before
        self._last: Doubt | None = None  # the record before, while nothing has confirmed it
        self._since = 0
        self._forged = False

    @property
    def _limit(self) -> int:
        """The first offset that neither the ledger's position nor a signature knows of."""
        return max(self._end.next_offset if self._end else 0, self._signed.next_offset if self._signed else 0)

    def take(self, rows: Sequence[Row]) -> Row | None:
        place = at(rows[0])
        raws = [row for row in rows if row.seq == 0]
        if not self._next <= place.first < self._limit:
            for row in raws or rows[:1]:
                self._doubt(
                    "inserted", place, row, f"the ledger has no such record: the partition ends at {self._limit}"
                )
            return None
        if place.first > self._next:
            self._gap(place.first, "no record is there")
        if not raws:
            self._gap(place.first + 1, "entry 0, which holds the record's raw bytes, is not there")
            return None
        genuine = self._genuine(place, raws)
        for row in raws:
            if row is not genuine:
                self._doubt("inserted", place, row, "a second record at the same place")
        self._step(place, genuine)
        return genuine

    def _genuine(self, place: Span, raws: Sequence[Row]) -> Row:
        """Of several entries 0 the one that follows; else the first that could be a record."""
        if len(raws) == 1:
            return raws[0]
        whole = [row for row in raws if row.headers is not None and row.chain is not None]
        return next((row for row in whole if self._fit(place, row) is not None), (whole or raws)[0])

    def _fit(self, place: Span, row: Row) -> bytes | None:
        """The hash before from which the stored hash of `row` follows."""
        return next((before for before in self._befores if linked(before, place, row) == row.chain), None)

    def _step(self, place: Span, row: Row) -> None:
        """The next record in order."""
        fit = self._fit(place, row)
        stored = [] if row.chain is None else [row.chain]
        if fit is not None or not self._befores:
            self._confirm(fit)
            self._last, self._befores = None, stored
        else:
            again = [hashed for hashed in (linked(before, place, row) for before in self._befores) if hashed]
            detail = "its bytes do not give its stored hash"
            if self._last is not None:
                detail = "it does not follow from the record before it, which is itself in doubt"
            self._last = self._doubt("changed", place, row, detail)
            self._befores = [*stored, *again][:MAX_BEFORES]
        self._chain = row.chain or b""
        self._next = place.first + 1
        self._compare(place)

    def _confirm(self, fit: bytes | None) -> None:
        """The next record follows from `fit`: what that says of the record before, if that one is in doubt."""
        if self._last is not None and self._last.row is not None and fit not in (None, self._last.row.chain):
            self._last.detail = "its stored hash is not the one that the next record follows from"

    def _compare(self, place: Span) -> None:
        """What was signed of the chain up to and with this record."""
        for head in self._heads_up_to(self._next):
            if head.next_offset < self._next:
                continue
            if head.chain == self._chain:
                self._since, self._forged, self._befores = self._next, False, [head.chain]
                continue
            self._befores.insert(0, head.chain)
            if self._last is None and not self._forged:
                self._forged = True
                rewritten = Span(*self.place, self._since, place.last)
                detail = f"the hashes are consistent, but not what checkpoint {head.n} signed: records were rewritten"
                self._found.add("checkpoint_mismatch", detail, rewritten)

    def _heads_up_to(self, offset: int) -> Iterator[Head]:
        while self._head is not None and self._head.next_offset <= offset:
            yield self._head
            self._head = next(self._heads, None)

    def _gap(self, until: int, detail: str) -> None:
        """No record up to `until`; behind it only a signature can say what the hash before was."""
        self._doubt("missing", Span(*self.place, self._next, until - 1), None, detail)
        self._befores = [head.chain for head in self._heads_up_to(until) if head.next_offset == until]
        self._last = None
        self._next = until

    def _doubt(self, kind: Kind, place: Span, row: Row | None, detail: str) -> Doubt:
        doubt = Doubt(kind, place, row, list(self._befores), self._since, detail)
        self._tell_doubt(doubt)
        return doubt

    def end(self) -> None:
        """What the position and the signatures say of the end."""
        if self._next < self._limit:
            by_position = self._end is not None and self._end.next_offset == self._limit
            signed = f"checkpoint {self._signed.n} signed" if self._signed else ""
            detail = f"{'the position says' if by_position else signed} that the partition ends at {self._limit}"
            self._doubt("truncated", Span(*self.place, self._next, self._limit - 1), None, detail)
        elif self._end is not None and self._next == self._end.next_offset and self._end.chain != self._chain:
            self._confirm(self._end.chain)
            if self._last is None and not self._forged:
                rewritten = Span(*self.place, min(self._since, max(0, self._next - 1)), max(0, self._next - 1))
                self._found.add("changed", "the ledger's own position holds another hash of the last record", rewritten)


def settle(doubts: Sequence[Doubt], found: Findings) -> None:
    """Finds rows that stand in another's place, clears those that were doubted because of them, tells the rest."""
    for place in doubts:
        if place.settled or place.extra:
            continue
        moved = next(((row, hashed) for row in doubts if (hashed := _belongs(row, place)) is not None), None)
        if moved is None:
            continue
        other, hashed = moved
        place.settled = True
        other.settled |= other.extra
        held = "holds" if place.row is not None else "lacks"
        found.add("moved", f"{place.place} {held} what stands at {other.place}", place.place, other.place)
        _clear_next(doubts, place.place, hashed)
    for doubt in doubts:
        if not doubt.settled:
            _tell(doubt, found)


def _belongs(other: Doubt, place: Doubt) -> bytes | None:
    """The hash of the record at `place` if bytes of `other` belong there: all of them, or some of the columns."""
    theirs, own = other.row, place.row
    if theirs is None or other is place:
        return None
    hashes = {theirs.chain} if own is None else {theirs.chain, own.chain}
    spot = Span(place.place.topic_id, place.place.partition, place.place.first, place.place.first)
    for columns in _MIXES if own is not None else _MIXES[:1]:
        mixed = theirs if own is None else _mixed(own, theirs, columns)
        for before in place.befores:
            hashed = linked(before, spot, mixed)
            if hashed is not None and hashed in hashes:
                return hashed
    return None


def _mixed(own: Row, theirs: Row, columns: Sequence[str]) -> Row:
    return msgspec.structs.replace(own, **{name: getattr(theirs, name) for name in columns})


def _clear_next(doubts: Sequence[Doubt], place: Span, hashed: bytes) -> None:
    """The record after `place` is as it was if it follows from the hash that belongs to `place`."""
    for doubt in doubts:
        after = doubt.place
        if doubt.row is None or (after.topic_id, after.partition, after.first) != (
            place.topic_id,
            place.partition,
            place.first + 1,
        ):
            continue
        doubt.befores.append(hashed)
        if not doubt.extra and linked(hashed, after, doubt.row) == doubt.row.chain:
            doubt.settled = True


def _tell(doubt: Doubt, found: Findings) -> None:
    """A change may also lie further back, with hashes computed anew from there on: no signature says otherwise."""
    before = None
    if doubt.kind == "changed" and doubt.since < doubt.place.first:
        before = Span(doubt.place.topic_id, doubt.place.partition, doubt.since, doubt.place.first - 1)
    found.add(doubt.kind, doubt.detail, doubt.place, doubt=before)
