"""The table that says which EPCIS event is which event of the catalogue. Pure.

Source: "EPCIS 2.0" in services/ingest/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.epcis import identifiers
from services.ingest.epcis.checks import fault
from services.ingest.epcis.event import EXPIRY, OBJECT, TRANSFORMATION
from services.ingest.epcis.formats import is_moment
from services.ingest.epcis.goods import Quantity
from services.ingest.epcis.occasion import Occasion
from services.ingest.epcis.places import HOME
from services.ingest.epcis.verdict import Unknown, Verdict, both, either
from shared.events.catalogue import CATALOGUE
from shared.events.movements import (
    BatchDestroyed,
    BatchProduced,
    BatchRecalled,
    BatchRejected,
    BatchReleased,
    ConsumptionReported,
    ExportShipped,
    ImportReceived,
    Movement,
    RecallClosed,
    StockCounted,
    StockReturned,
)

NOT_GIVEN: Final = "not given"
COUNTRY: Final = "country"
_PLACES: Final = ("readPoint", "bizLocation")
_SIDES: Final = {"source": "sourceList", "destination": "destinationList"}


@dataclass(frozen=True, slots=True)
class Row:
    """The catalogue's model, when an event is one, its data beside gtin, lot and amount, and what packs it needs."""

    model: type[Movement]
    applies: Callable[[Occasion], Verdict]
    data: Callable[[Occasion], dict[str, Any]]
    needs_lot: bool = True
    quantity: Quantity = Quantity.PACKS
    amount: str | None = "quantity"
    recalls: bool = False


def _is(occasion: Occasion, action: str | None, *steps: str) -> bool:
    event = occasion.event
    return event.type == OBJECT and action in (None, event.action) and (not steps or event.step in steps)


# Where


def _in_country(country: str | None, field: str, home: bool) -> Verdict:
    if country is None:
        detail = "its country is not known: name its countryCode in master data, or have it in the directory"
        return Unknown((fault((field,), COUNTRY, detail),))
    return (country == HOME) is home


def _at_home(occasion: Occasion, *names: str) -> Verdict:
    """Whether the first of these places that the event has is in Viet Nam."""
    name = next((name for name in names if occasion.event.place(name)), names[0])
    return _in_country(occasion.atlas.country(occasion.event.place(name)), name, home=True)


def _abroad(occasion: Occasion, side: str) -> Verdict:
    return _in_country(occasion.country_of(side), _SIDES[side], home=False)


def _comes_home(occasion: Occasion) -> Verdict:
    """Destination or readPoint in Viet Nam: one of those that are named."""
    named: list[Verdict] = []
    if any(occasion.event.parties("destination")):
        named.append(_in_country(occasion.country_of("destination"), _SIDES["destination"], home=True))
    if occasion.event.place("readPoint"):
        named.append(_at_home(occasion, "readPoint"))
    return either(*named) if named else _in_country(None, _SIDES["destination"], home=True)


def _leaves_home(occasion: Occasion) -> Verdict:
    """From Viet Nam, where the source is or else the readPoint, to a destination abroad."""
    country = occasion.country_of("source") or occasion.atlas.country(occasion.event.place("readPoint"))
    return both(_in_country(country, _SIDES["source"], home=True), _abroad(occasion, "destination"))


def _departs_from_source(occasion: Occasion) -> bool:
    here = {identifiers.gln(place) or place for name in _PLACES if (place := occasion.event.place(name))}
    sources = {identifiers.gln(uri) or uri for kind, uri in occasion.event.parties("source") if kind == "location"}
    return _is(occasion, "OBSERVE", "departing") and bool(here & sources)


# When a row applies


def _produced(occasion: Occasion) -> Verdict:
    made = _is(occasion, "ADD", "commissioning", "creating_class_instance") or occasion.event.type == TRANSFORMATION
    return both(made and "manufacturer" in occasion.sender.roles, _at_home(occasion, "bizLocation", "readPoint"))


def _released(occasion: Occasion) -> Verdict:
    passed = _is(occasion, "OBSERVE", "inspecting") and occasion.event.has("conformant")
    return _is(occasion, "OBSERVE", "sw:releasing") or (passed and bool(occasion.event.papers("cert")))


def _rejected(occasion: Occasion) -> Verdict:
    failed = _is(occasion, "OBSERVE", "inspecting") and occasion.event.has("non_conformant")
    return failed and may_say(occasion, BatchRejected.TYPE)


def _imported(occasion: Occasion) -> Verdict:
    arrived = _is(occasion, "OBSERVE", "receiving", "accepting") and not occasion.event.has("returned")
    return both(arrived, _abroad(occasion, "source"), _comes_home(occasion))


def _exported(occasion: Occasion) -> Verdict:
    left = _is(occasion, "OBSERVE", "shipping", "consigning") or _departs_from_source(occasion)
    return both(left, _leaves_home(occasion))


def _export_voided(occasion: Occasion) -> Verdict:
    return both(_is(occasion, None, "void_shipping"), _leaves_home(occasion))


def _came_back(occasion: Occasion) -> Verdict:
    """Where from has to be known, not which it is."""
    back = _is(occasion, None, "receiving") and occasion.event.has("returned")
    abroad = _abroad(occasion, "source")
    return both(back, abroad if isinstance(abroad, Unknown) else True)


