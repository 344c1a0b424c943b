"""Decides whether this sender may say this event: its role, its source, its own GLNs. Pure.

Source: "Who may say what" in services/ingest/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.errors import Fault
from shared.events.catalogue import CATALOGUE
from shared.events.cloudevent import CloudEvent, Part
from shared.events.corrections import SOURCE_PREFIX, EventCorrected
from shared.events.fields import Told, is_gln
from shared.events.movements import StockCounted
from shared.keys import Principal

REGULATOR: Final = "regulator"
ROLE: Final = "role"
FOREIGN_SOURCE: Final = "foreign_source"
FOREIGN_GLN: Final = "foreign_gln"
# A request whose every fault is one of these is forbidden, not wrong.
CODES: Final = frozenset({ROLE, FOREIGN_SOURCE, FOREIGN_GLN})


def faults(sender: Principal, event: CloudEvent, index: int | None = None) -> list[Fault]:
    """Why `sender` may not say `event`; empty if it may."""
    of_source = _of_source(sender, event.source, "source")
    of_data = _of_data(sender, event.type, event.data, "type", "data")
    if not of_source and not of_data:
        return []
    return [Fault(fault.field, fault.code, fault.detail, index, event.id) for fault in (*of_source, *of_data)]


def faults_of_part(sender: Principal, part: Part, index: int | None = None) -> list[Fault]:
    """Why `sender` may not say an event that is not valid either, as far as it could be read.

    The data of a correction is judged once it is valid: what it corrects and says instead hang together.
    """
    found: list[Fault] = []
    if part.source is not None:
        found += _of_source(sender, part.source, "source")
    if part.type is not None:
        speaks_as = CATALOGUE[part.type].roles & sender.roles
        if forbidden := role_fault(sender, part.type, "type"):
            found.append(forbidden)
        elif isinstance(part.data, dict):
            found += _of_glns(sender, part.type, speaks_as, _readable(part.type, part.data), "data")
    return [Fault(fault.field, fault.code, fault.detail, index, part.id) for fault in found]


def _readable(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that decide who may say it, without those that are at fault themselves."""
    told = {name: data[name] for name in CATALOGUE[type_].own_glns if is_gln(data.get(name))}
    return {**told, "covers": data.get("covers")}


def _of_source(sender: Principal, source: str, at: str) -> Sequence[Fault]:
    if source.removeprefix(SOURCE_PREFIX) in sender.glns:
        return ()
    return (Fault(at, FOREIGN_SOURCE, f"{source} is none of the GLNs of {sender.name}"),)


def role_fault(sender: Principal, type_: str, at: str) -> Fault | None:
    """Why `sender` may say nothing of this type, whatever it holds; None if it may."""
    allowed = CATALOGUE[type_].roles
    if allowed & sender.roles:
        return None
    return Fault(at, ROLE, f"{type_} is for {_or(allowed)}; {sender.name} is {_or(sender.roles)}")


def _of_data(sender: Principal, type_: str, data: Told, type_at: str, at: str) -> Sequence[Fault]:
    """Of the data of an event, or of a replacement within it; `type_at` and `at` say where type and data stand."""
    if forbidden := role_fault(sender, type_, type_at):
        return (forbidden,)
    if isinstance(data, EventCorrected):
        return _of_correction(sender, data, at)
    return _of_glns(sender, type_, CATALOGUE[type_].roles & sender.roles, vars(data), at)


def _of_correction(sender: Principal, correction: EventCorrected, at: str) -> Sequence[Fault]:
    """Only its own events; what the event counts as from now on is judged like a fresh one."""
    found = [*_of_source(sender, correction.corrects.source, f"{at}.corrects.source")]
    if not CATALOGUE[correction.corrects.type].roles & sender.roles:
        found.append(Fault(f"{at}.corrects.type", ROLE, f"{sender.name} may not say {correction.corrects.type}"))
    replacement = correction.replacement
    if replacement is not None and isinstance(replacement.data, Told):
        inner = f"{at}.replacement"
        found += _of_data(sender, replacement.type, replacement.data, f"{inner}.type", f"{inner}.data")
    return found


def _of_glns(
    sender: Principal, type_: str, speaks_as: frozenset[str], told: Mapping[str, Any], at: str
) -> Sequence[Fault]:
    """`told` are fields of the data by name; one that is absent names nobody."""
    own_glns = CATALOGUE[type_].own_glns
    if not own_glns:
        return ()
    is_count, is_holders = type_ == StockCounted.TYPE, told.get("covers") == "holder"
    if is_count and not is_holders:
        return ()  # a count for the whole country is no one's own
    if REGULATOR in speaks_as and not is_count:
        return ()  # a regulator may name any GLN
    if speaks_as == {REGULATOR}:
        return (Fault(f"{at}.covers", ROLE, "a regulator counts for the whole country only"),)
    return [
        Fault(f"{at}.{name}", FOREIGN_GLN, f"{gln} is none of the GLNs of {sender.name}")
        for name in own_glns
        if (gln := told.get(name)) is not None and gln not in sender.glns
    ]


def _or(roles: frozenset[str]) -> str:
    return " or ".join(sorted(roles)) or "nobody"
