"""Decides what an event means for the ledger: the posting table. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from services.supply.places import PLACE_OF, Place
from shared.events.reader import (
    BatchDestroyed,
    BatchProduced,
    BatchRecalled,
    BatchRejected,
    BatchReleased,
    ConsumptionReported,
    ExportShipped,
    ImportReceived,
    RecallClosed,
    StockAdjusted,
    StockCounted,
    StockReturned,
)

UNNAMED_LOT: Final = ""


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """Whole packs of one lot that leave the place `debit` and reach the place `credit` on the day `on`.

    `expires_on` stands on a lot's introduction alone, `period_start` on reported consumption alone.
    """

    gtin: int
    lot: str
    debit: int
    credit: int
    packs: int
    on: date
    expires_on: date | None = None
    period_start: date | None = None


_PRODUCED, _IMPORTED = int(Place.PRODUCED), int(Place.IMPORTED)
_QUARANTINE, _AVAILABLE = int(Place.QUARANTINE), int(Place.AVAILABLE)
_REJECTED, _EXPORTED = int(Place.REJECTED), int(Place.EXPORTED)
_CONSUMED, _DESTROYED = int(Place.CONSUMED), int(Place.DESTROYED)
_TRANSFORMED, _ADJUSTED = int(Place.TRANSFORMED), int(Place.ADJUSTED)


def _produced(event: BatchProduced) -> tuple[Transfer, ...]:
    made = Transfer(
        int(event.gtin), event.lot, _PRODUCED, _QUARANTINE, event.quantity, event.produced_on, event.expires_on
    )
    used_up = (
        Transfer(int(used.gtin), used.lot, _AVAILABLE, _TRANSFORMED, used.quantity, event.produced_on)
        for used in event.inputs
    )
    return (made, *used_up)


def _released(event: BatchReleased) -> tuple[Transfer, ...]:
    return (Transfer(int(event.gtin), event.lot, _QUARANTINE, _AVAILABLE, event.quantity, event.released_on),)


def _rejected(event: BatchRejected) -> tuple[Transfer, ...]:
    return (Transfer(int(event.gtin), event.lot, _QUARANTINE, _REJECTED, event.quantity, event.rejected_on),)


def _received(event: ImportReceived) -> tuple[Transfer, ...]:
    credit = _QUARANTINE if event.hold else _AVAILABLE
    day = event.received_on
    return (Transfer(int(event.gtin), event.lot, _IMPORTED, credit, event.quantity, day, event.expires_on),)


def _exported(event: ExportShipped) -> tuple[Transfer, ...]:
    return (Transfer(int(event.gtin), event.lot, PLACE_OF[event.from_], _EXPORTED, event.quantity, event.shipped_on),)


def _returned(event: StockReturned) -> tuple[Transfer, ...]:
    debit, credit = PLACE_OF[event.from_], PLACE_OF[event.to]
    return (Transfer(int(event.gtin), event.lot, debit, credit, event.quantity, event.returned_on),)


def _consumed(event: ConsumptionReported) -> tuple[Transfer, ...]:
    """A report of 0 packs is posted too: it says that the period was reported."""
    return (
        Transfer(
            int(event.gtin),
            event.lot or UNNAMED_LOT,
            _AVAILABLE,
            _CONSUMED,
            event.quantity,
            event.period_end,
            period_start=event.period_start,
        ),
    )


def _destroyed(event: BatchDestroyed) -> tuple[Transfer, ...]:
    debit = PLACE_OF[event.from_]
    return (Transfer(int(event.gtin), event.lot, debit, _DESTROYED, event.quantity, event.destroyed_on),)


def _adjusted(event: StockAdjusted) -> tuple[Transfer, ...]:
    ends = (_ADJUSTED, _AVAILABLE) if event.delta > 0 else (_AVAILABLE, _ADJUSTED)
    return (Transfer(int(event.gtin), event.lot, *ends, abs(event.delta), event.adjusted_on),)


POSTINGS: Final[Mapping[type[Any], Callable[[Any], tuple[Transfer, ...]]]] = {
    BatchProduced: _produced,
    BatchReleased: _released,
    BatchRejected: _rejected,
    ImportReceived: _received,
    ExportShipped: _exported,
    StockReturned: _returned,
    ConsumptionReported: _consumed,
    BatchDestroyed: _destroyed,
    StockAdjusted: _adjusted,
}
# Movements that post nothing: they mark a lot, or assert what it holds.
MARKS: Final = (BatchRecalled, RecallClosed, StockCounted)


def transfers(data: msgspec.Struct) -> tuple[Transfer, ...]:
    """The transfers that an event with `data` causes; none for a mark, a registry fact or a correction.

    Source: the posting table in services/supply/README.md.
    """
    posting = POSTINGS.get(type(data))
    return () if posting is None else posting(data)


def introduces(debit: int) -> bool:
    """Whether a transfer out of `debit` brings a lot into being."""
    return debit <= _IMPORTED


def supplies(debit: int, credit: int) -> bool:
    """Whether the transfer is one by which a lot can first reach `available`: a release, or an import without hold."""
    return credit == _AVAILABLE and debit in (_QUARANTINE, _IMPORTED)
