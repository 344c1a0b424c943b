"""Decides whether an event is EPCIS 2.0, by the rules that GS1's JSON Schema expresses, formats asserted. Pure.

Written afresh as data; a test holds it against the published schema. Beyond that schema `urn:epcglobal:cbv:` terms
are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from services.ingest.epcis import vocabulary
from services.ingest.epcis.checks import (
    Check,
    Path,
    all_of,
    anything,
    array,
    boolean,
    context,
    extension,
    fault,
    matching,
    number,
    one_of,
    record,
    term,
    text,
    time,
    uri,
    whatever,
)
from shared.errors import Fault

_UNIT: Final = matching(r"[A-Z0-9]{2,3}", "a unit is a code of UNECE Recommendation 20")
_OFFSET: Final = matching(r"[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)", "an offset looks like +07:00, at most 14:00")
_HEX: Final = matching("[A-Fa-f0-9]+", "hexadecimal digits")


def _uri_or_uris(value: Any, at: Path) -> Iterator[Fault]:
    yield from array(uri)(value, at) if isinstance(value, list) else uri(value, at)


# Things, places, parties
_CLASS: Final = record({"epcClass": uri, "quantity": number, "uom": _UNIT}, ("epcClass",))
_CLASSES: Final = array(_CLASS)
_EPCS: Final = array(uri, unique=True)
_PLACE: Final = record({"id": uri}, ("id",), whatever)
_TRANSACTION: Final = record({"type": term(vocabulary.TRANSACTION), "bizTransaction": uri}, ("bizTransaction",))
_SOURCE: Final = record({"type": term(vocabulary.PARTY), "source": uri}, ("type", "source"))
_DESTINATION: Final = record({"type": term(vocabulary.PARTY), "destination": uri}, ("type", "destination"))
_STATES: Final = array(term(vocabulary.DISPOSITION), least=1, unique=True)


def _persistent(value: Any, at: Path) -> Iterator[Fault]:
    yield from record({"set": _STATES, "unset": _STATES})(value, at)
    if isinstance(value, dict) and not value.keys() & {"set", "unset"}:
        yield fault(at, "one_of", "must have set or unset")


# Sensors
_DEVICE: Final[Mapping[str, Check]] = MappingProxyType(
    dict.fromkeys(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"), uri) | {"time": time}
)
_NUMBERS: Final = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
_REPORT: Final = record(
    {
        **_DEVICE,
        **dict.fromkeys(("microorganism", "chemicalSubstance", "coordinateReferenceSystem", "uriValue"), uri),
        **dict.fromkeys(_NUMBERS, number),
        "type": term(vocabulary.MEASUREMENT),
        "exception": term(vocabulary.ALERT),
        "component": term(vocabulary.COMPONENT),
        "stringValue": text,
        "booleanValue": boolean,
        "hexBinaryValue": _HEX,
        "uom": text,
    },
    ("type",),
    extension,
)
_SENSOR: Final = record(
    {
        "sensorMetadata": record({**_DEVICE, "startTime": time, "endTime": time}, (), extension),
        "sensorReport": array(_REPORT, least=1),
    },
    ("sensorReport",),
    extension,
)

# Events
_COMMON: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "@context": context,
        "eventTime": time,
        "recordTime": time,
        "eventTimeZoneOffset": _OFFSET,
        "eventID": uri,
        "certificationInfo": _uri_or_uris,
        "errorDeclaration": record(
            {"declarationTime": time, "reason": term(vocabulary.ERROR_REASON), "correctiveEventIDs": array(uri)},
            ("declarationTime",),
            extension,
        ),
    }
)
_REQUIRED: Final = ("eventTime", "eventTimeZoneOffset")
_CIRCUMSTANCES: Final[Mapping[str, Check]] = MappingProxyType(
    {
        **_COMMON,
        "type": anything,  # the type is what chose these rules
        "bizStep": term(vocabulary.BIZ_STEP),
        "disposition": term(vocabulary.DISPOSITION),
        "readPoint": _PLACE,
        "bizLocation": _PLACE,
        "bizTransactionList": array(_TRANSACTION),
        "sourceList": array(_SOURCE),
        "destinationList": array(_DESTINATION),
        "sensorElementList": array(_SENSOR),
    }
)
_ACTION: Final = one_of("OBSERVE", "ADD", "DELETE")
_ILMD: Final = record({}, (), extension)
_CHILDREN: Final = {"parentID": uri, "childEPCs": array(uri), "childQuantityList": _CLASSES, "action": _ACTION}


def _holds(event: Any, *names: str, least: int = 1) -> bool:
    """Whether one of the lists `names` is there and long enough."""
    return any(isinstance(event.get(name), list) and len(event[name]) >= least for name in names)


def _of_things(value: Any, at: Path) -> Iterator[Fault]:
    """An ObjectEvent is about things, or about what sensors told at a place; ilmd comes with ADD alone."""
    if not isinstance(value, dict):
        return
    sensed = _holds(value, "sensorElementList") and "readPoint" in value
    if not (_holds(value, "epcList", least=0) or _holds(value, "quantityList") or sensed):
        yield fault(at, "one_of", "must have epcList, or quantityList, or sensorElementList and readPoint")
    if "ilmd" in value and value.get("action") in ("OBSERVE", "DELETE"):
        yield fault((*at, "ilmd"), "unknown_field", "ilmd stands with action ADD alone")


def _of_children(value: Any, at: Path) -> Iterator[Fault]:
    if isinstance(value, dict) and not (_holds(value, "childEPCs", "childQuantityList") or _deletes(value)):
        yield fault(at, "one_of", "must have childEPCs or childQuantityList unless its action is DELETE")


def _of_papers(value: Any, at: Path) -> Iterator[Fault]:
    things = isinstance(value, dict) and (_holds(value, "epcList", least=0) or _holds(value, "quantityList"))
    if isinstance(value, dict) and not (things or _deletes(value)):
        yield fault(at, "one_of", "must have epcList or quantityList unless its action is DELETE")


def _of_change(value: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        return
    inputs = _holds(value, "inputEPCList", "inputQuantityList")
    outputs = _holds(value, "outputEPCList", "outputQuantityList")
    if not ((inputs and outputs) or ("transformationID" in value and (inputs or outputs))):
        yield fault(at, "one_of", "must have inputs and outputs, or a transformationID and one of them")


def _deletes(event: Any) -> bool:
    return bool(event.get("action") == "DELETE")


_EVENTS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "ObjectEvent": all_of(
            record(
                {
                    **_CIRCUMSTANCES,
                    "epcList": _EPCS,
                    "quantityList": _CLASSES,
                    "action": _ACTION,
                    "persistentDisposition": _persistent,
                    "ilmd": _ILMD,
                },
                (*_REQUIRED, "action"),
                extension,
            ),
            _of_things,
        ),
        "AggregationEvent": all_of(
            record({**_CIRCUMSTANCES, **_CHILDREN}, (*_REQUIRED, "action"), extension), _of_children
        ),
        "AssociationEvent": all_of(
            record({**_CIRCUMSTANCES, **_CHILDREN}, (*_REQUIRED, "action", "parentID"), extension), _of_children
        ),
        "TransactionEvent": all_of(
            record(
                {
                    **_CIRCUMSTANCES,
                    "bizTransactionList": array(_TRANSACTION, least=1),
                    "parentID": uri,
                    "epcList": array(uri),
                    "quantityList": _CLASSES,
                    "action": _ACTION,
                },
                (*_REQUIRED, "bizTransactionList", "action"),
                extension,
            ),
            _of_papers,
        ),
        "TransformationEvent": all_of(
            record(
                {
                    **_CIRCUMSTANCES,
                    "inputEPCList": _EPCS,
                    "inputQuantityList": _CLASSES,
                    "outputEPCList": _EPCS,
                    "outputQuantityList": _CLASSES,
                    "transformationID": uri,
                    "persistentDisposition": _persistent,
                    "ilmd": _ILMD,
                },
                _REQUIRED,
                extension,
            ),
            _of_change,
        ),
    }
)
# An event of somebody else's own type, which is a URI.
_EXTENDED: Final = record({**_COMMON, "type": uri}, _REQUIRED, whatever)


def event_faults(event: Any, at: Path = (), *, needs_context: bool = False) -> list[Fault]:
    """What is wrong with one event that stands `at` a place; one that stands alone brings its @context."""
    found = list(_event_faults(event, at))
    if needs_context and isinstance(event, dict) and "@context" not in event:
        found.append(fault((*at, "@context"), "missing", "an event that stands alone brings its context"))
    return found


def _event_faults(event: Any, at: Path) -> Iterator[Fault]:
    if not isinstance(event, dict):
        yield fault(at, "type", "an event is an object")
    elif "type" not in event:
        yield fault((*at, "type"), "missing", "an event names its type")
    elif not isinstance(event["type"], str):
        yield fault((*at, "type"), "type", "must be a string")
    else:
        yield from _EVENTS.get(event["type"], _EXTENDED)(event, at)
