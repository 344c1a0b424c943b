"""The GS1 event hash of the Core Business Vocabulary 2.0: the same for the same event, however it is written. Pure.

Where an event has no eventID its hash serves as one. A declared error is no content, so that it hashes like its
original; neither are eventID, recordTime and certificationInfo.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from services.ingest.epcis import identifiers, vocabulary
from services.ingest.epcis.contexts import Contexts
from services.ingest.epcis.formats import moment
from services.ingest.epcis.vocabulary import Vocabulary
from shared.events.fields import plain

_IGNORED: Final = frozenset(
    {"@context", "type", "eventID", "recordTime", "errorDeclaration", "certificationInfo", "rdfs:comment"}
)
_TYPES: Final = frozenset(
    {"ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"}
)
# A text that is a number as JSON writes one. Codes with leading zeros or exponents are no quantities.
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")

# How one field is written: its name, its value, the contexts -> its part of the pre-hash string.
_Write = Callable[[str, Any, Contexts], str]


def event_hash(event: Mapping[str, Any], contexts: Contexts) -> str:
    """ni:///sha-256;<hex>?ver=CBV2.0 of a valid event, whose prefixes `contexts` bind."""
    digest = hashlib.sha256(prehash(event, contexts).encode("utf-8")).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"


def prehash(event: Mapping[str, Any], contexts: Contexts) -> str:
    """What is hashed: the fields in the standard's order, ilmd, the extensions within fields, those of the event."""
    is_own = event["type"] not in _TYPES
    fields = _OF_OWN_TYPE if is_own else _FIELDS
    parts = [f"eventType={contexts.expand(event['type'])}", _in_order(event, fields, contexts)]
    if not is_own:
        parts += [_listed("ilmd", _extensions(event.get("ilmd", {}), (), contexts))]
        parts += [_within(event, name, contexts) for name in ("readPoint", "bizLocation", "sensorElementList")]
    beside = event.keys() - fields.keys() - _IGNORED - (set() if is_own else {"ilmd"})
    return "".join((*parts, *sorted(part for name in beside for part in _extension(name, event[name], contexts))))


# Values


def _canonical(value: Any, contexts: Contexts) -> str:
    """A value as every spelling of it is hashed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return plain(Decimal(repr(value)) + 0)  # and no negative zero
    text = contexts.expand(str(value).strip())
    if _NUMBER.fullmatch(text):
        return plain(Decimal(text))
    for words in vocabulary.CBV:
        text = vocabulary.web_uri(words, text) if ":" in text else text
    key = identifiers.key(text)
    return text if key is None else key.link()


def _value(name: str, value: Any, contexts: Contexts) -> str:
    text = _canonical(value, contexts)
    return f"{name}={text}" if text else ""


def _as_it_is(name: str, value: Any, contexts: Contexts) -> str:
    return f"{name}={value}"


def _time(name: str, value: Any, contexts: Contexts) -> str:
    try:
        return f"{name}={moment(value).in_milliseconds()}"
    except OverflowError:  # the first or the last day of the calendar
        return f"{name}={value.upper()}"


def _word(words: Vocabulary) -> _Write:
    def write(name: str, value: Any, contexts: Contexts) -> str:
        return f"{name}={_term(words, value, contexts)}"

    return write


def _term(words: Vocabulary, value: str, contexts: Contexts) -> str:
    return vocabulary.web_uri(words, contexts.expand(value.strip()))


# Fields


def _listed(name: str, parts: Iterable[str]) -> str:
    """The list's name and its items in their order as texts; nothing for an empty list."""
    together = "".join(sorted(parts))
    return name + together if together else ""


def _epcs(name: str, value: Any, contexts: Contexts) -> str:
    return _listed(name, (_value("epc", epc, contexts) for epc in value))


def _in_order(value: Mapping[str, Any], fields: Mapping[str, _Write], contexts: Contexts) -> str:
    return "".join(write(name, value[name], contexts) for name, write in fields.items() if name in value)


def _classes(name: str, value: Any, contexts: Contexts) -> str:
    return _listed(name, ("quantityElement" + _in_order(one, _CLASS, contexts) for one in value))


def _place(name: str, value: Any, contexts: Contexts) -> str:
    return name + _value("id", value["id"], contexts)


def _states(name: str, value: Any, contexts: Contexts) -> str:
    words = vocabulary.DISPOSITION
    told = (
        "".join(sorted(f"{side}={_term(words, word, contexts)}" for word in value.get(side, ())))
        for side in ("set", "unset")
    )
    return name + "".join(told)


def _typed(item: str, words: Vocabulary) -> _Write:
    """A list of things with a type, which goes before them."""

    def write(name: str, value: Any, contexts: Contexts) -> str:
        fields: dict[str, _Write] = {"type": _word(words), item: _value}
        return _listed(name, (_in_order(one, fields, contexts) for one in value))

    return write


