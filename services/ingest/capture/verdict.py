"""Decides what a document comes to: what of it is kept, and what its job says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from services.ingest.capture import problems
from services.ingest.capture.entry import Entry, frame
from services.ingest.capture.negotiation import ROLLBACK
from services.ingest.epcis.capture import Captured
from services.ingest.epcis.documents import Document
from services.ingest.epcis.outcome import Incomplete, Mapped, NotApplicable, Refused

SUCCESS: Final = "success"
ERRORS: Final = "errors"
REFUSED: Final = "refused"
OUTCOMES: Final[Mapping[type, str]] = MappingProxyType(
    {Mapped: "mapped", Incomplete: "incomplete", NotApplicable: "not_applicable", Refused: REFUSED}
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of each event of a document, and what can be kept of those that are not refused."""

    document: Document
    found: Sequence[Captured]
    entries: Sequence[Entry]

    @property
    def refused(self) -> bool:
        """Whether anything of it is."""
        return bool(self.document.faults) or any(isinstance(one.outcome, Refused) for one in self.found)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a job comes to: its problems, how many events became what, and as JSON what they share."""

    errors: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]
    frame: str

    @property
    def state(self) -> str:
        return ERRORS if self.errors else SUCCESS


def verdict(decided: Decided, behaviour: str) -> tuple[Verdict, Sequence[Entry]]:
    """The verdict and what is kept; with `rollback` one refused event refuses them all."""
    errors = problems.job_errors(decided.document, decided.found)
    if decided.refused and behaviour == ROLLBACK:
        return Verdict(errors, _all_refused(len(decided.found)), frame(decided.document)), ()
    return Verdict(errors, _counts(decided.found), frame(decided.document)), decided.entries


def given_up(document: Document) -> Verdict:
    """Of a document that we fail at."""
    error = problems.job_error(problems.IMPLEMENTATION, "this document makes us fail; nothing of it was captured")
    return Verdict([error], _all_refused(len(document.events)), frame(document))


def _counts(found: Sequence[Captured]) -> dict[str, int]:
    told = Counter(OUTCOMES[type(one.outcome)] for one in found)
    return {name: told[name] for name in OUTCOMES.values()}


def _all_refused(number: int) -> dict[str, int]:
    return {**dict.fromkeys(OUTCOMES.values(), 0), REFUSED: number}