def _recalled(occasion: Occasion) -> Verdict:
    if not (_is(occasion, None) and occasion.event.has("recalled")):
        return False
    if occasion.event.extension("sw:recallLevel") is None:
        return Unknown((fault(("sw:recallLevel",), "missing", "a recall has a level, 1 to 3"),))
    return True


def _recall_closed(occasion: Occasion) -> Verdict:
    return _is(occasion, None) and "recalled" in occasion.event.states("unset")


def _destroyed(occasion: Occasion) -> Verdict:
    return _is(occasion, "DELETE", "destroying")


def _consumed(occasion: Occasion) -> Verdict:
    return _is(occasion, "DELETE", "dispensing", "retail_selling")


def _counted(occasion: Occasion) -> Verdict:
    return _is(occasion, "OBSERVE", "stock_taking", "cycle_counting")


def may_say(occasion: Occasion, type_: str) -> bool:
    return bool(CATALOGUE[type_].roles & occasion.sender.roles)


# What it then says


def _day(occasion: Occasion) -> str:
    return occasion.event.day_of(occasion.event.time).isoformat()


def _date(value: Any) -> Any:
    """The day of a date or of a date-time as written."""
    return value[:10] if isinstance(value, str) and is_moment(value) else value


def _expiry(occasion: Occasion) -> Any:
    told = occasion.event.extension("sw:expiresOn")
    return _date(occasion.event.extension(EXPIRY) if told is None else told)


def _reason(occasion: Occasion) -> Any:
    told = occasion.event.extension("sw:reason")
    return NOT_GIVEN if told is None else told


def _production(occasion: Occasion) -> dict[str, Any]:
    own = occasion.sender.glns
    place = identifiers.gln(occasion.event.place("bizLocation") or "")
    return {
        "produced_on": _day(occasion),
        "expires_on": _expiry(occasion),
        "manufacturer": occasion.extension_gln("sw:manufacturer") or (own[0] if len(own) == 1 else None),
        "site": place if place in own else None,
        "authorisation": occasion.event.extension("sw:authorisation"),
    }


def _release(occasion: Occasion) -> dict[str, Any]:
    return {"released_on": _day(occasion), "certificate": next(iter(occasion.event.papers("cert")), None)}


def _rejection(occasion: Occasion) -> dict[str, Any]:
    return {"rejected_on": _day(occasion), "reason": _reason(occasion)}


def _import(occasion: Occasion) -> dict[str, Any]:
    event = occasion.event
    return {
        "received_on": _day(occasion),
        "expires_on": _expiry(occasion),
        "importer": occasion.gln,
        "country_of_origin": event.extension("cbvmda:countryOfOrigin") or event.extension("sw:countryOfOrigin"),
        "authorisation": event.extension("sw:authorisation"),
    }


def _export(occasion: Occasion) -> dict[str, Any]:
    return {
        "shipped_on": _day(occasion),
        "destination": occasion.country_of("destination"),
        "exporter": occasion.gln,
    }


def _void(occasion: Occasion) -> dict[str, Any]:
    return {"returned_on": _day(occasion), "from": "exported", "to": "available", "reason": _reason(occasion)}


def _return(occasion: Occasion) -> dict[str, Any]:
    left = "consumed" if occasion.country_of("source") == HOME else "exported"
    return {"returned_on": _day(occasion), "from": left, "to": "quarantine", "reason": _reason(occasion)}


def _recall(occasion: Occasion) -> dict[str, Any]:
    told = occasion.event.extension("sw:recallLevel")
    level = int(told) if isinstance(told, str) and told.isascii() and told.isdigit() else told
    return {"level": level, "recalled_on": _day(occasion), "reason": _reason(occasion)}


def _closing(occasion: Occasion) -> dict[str, Any]:
    return {"closed_on": _day(occasion)}


def _destruction(occasion: Occasion) -> dict[str, Any]:
    return {"destroyed_on": _day(occasion), "reason": _reason(occasion)}


def _consumption(occasion: Occasion) -> dict[str, Any]:
    return {"period_start": _day(occasion), "period_end": _day(occasion)}


def _count(occasion: Occasion) -> dict[str, Any]:
    holder = identifiers.gln(occasion.event.place("bizLocation") or "")
    return {"counted_on": _day(occasion), "holder": holder, "covers": "holder"}


ROWS: Final[tuple[Row, ...]] = (
    Row(BatchProduced, _produced, _production),
    Row(BatchReleased, _released, _release),
    Row(BatchRejected, _rejected, _rejection),
    Row(ImportReceived, _imported, _import),
    Row(ExportShipped, _exported, _export),
    Row(StockReturned, _export_voided, _void),
    Row(StockReturned, _came_back, _return),
    Row(BatchRecalled, _recalled, _recall, needs_lot=False, quantity=Quantity.NONE, amount=None, recalls=True),
    Row(RecallClosed, _recall_closed, _closing, needs_lot=False, amount="recovered", recalls=True),
    Row(BatchDestroyed, _destroyed, _destruction),
    Row(ConsumptionReported, _consumed, _consumption, needs_lot=False),
    Row(StockCounted, _counted, _count, quantity=Quantity.COUNT),
)
