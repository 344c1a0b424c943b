"""Names the three kinds of failure: invalid (told to its sender), transient (waited for), and the rest: a bug."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

PROBLEM_MEDIA_TYPE = "application/problem+json"
# What one answer tells: a request can hold more faults than its answer, or its sender, could bear.
FAULTS_TOLD: Final = 100
MORE_FAULTS: Final = "more_faults"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one input: `field` is a dotted path, `code` a stable word, `index` the place in a batch."""

    field: str | None
    code: str
    detail: str
    index: int | None = None
    id: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def path(place: Iterable[str | int]) -> str:
    """A dotted path such as data.inputs[0].gtin."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def bounded(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The first FAULTS_TOLD of `faults`; where there are more, a closing one of the code MORE_FAULTS says how many."""
    left = len(faults) - FAULTS_TOLD
    if left <= 0:
        return tuple(faults)
    return (*faults[:FAULTS_TOLD], Fault(None, MORE_FAULTS, f"and {left} more faults"))


class Invalid(Exception):
    """The input is wrong and will stay wrong: its sender is told what is wrong with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in islice(self.faults, FAULTS_TOLD)))


class Transient(Exception):
    """Something that this service needs is away; the same call may succeed later."""

    def __init__(self, detail: str, retry_after_seconds: int = 5) -> None:
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail)


class Problem(Exception):
    """An HTTP answer that is not a success, as RFC 9457 problem+json; its `faults` are bounded."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        faults: Iterable[Fault] = (),
        *,
        code: str = "about:blank",
        retry_after_seconds: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = bounded(tuple(faults))
        self.code = code
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["Retry-After"] = str(retry_after_seconds)
        super().__init__(f"{status} {title}: {detail}")

    def body(self) -> dict[str, Any]:
        """{"type","title","status","detail","errors":[{"index","id","field","code","detail"}]}"""
        return {
            "type": self.code if self.code == "about:blank" else f"urn:supply-watch:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [fault.as_json() for fault in self.faults],
        }
