"""Events that a producer may not say, by the thousand: valid in everything but whose word they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from shared.events.catalogue import CATALOGUE, PREFIX, route
from shared.events.corrections import EventCorrected
from shared.events.fields import Told
from shared.events.movements import StockCounted
from tests.corpus.hostile import JSON, Given

REGULATOR: Final = "regulator"
_TYPES: Final = sorted(set(CATALOGUE) - {EventCorrected.TYPE})
_WAYS: Final = ("source", "gln", "correction", "replacement")
_LOT_CHARACTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789-./"


def forgeries(given: Given, roles: frozenset[str], others: Sequence[str], count: int) -> Iterator[JSON]:
    """`count` events that a sender with `roles` forges; `others` are the GLNs that are not its own.

    Each is another's by its source, by a GLN inside it, by its type (and so its topic), or by what it corrects.
    """
    for number in range(count):
        yield _forged(given, roles, given.random.choice(others), number)


def _forged(given: Given, roles: frozenset[str], other: str, number: int) -> JSON:
    random = given.random
    type_ = random.choice(_TYPES)
    told = given.event(f"forged-{number}", _short(type_), **_varied(type_, random))
    way = random.choice(_WAYS)
    if way == "gln" and _names_its_own(type_, roles):
        told["data"] |= {name: other for name in CATALOGUE[type_].own_glns if random.random() < 0.7}
        told["data"][CATALOGUE[type_].own_glns[0]] = other
    elif way == "correction":
        told = _correction(given, number, f"urn:gln:{other}", told, random.random() < 0.5)
    elif way == "replacement" and _names_its_own(type_, roles):
        told["data"][CATALOGUE[type_].own_glns[0]] = other
        told = _correction(given, number, given.source, told, True)
    else:
        told["source"] = f"urn:gln:{other}"
    return told


def _names_its_own(type_: str, roles: frozenset[str]) -> bool:
    """Whether an event of this type must name the sender, whoever of `roles` speaks."""
    return bool(CATALOGUE[type_].own_glns) and REGULATOR not in CATALOGUE[type_].roles & roles


def _varied(type_: str, random: Random) -> JSON:
    found = CATALOGUE[type_].model.model_fields
    changes: JSON = {}
    if "lot" in found:
        changes["lot"] = "".join(random.choices(_LOT_CHARACTERS, k=random.randint(1, 20)))
    if "quantity" in found and type_ != "supply.demand.estimated.v1":
        changes["quantity"] = random.randint(1, 10**12)
    if type_ == StockCounted.TYPE:
        changes["covers"] = "holder"
    return changes


def _correction(given: Given, number: int, of_source: str, told: JSON, replaced: bool) -> JSON:
    """A correction of an event of `of_source` that counts as `told`, or as nothing."""
    data = CATALOGUE[told["type"]].model.model_validate(told["data"])
    assert isinstance(data, Told)
    corrects = {"source": of_source, "id": f"original-{number}", "type": told["type"]}
    content: dict[str, Any] = {"corrects": corrects, "key": route(told["type"], data)[1]}
    content |= {"corrected_on": "2026-03-13", "reason": "forged"}
    if replaced:
        content["replacement"] = {"type": told["type"], "data": told["data"]}
    return given.event(f"forged-{number}", "event.corrected") | {"data": content}


def _short(type_: str) -> str:
    return type_.removeprefix(PREFIX).removesuffix(".v1")
