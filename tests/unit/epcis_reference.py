"""GS1's published schema and examples, where they lie beside this project (they are not ours), and spoilt ones."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.settings import ROOT

REFERENCE = Path(os.environ.get("EPCIS_REFERENCE", ROOT.parent / "shared" / "data" / "epcis"))
MISSING = f"GS1's schema and examples are not in {REFERENCE}"


def is_there() -> bool:
    return (REFERENCE / "EPCIS-JSON-Schema.json").is_file()


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REFERENCE / "EPCIS-JSON-Schema.json").read_text("utf-8"))
    return found


def examples() -> dict[str, Any]:
    """Every published document by its name, and each of its events alone as a bare event."""
    files = sorted((REFERENCE / "examples").rglob("*.jsonld"))
    documents = {str(file.relative_to(REFERENCE)): json.loads(file.read_text("utf-8")) for file in files}
    bare = {
        f"{name}#{number}": {**event, "@context": document["@context"]}
        for name, document in documents.items()
        for number, event in enumerate(events_of(document))
    }
    return documents | bare


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    body = document["epcisBody"]
    found: list[dict[str, Any]] = body.get("eventList") or body["queryResults"]["resultsBody"]["eventList"]
    return found


# What is put in place of a value, or beside it: every JSON type, and what is nearly a URI, a time, a word or a code.
TEXTS = """
x|shipping|Shipping|in_transit|po|owning_party|did_not_occur|latitude|Mass|ADD|OBSERVE|DELETE|add|no curie|ex:curie
urn:epc:id:sgtin:0614141.107346.2017|https://id.gs1.org/01/09520000010010/10/A%2F1|http://a b|//host/path|1a:b|a:|urn:é
http://[::1]/|http://[::g]/|urn:a:%zz|cbv:BizStep-shipping|https://ref.gs1.org/cbv/BizStep-shipping|gs1:Temperature
https://ns.gs1.org/cbv/BizStep-shipping|http://ns.gs1.org/cbv/x|https://gs1.org/voc/Mass|http://www.gs1.org/voc/Mass
2020-02-29T00:00:00Z|2021-02-29T00:00:00Z|2020-01-01T00:00:00|2020-01-01 00:00:00Z|2020-01-01t00:00:00z
2020-01-01t24:00:00z|2020-01-01T00:00:60Z|2020-1-1T00:00:00Z|0000-01-01T00:00:00Z|+07:00|-14:00|+14:30|+7:00|Z
KGM|kgm|KGMX|2.0|2.|v2|f0f0|f0g0|ObjectEvent|AggregationEvent|TransactionEvent|TransformationEvent|AssociationEvent
EPCISDocument|EPCISQueryDocument|ex:Event|Event
"""
LISTS: tuple[Any, ...] = ([], [[]], [{}], ["urn:a:b"], [1, 1.0], ["x", "x"])
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, "", " ", {}, {"id": "urn:a:b"}, *LISTS),
    *TEXTS.strip().replace("\n", "|").split("|"),
)
NAMES = """
x ex:x @context id type eventID recordTime comment rdfs:comment ilmd epcList quantityList parentID childEPCs
childQuantityList inputEPCList outputQuantityList transformationID action bizStep disposition persistentDisposition
readPoint bizLocation bizTransactionList sourceList destinationList sensorElementList errorDeclaration certificationInfo
set unset uom quantity epcisHeader epcisBody eventList sender queryName time value component attribute children
""".split()


def spoilt(document: Any, chance: random.Random) -> Any:
    """`document` with one to three changes: something taken away, renamed, replaced, retyped, added or doubled."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        holder, key = chance.choice(list(_spots(changed)))
        _CHANGES[chance.randrange(len(_CHANGES))](holder, key, chance)
    return changed


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _spots(item)


def _take(holder: Any, key: Any, chance: random.Random) -> None:
    del holder[key]


def _rename(holder: Any, key: Any, chance: random.Random) -> None:
    value = holder.pop(key)
    if isinstance(holder, dict):
        holder[chance.choice(NAMES)] = value


def _replace(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = copy.deepcopy(chance.choice(VALUES))


def _break(holder: Any, key: Any, chance: random.Random) -> None:
    """A text with one character more, less or other."""
    if not isinstance(holder[key], str):
        return _replace(holder, key, chance)
    at = chance.randint(0, len(holder[key]))
    holder[key] = holder[key][:at] + chance.choice((" ", "%", "", "#", "[", "é", "A", ":")) + holder[key][at + 1 :]
    return None


def _add(holder: Any, key: Any, chance: random.Random) -> None:
    value = copy.deepcopy(chance.choice(VALUES))
    if isinstance(holder, dict):
        holder[chance.choice(NAMES)] = value
    else:
        holder.append(value)


def _double(holder: Any, key: Any, chance: random.Random) -> None:
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif isinstance(holder[key], list):
        holder[key] = holder[key] * 2 if chance.random() < 0.5 else []
    else:
        _replace(holder, key, chance)


_CHANGES = (_take, _rename, _replace, _replace, _break, _add, _double)
