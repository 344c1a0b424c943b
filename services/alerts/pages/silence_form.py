"""Decides what the form of a silence says, and what stands in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.alerts.muting import Op
from shared.clock import TZ
from shared.errors import Fault, Invalid

Form = Mapping[str, str]
ROWS: Final = 4
OPS: Final = tuple(op.value for op in Op)
LENGTHS: Final = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "8h": timedelta(hours=8),
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
}
USUAL: Final = "4h"
FIELDS: Final = ("starts_at", "length", "ends_at", "reason", *(f"value{row}" for row in range(ROWS)))


def blank(*matchers: tuple[str, str]) -> dict[str, str]:
    """The form with `matchers`, as names and values that must be equal."""
    found = {"starts_at": "", "length": USUAL, "ends_at": "", "reason": ""}
    for row, (name, value) in enumerate((*matchers, *[("", "")] * ROWS)[:ROWS]):
        found |= {f"name{row}": name, f"op{row}": Op.EQUAL.value, f"value{row}": value}
    return found


def written(form: Form) -> dict[str, str]:
    """What somebody has written into the form, so that it can be shown again."""
    return {name: form.get(name, preset) for name, preset in blank().items()}


def new_silence(form: Form, now: datetime) -> dict[str, Any]:
    """The body of POST /silences; a moment without an offset is one of Viet Nam. Raises Invalid for what is none."""
    started = _moment(form, "starts_at")
    return {
        "matchers": [matcher for _, matcher in _matchers(form)],
        "starts_at": started,
        "ends_at": _moment(form, "ends_at") or _after(started or now, form),
        "reason": form.get("reason", "").strip(),
    }


def places(form: Form) -> dict[str, str]:
    """Where a fault of the n-th matcher is shown, by its number in the body."""
    return {str(index): f"value{row}" for index, (row, _) in enumerate(_matchers(form))} | {"matchers": "value0"}


def _matchers(form: Form) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that name something."""
    for row in range(ROWS):
        name, value = form.get(f"name{row}", "").strip(), form.get(f"value{row}", "").strip()
        if name:
            yield row, {"name": name, "op": form.get(f"op{row}", Op.EQUAL.value), "value": value}


def _after(start: datetime, form: Form) -> datetime:
    length = LENGTHS.get(form.get("length", ""))
    if length is None:
        raise Invalid([Fault("length", "choice", f"one of {', '.join(LENGTHS)}")])
    try:
        return start + length
    except OverflowError:
        raise Invalid([Fault("starts_at", "range", "at the end of the calendar")]) from None


def _moment(form: Form, name: str) -> datetime | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid([Fault(name, "time", "not a moment, such as 2026-11-24T16:20")]) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=TZ)
