"""Makes the variables and functions that rules see in a signal: `data`, `days_left`, `number()` and the like. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

import cel

from shared.clock import day_of

# Every name a condition or template may use. README.md explains them to those who write rules.
VARIABLES: Final = frozenset({"subject", "kind", "version", "data", "days_left", "params", "since"})
DECIMALS: Final = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Signal:
    """The newest state of a subject that supply has told: kind is what stands before the first slash."""

    subject: str
    version: int
    at: datetime
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.subject.partition("/")[0]

    @property
    def due_on(self) -> date | None:
        """The day that `days_left` counts to."""
        text = self.data.get("due_on")
        return date.fromisoformat(text) if isinstance(text, str) else None

    @property
    def scope(self) -> str:
        """What endpoints filter by: the scope of a goal or indicator, else what the obligation or anomaly is about."""
        return str(self.data.get("scope") or self.data.get("subject") or self.subject)


class Facts:
    """A signal as rules see it on one day; the day can be moved, which is cheaper than new facts."""

    def __init__(self, signal: Signal, today: date) -> None:
        self.signal = signal
        self._context = cel.Context(
            {
                "subject": signal.subject,
                "kind": signal.kind,
                "version": signal.version,
                "data": signal.data,
                "since": today.isoformat(),
                "params": {},
            },
            {"number": number, "words": words, "joined": joined},
        )
        self.move_to(today)

    def move_to(self, day: date) -> None:
        due_on = self.signal.due_on
        self._context.add_variable("days_left", None if due_on is None else (due_on - day).days)

    def began(self, at: datetime) -> None:
        """Says since when the condition has held."""
        self._context.add_variable("since", day_of(at).isoformat())

    def with_params(self, params: Mapping[str, Any]) -> cel.Context:
        self._context.add_variable("params", dict(params))
        return self._context


def number(value: Any) -> str:
    """A number for people: at most three decimals, thousands apart; "unknown" for null."""
    if value is None:
        return "unknown"
    try:
        short = Decimal(str(value)).quantize(DECIMALS, ROUND_HALF_EVEN)
    except InvalidOperation:
        return str(value)
    text = f"{short:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def words(name: Any) -> str:
    """A code name for people: `overdrawn_lot` becomes "overdrawn lot"."""
    return str(name).replace("_", " ").replace("-", " ")


def joined(parts: Any) -> str:
    """The parts of a list apart by spaces, as a label of several values is written."""
    return " ".join(str(part) for part in parts)
