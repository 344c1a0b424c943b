"""Senders and events for the tests of ingest."""

from __future__ import annotations

import copy
from typing import Any

from shared.events import catalogue, cloudevent
from shared.events.cloudevent import CloudEvent
from shared.events.fields import check_digit
from shared.keys import Principal


def gln(number: int) -> str:
    digits = f"952{number:09d}"
    return digits + check_digit(digits)


OWN, OWN_SITE, OTHER = gln(101), gln(111), gln(901)
SOURCE = f"urn:gln:{OWN}"


def sender(*roles: str, glns: tuple[str, ...] = (OWN, OWN_SITE)) -> Principal:
    return Principal("abcdefghijkl", "producer", "firm", frozenset(glns), frozenset(roles))


def said(type_: str, *, source: str = SOURCE, **data: Any) -> dict[str, Any]:
    """The sample of a type, from `source`, with some of its data changed; None takes a field away."""
    event = copy.deepcopy(catalogue.sample(f"supply.{type_}.v1"))
    event["source"] = source
    event["data"] = {name: value for name, value in {**event["data"], **data}.items() if value is not None}
    return event


def event(type_: str, *, source: str = SOURCE, **data: Any) -> CloudEvent:
    return cloudevent.check(cloudevent.from_structured(said(type_, source=source, **data)))


def correction(of: str, *, of_source: str = SOURCE, source: str = SOURCE, **replaced: Any) -> CloudEvent:
    """A correction of the sample of type `of` that counts as the same with `replaced` changed."""
    told = said(of, **replaced)
    original = cloudevent.check(cloudevent.from_structured(told))
    _, key = catalogue.route(original.type, original.data)
    return event(
        "event.corrected",
        source=source,
        corrects={"source": of_source, "id": told["id"], "type": told["type"]},
        key=key,
        replacement={"type": told["type"], "data": told["data"]},
    )
