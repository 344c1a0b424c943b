"""Decides whether what stands around the events of a document is EPCIS 2.0, as GS1's JSON Schema expresses it. Pure.

The events are judged apart, by `event_rules`, so that one bad event need not hide its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from services.ingest.epcis.checks import (
    Check,
    Path,
    anything,
    array,
    context,
    extension,
    fault,
    matching,
    record,
    text,
    time,
    uri,
    whatever,
)
from shared.errors import Fault

DOCUMENT: Final = "EPCISDocument"
QUERY_DOCUMENT: Final = "EPCISQueryDocument"

_VERSION: Final = matching(r"[0-9]+(\.[0-9]+)*", "a version looks like 2.0")


def _attribute_value(value: Any, at: Path) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int | float | str | dict):
        yield fault(at, "type", "must be a number, a string or an object")


_MASTER_DATA: Final = record(
    {
        "type": uri,
        "vocabularyElementList": array(
            record(
                {
                    "id": uri,
                    "attributes": array(record({"id": uri, "attribute": _attribute_value}, ("id",), whatever)),
                    "children": array(uri),
                },
                ("id",),
                whatever,
            )
        ),
    },
    ("type",),
    whatever,
)
_EVENT_LIST: Final = array(anything)
_DOCUMENT: Final = record(
    {
        "type": anything,
        "@context": context,
        "id": uri,
        "schemaVersion": _VERSION,
        "creationDate": time,
        "instanceIdentifier": text,
        "sender": text,
        "receiver": text,
        "epcisHeader": record(
            {"epcisMasterData": record({"vocabularyList": array(_MASTER_DATA)}, (), whatever)}, (), extension
        ),
        "epcisBody": record({"eventList": _EVENT_LIST}, ("eventList",), whatever),
    },
    ("@context", "schemaVersion", "creationDate", "epcisBody"),
    extension,
)
_RESULTS: Final = record({"eventList": _EVENT_LIST, "vocabularyList": array(_MASTER_DATA)}, ("eventList",), extension)
_QUERY_RESULTS: Final = record(
    {"queryName": text, "subscriptionID": text, "resultsBody": _RESULTS}, ("queryName", "resultsBody"), extension
)
_QUERY_DOCUMENT: Final = record(
    {
        "type": anything,
        "@context": context,
        "id": uri,
        "schemaVersion": _VERSION,
        "creationDate": time,
        "epcisBody": record({"queryResults": _QUERY_RESULTS}, ("queryResults",), extension),
    },
    ("@context", "epcisBody"),
    extension,
)
_FRAMES: Final[Mapping[str, Check]] = MappingProxyType({DOCUMENT: _DOCUMENT, QUERY_DOCUMENT: _QUERY_DOCUMENT})


def frame_faults(document: dict[str, Any]) -> list[Fault]:
    """What is wrong with an EPCISDocument or EPCISQueryDocument outside its events."""
    return list(_FRAMES[document["type"]](document, ()))