def _sensors(name: str, value: Any, contexts: Contexts) -> str:
    """In this release the name of the list itself is left out."""
    return _listed("", (_sensor(one, contexts) for one in value))


def _sensor(value: Mapping[str, Any], contexts: Contexts) -> str:
    metadata = _in_order(value.get("sensorMetadata", {}), _METADATA, contexts)
    reports = (_listed("sensorReport", [_in_order(one, _REPORT, contexts)]) for one in value["sensorReport"])
    return "sensorElement" + (f"sensorMetadata{metadata}" if metadata else "") + "".join(sorted(reports))


# Extensions


def _extensions(value: Mapping[str, Any], standard: Iterable[str], contexts: Contexts) -> Iterator[str]:
    """What stands in `value` beside the fields of the standard."""
    for name in value.keys() - {*standard, "@context", "rdfs:comment"}:
        yield from _extension(name, value[name], contexts)


def _extension(name: str, value: Any, contexts: Contexts) -> Iterator[str]:
    """One text for each value: {namespace}name=value, or {namespace}name and what it holds."""
    if isinstance(value, list):
        for one in value:
            yield from _extension(name, one, contexts)
    elif isinstance(value, dict):
        yield contexts.qualified(name) + _listed("", _extensions(value, (), contexts))
    elif value is not None:
        yield _value(contexts.qualified(name), value, contexts) or contexts.qualified(name)


def _within(event: Mapping[str, Any], name: str, contexts: Contexts) -> str:
    """The extensions inside a field, which this release collects behind the fields, under their field's name."""
    value = event.get(name)
    if isinstance(value, list):
        return _listed("", (_within_sensor(one, contexts) for one in value))
    return _listed(name, _extensions(value, ("id",), contexts)) if isinstance(value, dict) else ""


def _within_sensor(value: Mapping[str, Any], contexts: Contexts) -> str:
    metadata = _listed("sensorMetadata", _extensions(value.get("sensorMetadata", {}), _METADATA, contexts))
    reports = (_listed("sensorReport", _extensions(one, _REPORT, contexts)) for one in value["sensorReport"])
    own = _listed("", _extensions(value, ("sensorMetadata", "sensorReport"), contexts))
    together = metadata + "".join(sorted(reports)) + own
    return f"sensorElement{together}" if together else ""


def _values(names: str) -> dict[str, _Write]:
    return dict.fromkeys(names.split(), _value)


_CLASS: Final[Mapping[str, _Write]] = MappingProxyType(_values("epcClass quantity uom"))
_METADATA: Final[Mapping[str, _Write]] = MappingProxyType(
    {
        **dict.fromkeys(("time", "startTime", "endTime"), _time),
        **_values("deviceID deviceMetadata rawData dataProcessingMethod bizRules"),
    }
)
_REPORT: Final[Mapping[str, _Write]] = MappingProxyType(
    {
        "type": _word(vocabulary.MEASUREMENT),
        "exception": _word(vocabulary.ALERT),
        **_values("deviceID deviceMetadata rawData dataProcessingMethod bizRules"),
        "time": _time,
        **_values("microorganism chemicalSubstance value"),
        "component": _word(vocabulary.COMPONENT),
        **_values(
            "stringValue booleanValue hexBinaryValue uriValue minValue maxValue meanValue sDev percRank percValue"
        ),
        **_values("uom coordinateReferenceSystem"),
    }
)
# The standard's canonical order.
_FIELDS: Final[Mapping[str, _Write]] = MappingProxyType(
    {
        "eventTime": _time,
        "eventTimeZoneOffset": _as_it_is,
        "epcList": _epcs,
        "parentID": _value,
        "inputEPCList": _epcs,
        "childEPCs": _epcs,
        "quantityList": _classes,
        "childQuantityList": _classes,
        "inputQuantityList": _classes,
        "outputEPCList": _epcs,
        "outputQuantityList": _classes,
        "action": _value,
        "transformationID": _value,
        "bizStep": _word(vocabulary.BIZ_STEP),
        "disposition": _word(vocabulary.DISPOSITION),
        "persistentDisposition": _states,
        "readPoint": _place,
        "bizLocation": _place,
        "bizTransactionList": _typed("bizTransaction", vocabulary.TRANSACTION),
        "sourceList": _typed("source", vocabulary.PARTY),
        "destinationList": _typed("destination", vocabulary.PARTY),
        "sensorElementList": _sensors,
    }
)
# Of an event of somebody's own type nothing is known but when it was: all else is extension.
_OF_OWN_TYPE: Final[Mapping[str, _Write]] = MappingProxyType(
    {"eventTime": _time, "eventTimeZoneOffset": _as_it_is},
)
