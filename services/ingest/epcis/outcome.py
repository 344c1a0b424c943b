"""What can become of an EPCIS event: events of the catalogue, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.errors import Fault
from shared.events.cloudevent import CloudEvent

VALIDATION: Final = "epcisException:ValidationException"
SECURITY: Final = "epcisException:SecurityException"


@dataclass(frozen=True, slots=True)
class Mapped:
    """It is these events of the catalogue, valid and allowed, to be published as they are."""

    events: tuple[CloudEvent, ...]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """It would be one of the catalogue, but something is not told: kept, shown, replayable once it is known."""

    type: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A valid event that says nothing about supply."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An error of the capture job: `exception` is GS1's name for it."""

    exception: str
    faults: tuple[Fault, ...]


Outcome = Mapped | Incomplete | NotApplicable | Refused
