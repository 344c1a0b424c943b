"""What the default way reads: each record as a typed pydantic event, the catalogue's model inside; what it posts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Union

import orjson
from faststream.kafka import KafkaMessage
from pydantic import BaseModel, Field, create_model

from services.supply.places import PLACE_OF, Place
from shared.events import movements
from shared.events.corrections import EventCorrected
from shared.events.fields import Told
from shared.events.reader import event_key

# (gtin, lot, from, to, packs, day, day of expiry)
Transfer = tuple[int, str, int, int, int, date, date | None]


class Said(BaseModel):
    """What every event of the topic has, and where it stands."""

    source: str
    id: str
    time: datetime
    partition: int
    offset: int
    at: datetime
    raw: bytes

    @cached_property
    def key(self) -> bytes:
        return event_key(self.source, self.id)


def _said(model: type[Told]) -> type[Said]:
    kind: Any = Literal[model.TYPE]
    return create_model(model.__name__, __base__=Said, type=(kind, ...), data=(model, ...))


MODELS: Final[tuple[type[Told], ...]] = (*movements.MODELS, EventCorrected)
Movement: Any = Annotated[Union[tuple(_said(model) for model in MODELS)], Field(discriminator="type")]  # noqa: UP007


async def decoder(message: KafkaMessage) -> list[dict[str, Any]]:
    """Attributes from the headers and data from the value, as one object a record."""
    return [_told(record, headers) for record, headers in zip(message.raw_message, message.batch_headers, strict=True)]


def _told(record: Any, headers: dict[str, str]) -> dict[str, Any]:
    return {
        **{name: headers[f"ce_{name}"] for name in ("source", "id", "type", "time")},
        "partition": record.partition,
        "offset": record.offset,
        "at": datetime.fromtimestamp(record.timestamp / 1000, UTC),
        "raw": record.value,
        "data": orjson.loads(record.value),
    }


def transfers(data: Any) -> list[Transfer]:
    """The posting table; a mark or a count moves nothing."""

    def moved(debit: int, credit: int, packs: int, day: date, expires_on: date | None = None) -> list[Transfer]:
        return [(int(data.gtin), data.lot or "", int(debit), int(credit), packs, day, expires_on)]

    match data:
        case movements.BatchProduced(quantity=packs, produced_on=day):
            used = [(int(i.gtin), i.lot, 4, 9, i.quantity, day, None) for i in data.inputs]
            return [*moved(Place.PRODUCED, Place.QUARANTINE, packs, day, data.expires_on), *used]
        case movements.BatchReleased(quantity=packs, released_on=day):
            return moved(Place.QUARANTINE, Place.AVAILABLE, packs, day)
        case movements.BatchRejected(quantity=packs, rejected_on=day):
            return moved(Place.QUARANTINE, Place.REJECTED, packs, day)
        case movements.ImportReceived(quantity=packs, received_on=day, hold=hold):
            return moved(Place.IMPORTED, Place.QUARANTINE if hold else Place.AVAILABLE, packs, day, data.expires_on)
        case movements.ExportShipped(quantity=packs, shipped_on=day):
            return moved(PLACE_OF[data.from_], Place.EXPORTED, packs, day)
        case movements.StockReturned(quantity=packs, returned_on=day):
            return moved(PLACE_OF[data.from_], PLACE_OF[data.to], packs, day)
        case movements.ConsumptionReported(quantity=packs, period_end=day):
            return moved(Place.AVAILABLE, Place.CONSUMED, packs, day)
        case movements.BatchDestroyed(quantity=packs, destroyed_on=day):
            return moved(PLACE_OF[data.from_], Place.DESTROYED, packs, day)
        case movements.StockAdjusted(delta=delta, adjusted_on=day):
            ends = (Place.ADJUSTED, Place.AVAILABLE) if delta > 0 else (Place.AVAILABLE, Place.ADJUSTED)
            return moved(*ends, abs(delta), day)
    return []
