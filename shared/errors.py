"""Names the three kinds of failure: invalid (told to its sender), transient (waited for), and the rest: a bug."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

PROBLEM_MEDIA_TYPE = "application/problem+json"


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


class Invalid(Exception):
    """The input is wrong and will stay wrong: its sender is told every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in self.faults))


class Transient(Exception):
    """Something that this service needs is away; the same call may succeed later."""

    def __init__(self, detail: str, retry_after_seconds: int = 5) -> None:
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail)


class Problem(Exception):
    """An HTTP answer that is not a success, as RFC 9457 problem+json."""

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
        self.faults = tuple(faults)
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
