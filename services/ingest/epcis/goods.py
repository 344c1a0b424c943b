"""Tells which packs of which lots an event names, equal classes summed, or why it does not say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from services.ingest.epcis import identifiers
from services.ingest.epcis.checks import Path, fault
from services.ingest.epcis.gs1_key import SSCC, Key
from shared.errors import Fault

# Why packs are not told.
LOT: Final = "lot"
QUANTITY: Final = "quantity"
UNIT: Final = "unit"
CONTAINER: Final = "sscc"
IDENTIFIER: Final = "identifier"


class Quantity(Enum):
    """What a mapping needs of a quantity."""

    NONE = "none"  # does not matter
    PACKS = "packs"  # whole and positive
    COUNT = "count"  # whole, may be 0


@dataclass(frozen=True, slots=True)
class Goods:
    """Something that an event names: packs of a product, of a lot, or a single one by its serial."""

    at: Path
    gtin: str
    lot: str | None
    serial: str | None
    quantity: int | float | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Hidden:
    """Something that an event names which hides the packs: a logistic unit, or what cannot be read."""

    at: Path
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Line:
    """Packs of one lot, or of a product whose lot is not named."""

    gtin: str
    lot: str | None
    quantity: int | None


@dataclass(frozen=True, slots=True)
class Lots:
    """Where a lot is found that no identifier names: in the event's own ilmd, else by what was told of a serial."""

    of_all: str | None
    by_serial: Mapping[tuple[str, str], str]

    def of(self, key: Key) -> str | None:
        return key.lot or self.of_all or self.by_serial.get((key.gtin or "", key.serial or ""))


def named(event: Mapping[str, Any], lists: tuple[str, str], lots: Lots) -> list[Goods | Hidden]:
    """What the two lists, of instances and of classes, name. What is no trade item is passed over."""
    instances, classes = lists
    found: list[Goods | Hidden] = []
    for n, epc in enumerate(event.get(instances, ())):
        key = identifiers.key(epc)
        quantity = 1 if key and key.serial else None  # a serial is one pack; a class of packs is nobody knows how many
        found += _named((instances, n), epc, key, quantity, None, lots)
    for n, one in enumerate(event.get(classes, ())):
        uri = one["epcClass"]
        found += _named((classes, n), uri, identifiers.key(uri), one.get("quantity"), one.get("uom"), lots)
    return found


def _named(
    at: Path, uri: str, key: Key | None, quantity: float | None, unit: str | None, lots: Lots
) -> Iterator[Goods | Hidden]:
    if key is None:
        if identifiers.means_goods(uri):
            yield Hidden(at, IDENTIFIER, f"{uri} names no GTIN")
    elif key.ai == SSCC:
        yield Hidden(at, CONTAINER, f"{uri} is a logistic unit: name the packs in it")
    elif key.gtin is not None:
        yield Goods(at, key.gtin, lots.of(key), key.serial, quantity, unit)


def lines(goods: Iterable[Goods | Hidden], needs_lot: bool, quantity: Quantity) -> tuple[list[Line], list[Fault]]:
    """Packs by product and lot in the order of their naming, equal ones summed; and what is not told."""
    sums: dict[tuple[str, str | None], int] = {}
    faults: list[Fault] = []
    for one in goods:
        found = list(_faults(one, needs_lot, quantity))
        faults += found
        if isinstance(one, Goods) and not found:
            packs = 0 if quantity is Quantity.NONE else int(one.quantity or 0)
            sums[one.gtin, one.lot] = sums.get((one.gtin, one.lot), 0) + packs
    told = [Line(gtin, lot, None if quantity is Quantity.NONE else packs) for (gtin, lot), packs in sums.items()]
    return told, faults


def _faults(one: Goods | Hidden, needs_lot: bool, quantity: Quantity) -> Iterator[Fault]:
    if isinstance(one, Hidden):
        yield fault(one.at, one.code, one.detail)
        return
    if one.lot is None and one.serial is not None:
        detail = f"nobody has told the lot of serial {one.serial}: cbvmda:lotNumber in ilmd of its commissioning"
        yield fault(one.at, LOT, detail)
    elif one.lot is None and needs_lot:
        yield fault(one.at, LOT, "names no lot")
    if quantity is not Quantity.NONE:
        yield from _quantity_faults(one, least=0 if quantity is Quantity.COUNT else 1)


def _quantity_faults(one: Goods, least: int) -> Iterator[Fault]:
    at = (*one.at, "quantity")
    if one.unit is not None:
        yield fault((*one.at, "uom"), UNIT, f"a quantity in {one.unit} is none in packs")
    elif one.quantity is None:
        yield fault(at, QUANTITY, "is missing")
    elif one.quantity != int(one.quantity):
        yield fault(at, QUANTITY, f"{one.quantity} is no whole number of packs")
    elif one.quantity < least:
        yield fault(at, QUANTITY, f"{one.quantity} packs are too few")


def inputs(goods: Sequence[Goods | Hidden]) -> tuple[list[Line], list[Fault]]:
    """The packs that were used up: what has a unit or no lot is left out, it is no pack of ours."""
    packs = [one for one in goods if isinstance(one, Goods) and one.lot is not None and one.unit is None]
    return lines(packs, needs_lot=True, quantity=Quantity.PACKS)
