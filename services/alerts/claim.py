"""Says what a claimed delivery holds, and what is reported of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from services.alerts.endpoint import Endpoint
from services.alerts.payload import Message
from services.alerts.retry import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class Claimed:
    """The head of a lane, leased for one attempt; `number` counts attempts from 1 and fences late reports.

    `round_number` counts from 1 since it was last sent again by hand: by it the schedule of retries goes.
    """

    id: uuid.UUID
    number: int
    round_number: int
    lane: uuid.UUID
    change: int
    endpoint: Endpoint
    message: Message


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the attempt at `claimed`, and what follows."""

    claimed: Claimed
    attempt: Attempt
    outcome: Outcome
