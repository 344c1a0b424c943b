"""What may be said about packs: made, released, brought in, sent out, used, recalled, counted."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.events.fields import (
    AS_TUPLE,
    COUNTED,
    MAX_ITEMS,
    MAX_PACKS,
    Country,
    Day,
    EventData,
    Gln,
    Gtin,
    Identifier,
    Lot,
    Packs,
    PacksOrNone,
    Reason,
    Told,
    Vnd,
    in_order,
    refuse,
)


class Movement(Told):
    """Something that happened to packs of one product; its topic key is the GTIN."""

    gtin: Gtin

    def key(self) -> str:
        return self.gtin


class Input(EventData):
    """Packs of another lot that were used up to make this one."""

    gtin: Gtin
    lot: Lot
    quantity: Packs


class BatchProduced(Movement):
    """A batch was made in Viet Nam and waits for release."""

    TYPE: ClassVar[str] = "supply.batch.produced.v1"

    lot: Lot
    quantity: Packs
    produced_on: Day
    expires_on: Day
    manufacturer: Gln
    site: Gln | None = None
    authorisation: Identifier | None = None
    inputs: Annotated[tuple[Input, ...], AS_TUPLE, Field(max_length=MAX_ITEMS), COUNTED] = ()

    @model_validator(mode="after")
    def _expires_after_production(self) -> Self:
        in_order(self.produced_on, self.expires_on, "expires_on is before produced_on")
        return self


class BatchReleased(Movement):
    """Packs passed quality control and may be used."""

    TYPE: ClassVar[str] = "supply.batch.released.v1"

    lot: Lot
    quantity: Packs
    released_on: Day
    certificate: Identifier | None = None


class BatchRejected(Movement):
    """Packs failed quality control."""

    TYPE: ClassVar[str] = "supply.batch.rejected.v1"

    lot: Lot
    quantity: Packs
    rejected_on: Day
    reason: Reason


class ImportReceived(Movement):
    """Packs came into Viet Nam; with `hold` they wait for release."""

    TYPE: ClassVar[str] = "supply.import.received.v1"

    lot: Lot
    quantity: Packs
    received_on: Day
    expires_on: Day
    importer: Gln
    country_of_origin: Country
    hold: bool = False
    basis: Literal["registered", "permit", "donation"] = "registered"
    authorisation: Identifier | None = None
    declaration: Identifier | None = None
    value: Vnd | None = None


class ExportShipped(Movement):
    """Packs left Viet Nam."""

    TYPE: ClassVar[str] = "supply.export.shipped.v1"

    lot: Lot
    quantity: Packs
    shipped_on: Day
    destination: Country
    exporter: Gln
    from_: Literal["available", "quarantine"] = Field(default="available", alias="from")
    declaration: Identifier | None = None
    value: Vnd | None = None


class StockReturned(Movement):
    """Packs came back from use or from abroad."""

    TYPE: ClassVar[str] = "supply.stock.returned.v1"

    lot: Lot
    quantity: Packs
    returned_on: Day
    from_: Literal["consumed", "exported"] = Field(alias="from")
    to: Literal["quarantine", "available"]
    reason: Reason


class ConsumptionReported(Movement):
    """Packs that left the last holder who reports, in a period; without lot if the lot is not known."""

    TYPE: ClassVar[str] = "supply.consumption.reported.v1"

    lot: Lot | None = None
    quantity: PacksOrNone
    period_start: Day
    period_end: Day

    @model_validator(mode="after")
    def _period_runs_forward(self) -> Self:
        in_order(self.period_start, self.period_end, "period_end is before period_start")
        return self


class BatchRecalled(Movement):
    """A lot, or every lot of the product, must no longer be used."""

    TYPE: ClassVar[str] = "supply.batch.recalled.v1"

    lot: Lot | None = None
    level: Annotated[int, Field(ge=1, le=3)]
    recalled_on: Day
    reason: Reason


class RecallClosed(Movement):
    """A recall was completed."""

    TYPE: ClassVar[str] = "supply.recall.closed.v1"

    lot: Lot | None = None
    closed_on: Day
    recovered: PacksOrNone


class BatchDestroyed(Movement):
    """Packs were destroyed."""

    TYPE: ClassVar[str] = "supply.batch.destroyed.v1"

    lot: Lot
    quantity: Packs
    destroyed_on: Day
    from_: Literal["available", "quarantine", "rejected"] = Field(default="available", alias="from")
    reason: Reason


class StockCounted(Movement):
    """Packs were counted: by one holder, or for the whole country."""

    TYPE: ClassVar[str] = "supply.stock.counted.v1"

    lot: Lot
    quantity: PacksOrNone
    counted_on: Day
    holder: Gln
    covers: Literal["holder", "national"]


class StockAdjusted(Movement):
    """The book was corrected by a difference that no other event explains."""

    TYPE: ClassVar[str] = "supply.stock.adjusted.v1"

    lot: Lot
    delta: Annotated[int, Field(ge=-MAX_PACKS, le=MAX_PACKS)]
    adjusted_on: Day
    reason: Reason

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.delta == 0:
            refuse("range", "delta must not be 0")
        return self


MODELS: Final[tuple[type[Movement], ...]] = (
    BatchProduced,
    BatchReleased,
    BatchRejected,
    ImportReceived,
    ExportShipped,
    StockReturned,
    ConsumptionReported,
    BatchRecalled,
    RecallClosed,
    BatchDestroyed,
    StockCounted,
    StockAdjusted,
)
