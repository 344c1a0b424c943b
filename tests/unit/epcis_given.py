"""EPCIS events, documents, senders and places for the tests; every one of our own making."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from services.ingest.epcis import capture, documents
from services.ingest.epcis.capture import Captured
from services.ingest.epcis.mapping import Present
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Incomplete, Mapped, NotApplicable, Refused
from shared.events.fields import check_digit
from shared.json_input import loads

GS1 = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SW = "https://supply-watch.example/epcis/"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PRESENT = Present(NOW, timedelta(minutes=5))

PREFIX = "9521000"
GTIN, OTHER_GTIN = "09521000010017", "09521000020016"
EVENT_ID = "urn:uuid:00000000-0000-4000-8000-000000000001"


def gln(number: int) -> str:
    return f"{PREFIX}{number:05d}" + check_digit(f"{PREFIX}{number:05d}")


def location(number: int, extension: str = "0") -> str:
    return f"urn:epc:id:sgln:{PREFIX}.{number:05d}.{extension}"


def party(number: int) -> str:
    return f"urn:epc:id:pgln:{PREFIX}.{number:05d}"


# Places and parties by number: 1xx in Viet Nam, 2xx abroad, 3xx nowhere that is known.
OWN, OWN_PLANT, ELSEWHERE, ABROAD, NOWHERE = 101, 102, 103, 201, 301
DIRECTORY = {gln(OWN): "VN", gln(OWN_PLANT): "VN", gln(ELSEWHERE): "VN", gln(ABROAD): "FR"}
SOURCE = f"urn:gln:{gln(OWN)}"


def lot(name: str = "A1", item: str = "001001") -> str:
    return f"urn:epc:class:lgtin:{PREFIX}.{item}.{name}"


def serial(number: str = "77", item: str = "001001") -> str:
    return f"urn:epc:id:sgtin:{PREFIX}.{item}.{number}"


ANY_LOT = f"urn:epc:idpat:sgtin:{PREFIX}.001001.*"
SSCC = f"urn:epc:id:sscc:{PREFIX}.1234567890"


def packs(quantity: Any = 500, of: str = lot(), **more: Any) -> dict[str, Any]:
    """An element of a quantityList; a quantity of None is left out."""
    told = {"epcClass": of, "quantity": quantity, **more}
    return {name: value for name, value in told.items() if value is not None}


def source(number: int, kind: str = "location") -> list[dict[str, str]]:
    return [{"type": kind, "source": location(number) if kind == "location" else party(number)}]


def destination(number: int, kind: str = "location") -> list[dict[str, str]]:
    return [{"type": kind, "destination": location(number) if kind == "location" else party(number)}]


def objects(action: str, step: Any = None, **fields: Any) -> dict[str, Any]:
    """An ObjectEvent about 500 packs of lot A1 in Viet Nam, with fields changed; None takes one away."""
    event = {
        "type": "ObjectEvent",
        "eventID": EVENT_ID,
        "eventTime": "2026-11-20T09:30:00+07:00",
        "eventTimeZoneOffset": "+07:00",
        "action": action,
        "bizStep": step,
        "quantityList": [packs()],
        "readPoint": {"id": location(OWN)},
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}


def made(**fields: Any) -> dict[str, Any]:
    """A commissioning that is complete: batch.produced."""
    told = {"bizLocation": {"id": location(OWN)}, "ilmd": {"cbvmda:itemExpirationDate": "2028-11-30"}, **fields}
    return objects("ADD", "commissioning", **told)


def received(**fields: Any) -> dict[str, Any]:
    """An import that is complete: import.received."""
    told = {
        "sourceList": source(ABROAD),
        "destinationList": destination(OWN),
        "sw:expiresOn": "2028-11-30",
        "cbvmda:countryOfOrigin": "FR",
        **fields,
    }
    return objects("OBSERVE", "receiving", **told)


def shipped(**fields: Any) -> dict[str, Any]:
    """An export that is complete: export.shipped."""
    told = {"sourceList": source(OWN), "destinationList": destination(ABROAD), **fields}
    return objects("OBSERVE", "shipping", **told)


def transformed(**fields: Any) -> dict[str, Any]:
    """Packs of lot IN1 packed again as lot A1: batch.produced with inputs."""
    event = {
        "type": "TransformationEvent",
        "eventID": EVENT_ID,
        "eventTime": "2026-11-20T09:30:00+07:00",
        "eventTimeZoneOffset": "+07:00",
        "inputQuantityList": [packs(510, lot("IN1", "002001"))],
        "outputQuantityList": [packs()],
        "bizLocation": {"id": location(OWN)},
        "ilmd": {"cbvmda:itemExpirationDate": "2028-11-30"},
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}


def withdrawn(event: dict[str, Any], time: str = "2026-11-21T08:00:00+07:00", **declaration: Any) -> dict[str, Any]:
    """The same event declared an error."""
    return {**copy.deepcopy(event), "errorDeclaration": {"declarationTime": time, **declaration}}


def document(*events: Any, countries: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """An EPCISDocument; `countries` are master data, country by location URI."""
    elements = [
        {"id": uri, "attributes": [{"id": "cbvmda:countryCode", "attribute": code}]}
        for uri, code in (countries or {}).items()
    ]
    vocabulary = {"type": "urn:epcglobal:epcis:vtype:BusinessLocation", "vocabularyElementList": elements}
    header = {"epcisHeader": {"epcisMasterData": {"vocabularyList": [vocabulary]}}} if elements else {}
    return {
        "@context": [GS1, {"sw": SW}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-20T10:00:00+07:00",
        **header,
        "epcisBody": {"eventList": list(events)},
        **fields,
    }


def sender(*roles: str, glns: tuple[int, ...] = (OWN,)) -> Sender:
    return Sender("firm", frozenset(roles), tuple(gln(number) for number in glns))


MAKER, IMPORTER, DISTRIBUTOR = sender("manufacturer"), sender("importer"), sender("distributor")


def capture_all(value: Any, who: Sender = MAKER, **known: Any) -> list[Captured]:
    """What becomes of each event of a document, read from bytes as at every door."""
    read = documents.read(loads(json.dumps(value).encode()))
    return capture.captured(read, who, Known(**{"countries": DIRECTORY, **known}), PRESENT)


def one(event: dict[str, Any], who: Sender = MAKER, **known: Any) -> Captured:
    [found] = capture_all(document(event), who, **known)
    return found


def told(event: dict[str, Any], who: Sender = MAKER, **known: Any) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of the catalogue's events that it is; fails if it is none."""
    found = one(event, who, **known).outcome
    assert isinstance(found, Mapped), found
    return [
        (_short(event.type), event.data.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        for event in found.events
    ]


def missing(event: dict[str, Any], who: Sender = MAKER, **known: Any) -> list[tuple[str | None, str]]:
    """Field and code of what it lacks; fails unless it is incomplete."""
    found = one(event, who, **known).outcome
    assert isinstance(found, Incomplete), found
    return [(fault.field, fault.code) for fault in found.faults]


def refused(event: dict[str, Any], who: Sender = MAKER, **known: Any) -> tuple[str, list[tuple[str | None, str]]]:
    """The exception, and field and code of its faults; fails unless it is refused."""
    found = one(event, who, **known).outcome
    assert isinstance(found, Refused), found
    return found.exception.removeprefix("epcisException:"), [(fault.field, fault.code) for fault in found.faults]


def is_nothing(event: dict[str, Any], who: Sender = MAKER, **known: Any) -> bool:
    return isinstance(one(event, who, **known).outcome, NotApplicable)


def _short(type_: str) -> str:
    return type_.removeprefix("supply.").removesuffix(".v1")
