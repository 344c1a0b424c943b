"""Decides what an event counts as, given the corrections of it, of them, and so on. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.events.reader import EventCorrected, Replacement, event_key

MAX_DEPTH: Final = 16

State = Literal["recorded", "waiting", "conflict", "no_effect"]


class Correction(msgspec.Struct, frozen=True):
    """A recorded event.corrected. `key` and `target` are event keys (source and id, hashed).

    `type` and `topic_key` are those of the first original: a correction that names others waits for ever.
    """

    key: bytes
    target: bytes
    source: str
    id: str
    time: datetime
    type: str
    topic_key: str
    replacement: Replacement | None

    @property
    def rank(self) -> tuple[datetime, str, str]:
        return (self.time, self.source, self.id)


class Original(msgspec.Struct, frozen=True):
    """A recorded event that is no correction; `by_regulator` as in reader.Event."""

    key: bytes
    type: str
    topic_key: str
    data: msgspec.Struct
    time: datetime
    source: str
    id: str
    by_regulator: bool = False


class Effective(msgspec.Struct, frozen=True):
    """What an original counts as: `data` (None: nothing), by the correction `holder` (None: as it was said)."""

    type: str
    data: msgspec.Struct | None
    holder: Correction | None


ByTarget = Mapping[bytes, Sequence[Correction]]


def _rank(correction: Correction) -> tuple[datetime, str, str]:
    return correction.rank


class Family:
    """An original with all corrections above it, and what they come to.

    Of several corrections of one event the greatest (time, source, id) that counts holds. `add` keeps that up to date
    in steps that do not grow with the number of rivals: nobody can slow the ledger by correcting one event often.
    """

    def __init__(self, original: Original, by_target: ByTarget) -> None:
        """`by_target` are the corrections by what they correct; it may grow, and then `add` must be told."""
        self.original = original
        self._by_target = by_target
        # The corrections of each event that count, by rising rank, and what each of them puts in place.
        self._counting: dict[bytes, list[Correction]] = {}
        self._puts: dict[bytes, Replacement | None] = {}
        self._judge_all(None, 1)

    def effective(self) -> Effective:
        """What the original counts as."""
        holder = self._holder(self.original.key)
        if holder is None:
            return Effective(self.original.type, self.original.data, None)
        replacement = self._puts[holder.key]
        if replacement is None:
            return Effective(self.original.type, None, holder)
        return Effective(replacement.type, replacement.data, holder)

    def add(self, path: Sequence[Correction]) -> None:
        """Takes in the first of `path`: a correction, what it corrects, and so on down to one of the original."""
        if len(path) > MAX_DEPTH:
            return
        self._judge_all(path[0], len(path) + 1)
        for at, correction in enumerate(path):
            beneath = path[at + 1] if at + 1 < len(path) else None
            if not self._judge_again(correction, beneath):
                return

    def state_of(self, path: Sequence[Correction]) -> State:
        """What became of the first of `path` (see `add`)."""
        correction, beneath = path[0], path[1] if len(path) > 1 else None
        if len(path) > MAX_DEPTH or not matches(correction, self.original):
            return "waiting"
        stands, replacement = self._as_corrected(correction)
        if not stands:
            return "no_effect"
        if not fits(replacement, beneath):
            return "waiting"
        holder = self._holder(correction.target)
        return "recorded" if holder is not None and holder.key == correction.key else "conflict"

    def _holder(self, target: bytes) -> Correction | None:
        counting = self._counting.get(target)
        return counting[-1] if counting else None

    def _judge_all(self, beneath: Correction | None, depth: int) -> None:
        """Judges the corrections of `beneath` (None: of the original), those above them first."""
        key = self.original.key if beneath is None else beneath.key
        counting = []
        for correction in self._by_target.get(key, ()) if depth <= MAX_DEPTH else ():
            self._judge_all(correction, depth + 1)
            if self._counts(correction, beneath):
                counting.append(correction)
        self._counting[key] = sorted(counting, key=_rank)

    def _judge_again(self, correction: Correction, beneath: Correction | None) -> bool:
        """Whether it comes to something else than before for what it corrects."""
        rivals = self._counting.setdefault(correction.target, [])
        place = bisect_left(rivals, correction.rank, key=_rank)
        counted = place < len(rivals) and rivals[place].key == correction.key
        before = self._puts.get(correction.key)
        counts = self._counts(correction, beneath)
        if counts and not counted:
            rivals.insert(place, correction)
        elif counted and not counts:
            del rivals[place]
        return counts != counted or (counts and self._puts[correction.key] is not before)

    def _counts(self, correction: Correction, beneath: Correction | None) -> bool:
        if not matches(correction, self.original):
            return False
        stands, replacement = self._as_corrected(correction)
        if not stands or not fits(replacement, beneath):
            return False
        self._puts[correction.key] = replacement
        return True

    def _as_corrected(self, correction: Correction) -> tuple[bool, Replacement | None]:
        """Whether `correction` still counts after the corrections of it, and what it puts in place then."""
        above = self._holder(correction.key)
        if above is None:
            return True, correction.replacement
        replacement = self._puts[above.key]
        if replacement is None:
            return False, None
        assert isinstance(replacement.data, EventCorrected)  # because it fits
        return True, replacement.data.replacement


def matches(correction: Correction, original: Original) -> bool:
    """Whether `correction` speaks of `original` (or of a correction of it): same type and same topic key."""
    return correction.type == original.type and correction.topic_key == original.topic_key


def fits(replacement: Replacement | None, beneath: Correction | None) -> bool:
    """Whether `replacement` can take the place of `beneath` (None: of an event that is no correction).

    A correction can only be replaced by a correction of the same event, any other event by anything but a correction.
    """
    if replacement is None:
        return True
    data = replacement.data
    if beneath is None or not isinstance(data, EventCorrected):
        return beneath is None and not isinstance(data, EventCorrected)
    about = data.corrects
    return (event_key(about.source, about.id), about.type, data.key) == (
        beneath.target,
        beneath.type,
        beneath.topic_key,
    )
