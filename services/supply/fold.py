"""Decides what each record of a batch does to the ledger, given what the ledger knew before. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from services.supply.correction import MAX_DEPTH, Correction, Effective, Family, Original, State
from services.supply.posting import Transfer, transfers
from services.supply.record import Consumed
from shared.events.reader import Event, EventCorrected, event_key

REGISTRY_TOPIC_ID: Final = 2
MOVEMENTS_TOPIC_ID: Final = 1
NO_PRODUCT: Final = 0


class Verdict(IntEnum):
    """What the journal says of a record. The numbers are stored."""

    RECORDED = 0
    DUPLICATE = 1
    CONFLICT = 2
    UNREADABLE = 3


class Entry(msgspec.Struct, gc=False):
    """One transfer as the journal keeps it: `reversal` swaps its ends, `cause` is the correction that brought it."""

    transfer: Transfer
    reversal: bool = False
    cause: bytes | None = None


class Journalled(msgspec.Struct, gc=False):
    """A record with its verdict and the entries that it brought."""

    record: Consumed
    verdict: Verdict
    entries: Sequence[Entry] = ()


class Known:
    """What the ledger knew of the events of one batch: the identities seen, and everything that corrections touch.

    `fold` brings it up to date as it goes, so that records of one batch see one another.
    """

    def __init__(
        self,
        seen: dict[bytes, bytes],
        originals: Iterable[Original] = (),
        corrections: Iterable[Correction] = (),
    ) -> None:
        self.seen = seen
        self.originals = {original.key: original for original in originals}
        self.corrections: dict[bytes, Correction] = {}
        self.by_target: dict[bytes, list[Correction]] = defaultdict(list)
        self._families: dict[bytes, Family] = {}
        for correction in corrections:
            self.add(correction)

    def add(self, correction: Correction) -> None:
        if correction.key in self.corrections:
            return
        self.corrections[correction.key] = correction
        self.by_target[correction.target].append(correction)
        path = self._path(correction)
        family = self._families.get(path[-1].target)
        if family is not None:
            family.add(path)

    def counts_as(self, original: Original) -> Effective:
        """What `original` counts as by the corrections known."""
        return self._family(original).effective()

    def root_of(self, correction: Correction) -> Original | None:
        """The original that `correction` comes down to; None while a link is missing, in a cycle, or too deep."""
        return self.originals.get(self._path(correction)[-1].target)

    def state_of(self, correction: Correction) -> State:
        """What became of `correction`."""
        root = self.root_of(correction)
        return "waiting" if root is None else self._family(root).state_of(self._path(correction))

    def _family(self, original: Original) -> Family:
        family = self._families.get(original.key)
        if family is None:
            family = self._families[original.key] = Family(original, self.by_target)
        return family

    def _path(self, correction: Correction) -> list[Correction]:
        """`correction`, what it corrects, and so on, no further than corrections count."""
        path = [correction]
        while len(path) <= MAX_DEPTH and (below := self.corrections.get(path[-1].target)) is not None:
            path.append(below)
        return path


def presumed(event: Event) -> Sequence[Transfer] | None:
    """What an event comes to if it is new and nothing corrects it; None for a correction."""
    return None if type(event.data) is EventCorrected else transfers(event.data)


def settle(records: Sequence[Consumed], known: Known) -> dict[int, Journalled]:
    """Those of the batch, by their number in it, that may not come to what is `presumed`: decided in their order."""
    targets = {found.target for found in corrections_in(records)} | set(known.by_target)
    seen = known.seen
    first: dict[bytes, bytes] = {}
    settled = {}
    for number, record in enumerate(records):
        event, key, content = record.event, record.event_key, record.content
        if event is None or key is None or content is None:
            settled[number] = Journalled(record, Verdict.UNREADABLE)
            continue
        plain = key not in seen and key not in targets and type(event.data) is not EventCorrected
        if plain and first.setdefault(key, content) is content:
            continue
        if key in first:
            seen.setdefault(key, first[key])
        settled[number] = _record(record, known)
    return settled


def fold(records: Sequence[Consumed], known: Known) -> list[Journalled]:
    """Every record of the batch with its verdict and entries, in the order of the batch."""
    settled = settle(records, known)
    return [settled.get(number) or _plain(record) for number, record in enumerate(records)]


def _plain(record: Consumed) -> Journalled:
    assert record.event is not None
    return Journalled(record, Verdict.RECORDED, [Entry(moved) for moved in transfers(record.event.data)])


def _record(record: Consumed, known: Known) -> Journalled:
    assert record.event_key is not None and record.content is not None
    before = known.seen.setdefault(record.event_key, record.content)
    if before is not record.content:
        return Journalled(record, Verdict.DUPLICATE if before == record.content else Verdict.CONFLICT)
    correction = correction_in(record)
    if correction is not None:
        return Journalled(record, Verdict.RECORDED, _corrected(correction, known))
    return Journalled(record, Verdict.RECORDED, _awaited(original_in(record), known))


def _corrected(correction: Correction, known: Known) -> Sequence[Entry]:
    """The entries by which the original comes to count as `correction` makes it count."""
    root = known.root_of(correction)
    before = None if root is None else known.counts_as(root)
    known.add(correction)
    if root is None:
        return ()
    return _change(before, known.counts_as(root), correction.key)


def _awaited(original: Original, known: Known) -> Sequence[Entry]:
    """The entries of an original that corrections may be waiting for."""
    known.originals[original.key] = original
    said = Effective(original.type, original.data, None)
    posted = [Entry(moved) for moved in transfers(original.data)]
    counts = known.counts_as(original)
    if counts.holder is None:
        return posted
    return [*posted, *_change(said, counts, counts.holder.key)]


def _change(before: Effective | None, after: Effective, cause: bytes) -> list[Entry]:
    """Reverses what `before` posted at its dates of effect and posts `after`; nothing if both post the same."""
    old = () if before is None or before.data is None else transfers(before.data)
    new = () if after.data is None else transfers(after.data)
    if old == new:
        return []
    return [Entry(moved, True, cause) for moved in old] + [Entry(moved, False, cause) for moved in new]


def original_in(record: Consumed) -> Original:
    """The original that a record holds (an event that is no correction)."""
    event = record.event
    assert event is not None and record.event_key is not None
    said = (event.data, event.time, event.source, event.id, event.by_regulator)
    return Original(record.event_key, event.type, topic_key(record), *said)


def corrections_in(records: Iterable[Consumed]) -> list[Correction]:
    """The corrections among `records`; those of which rows were made ahead are none."""
    return [found for record in records if not record.rows and (found := correction_in(record)) is not None]


def correction_in(record: Consumed) -> Correction | None:
    """The correction that a record holds; None for any other event."""
    event = record.event
    if event is None or record.event_key is None or type(event.data) is not EventCorrected:
        return None
    data = event.data
    return Correction(
        key=record.event_key,
        target=target_key(data),
        source=event.source,
        id=event.id,
        time=event.time,
        type=data.corrects.type,
        topic_key=data.key,
        replacement=data.replacement,
    )


def topic_key(record: Consumed) -> str:
    return key_text(record.key)


def key_text(key: bytes | None) -> str:
    """A record's key as the topic key that corrections name."""
    return (key or b"").decode("utf-8", "replace")


def target_key(data: EventCorrected) -> bytes:
    return event_key(data.corrects.source, data.corrects.id)
