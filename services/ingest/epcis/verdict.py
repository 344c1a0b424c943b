"""Yes, no, or not told: how conditions that may rest on what nobody has told are put together. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import Fault


@dataclass(frozen=True, slots=True)
class Unknown:
    """It would depend on what is missing."""

    faults: tuple[Fault, ...]


Verdict = bool | Unknown


def both(*verdicts: Verdict) -> Verdict:
    """No if any is no; else not told if any is not."""
    if any(verdict is False for verdict in verdicts):
        return False
    missing = _missing(verdicts)
    return Unknown(missing) if missing else True


def either(*verdicts: Verdict) -> Verdict:
    """Yes if any is yes; else not told if any is not."""
    if any(verdict is True for verdict in verdicts):
        return True
    missing = _missing(verdicts)
    return Unknown(missing) if missing else False


def _missing(verdicts: tuple[Verdict, ...]) -> tuple[Fault, ...]:
    return tuple(fault for verdict in verdicts if isinstance(verdict, Unknown) for fault in verdict.faults)
