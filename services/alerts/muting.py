"""Decides what holds an alert back: silences that people made, and inhibitions by alerts about the cause. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import product
from typing import Any, Final

import cel

from services.alerts.alert import Alert
from shared.clock import rfc3339

# Patterns are matched by CEL's `matches`: linear in time, whatever the pattern.
_MATCHES: Final = cel.compile("value.matches(pattern)")
_PATTERNS: Final = 1_000
SEPARATOR: Final = "\x1f"


class Op(StrEnum):
    """As in Alertmanager; patterns must match the whole value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


class BadPattern(ValueError):
    """The pattern of a matcher is no regular expression."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label of an alert, or on rule, severity or subject; a label that is not there is empty."""

    name: str
    op: Op
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.name, "")
        match self.op:
            case Op.EQUAL:
                return found == self.value
            case Op.NOT_EQUAL:
                return found != self.value
            case Op.MATCHES:
                return matches(self.value, found)
            case Op.NOT_MATCHES:
                return not matches(self.value, found)

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "op": self.op.value, "value": self.value}


@lru_cache(maxsize=_PATTERNS)
def matches(pattern: str, value: str) -> bool:
    """Whether all of `value` is matched. Raises BadPattern."""
    try:
        found: bool = _MATCHES.execute(cel.Context({"value": value, "pattern": f"^(?s:{pattern})$"}))
    except (RuntimeError, ValueError) as error:
        raise BadPattern("not a regular expression") from error
    return found


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match are not told from `starts_at` (inclusive) to `ends_at` (exclusive), domain time."""

    id: uuid.UUID
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime

    def mutes(self, labels: Mapping[str, str], now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at and all(matcher.holds(labels) for matcher in self.matchers)

    @property
    def token(self) -> str:
        return f"silence:{self.id}"

    def state(self, now: datetime) -> str:
        return "pending" if now < self.starts_at else "active" if now < self.ends_at else "expired"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """An item of GET /silences."""
        return {
            "id": str(self.id),
            "state": self.state(now),
            "matchers": [matcher.as_json() for matcher in self.matchers],
            "starts_at": rfc3339(self.starts_at),
            "ends_at": rfc3339(self.ends_at),
            "reason": self.reason,
            "created_by": self.created_by,
            "created_at": rfc3339(self.created_at),
        }


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that matches `source` fires, those that match `target` and share its labels are not told.

    `equal` pairs a label of the source with one of the target. A source's label may hold several values, apart by
    spaces: a plant's interruption names its products. Labels that are empty are equal to nothing.
    """

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[tuple[str, str], ...]

    def covered_by(self, alert: Alert) -> set[str]:
        """The keys of what `alert` mutes while it fires."""
        labels = alert.matched()
        if not alert.is_active or not all(matcher.holds(labels) for matcher in self.source):
            return set()
        values = [labels.get(mine, "").split() for mine, _ in self.equal]
        return {self._key(chosen) for chosen in product(*values)}

    def key_of(self, alert: Alert) -> str | None:
        """The key under which `alert` may be muted."""
        labels = alert.matched()
        if not all(matcher.holds(labels) for matcher in self.target):
            return None
        values = tuple(labels.get(theirs, "") for _, theirs in self.equal)
        return self._key(values) if all(values) else None

    def _key(self, values: tuple[str, ...]) -> str:
        return SEPARATOR.join((f"inhibition:{self.name}", *values))

    def as_json(self) -> dict[str, Any]:
        """An item of `inhibitions` in GET /rules."""
        return {
            "inhibit": self.name,
            "source": [matcher.as_json() for matcher in self.source],
            "target": [matcher.as_json() for matcher in self.target],
            "equal": [{"source": mine, "target": theirs} for mine, theirs in self.equal],
        }


@dataclass(frozen=True, slots=True)
class Muting:
    """What holds an alert back: tokens, in words, and until when at most without looking again."""

    by: tuple[str, ...] = ()
    why: str = ""
    until: datetime | None = None


NOT_MUTED: Final = Muting()


def muting(
    alert: Alert,
    silences: Iterable[Silence],
    inhibitors: Mapping[str, Collection[uuid.UUID]],
    keys: Iterable[str],
    now: datetime,
) -> Muting:
    """What mutes `alert` at `now`. `inhibitors`: by key, the firing alerts that cover it; `keys` are `alert`'s own."""
    labels = alert.matched()
    quiet = [silence for silence in silences if silence.mutes(labels, now)]
    causes = {key: sorted(set(inhibitors.get(key, ())) - {alert.id}) for key in keys}
    above = [key for key, found in causes.items() if found]
    if not quiet and not above:
        return NOT_MUTED
    said = [f"silenced by {silence.created_by} until {rfc3339(silence.ends_at)}: {silence.reason}" for silence in quiet]
    said += [f"{key.split(SEPARATOR)[0]}: alert {causes[key][0]} tells the cause" for key in above]
    by = (*(silence.token for silence in quiet), *above)
    return Muting(by, "; ".join(said), min((silence.ends_at for silence in quiet), default=None))
