"""The shapes of what is answered about rejections and their replay."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from services.ingest.events import AcceptedEvent


class RejectionItem(BaseModel):
    """What was refused, or is incomplete, and why."""

    id: int
    kind: Literal["rejected", "incomplete"]
    producer: str
    event_id: str | None
    topic: str | None
    partition: int | None
    offset: int | None
    code: str
    detail: str
    state: Literal["open", "replayed"]
    truncated: bool
    received_at: datetime
    replayed_at: datetime | None


class RejectionList(BaseModel):
    """A page of rejections, newest first."""

    items: list[RejectionItem]
    next: str | None


class RawPart(BaseModel):
    """Bytes; `text` where all of them can be printed."""

    base64: str
    text: str | None


class RawHeader(BaseModel):
    """One header."""

    name: RawPart
    value: RawPart | None


class RawRecord(BaseModel):
    """What was sent. `recorded_at`: when Kafka took it."""

    key: RawPart | None
    value: RawPart | None
    headers: list[RawHeader]
    recorded_at: datetime | None


class RejectionDetails(RejectionItem):
    """A rejection with what was sent, which viewers do not see."""

    raw: RawRecord | None = None


class ReplayOutcome(BaseModel):
    """What became of one: `accepted` with its events, or `rejected` with a code and a detail."""

    id: int
    outcome: Literal["accepted", "rejected"]
    accepted: list[AcceptedEvent] = []
    code: str = ""
    detail: str = ""


class ReplayList(BaseModel):
    """What became of a page of rejections, oldest first."""

    items: list[ReplayOutcome]
    next: str | None
