"""Says in GS1's terms what went wrong: of a call, as a problem document; of a job, one problem for each event. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from services.ingest.epcis.capture import Captured
from services.ingest.epcis.documents import Document
from services.ingest.epcis.outcome import SECURITY, VALIDATION, Refused
from shared.errors import FAULTS_TOLD, MORE_FAULTS, Fault, Problem

IMPLEMENTATION: Final = "epcisException:ImplementationException"
_OF_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: VALIDATION,
        401: SECURITY,
        403: SECURITY,
        404: "epcisException:NoSuchNameException",
        413: "epcisException:CaptureLimitExceededException",
        422: VALIDATION,
    }
)
_STATUS: Final[Mapping[str, int]] = MappingProxyType({VALIDATION: 400, SECURITY: 403, IMPLEMENTATION: 500})
_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        VALIDATION: "Not valid",
        SECURITY: "Not yours to say",
        IMPLEMENTATION: "A fault of ours",
    }
)


class EpcisProblem(Problem):
    """A Problem whose type is GS1's name for it."""

    def body(self) -> dict[str, Any]:
        return {**super().body(), "type": _OF_STATUS.get(self.status, IMPLEMENTATION)}


def of(problem: Problem, headers: Mapping[str, str]) -> EpcisProblem:
    """The same problem, told as GS1 tells it, with more headers."""
    told = {**problem.headers, **headers}
    return EpcisProblem(problem.status, problem.title, problem.detail, problem.faults, headers=told)


def job_error(exception: str, detail: str, faults: Sequence[Fault] = (), event_id: str | None = None) -> dict[str, Any]:
    """One of a job's `errors`; `instance` is the event that it is about."""
    return {
        "type": exception,
        "title": _TITLES[exception],
        "status": _STATUS[exception],
        "detail": detail,
        **({} if event_id is None else {"instance": event_id}),
        "errors": [fault.as_json() for fault in faults],
    }


def job_errors(document: Document, found: Sequence[Captured]) -> list[dict[str, Any]]:
    """The problem around the events, then one for each event that is refused; up to FAULTS_TOLD faults in all."""
    left = FAULTS_TOLD
    told: list[dict[str, Any]] = []
    problems = list(_problems(document, found))
    for exception, faults, event_id in problems:
        if left <= 0:
            detail = f"and {len(problems) - len(told)} more events"
            return [*told, job_error(VALIDATION, detail, [Fault(None, MORE_FAULTS, detail)])]
        shown, left = faults[:left], left - len(faults)
        told.append(job_error(exception, _summary(faults), shown, event_id))
    return told


def _problems(document: Document, found: Sequence[Captured]) -> Iterator[tuple[str, list[Fault], str | None]]:
    if document.faults:
        yield VALIDATION, list(document.faults), None
    for one in found:
        if isinstance(one.outcome, Refused):
            # What is wrong around the events is told once.
            own = one.outcome.faults[len(document.faults) :]
            if own:
                faults = [replace(fault, index=one.index, id=one.id) for fault in own]
                yield one.outcome.exception, faults, one.id


def _summary(faults: Sequence[Fault]) -> str:
    first = faults[0]
    told = f"{first.field}: {first.detail}" if first.field else first.detail
    return told if len(faults) == 1 else f"{told} (and {len(faults) - 1} more, see errors)"
