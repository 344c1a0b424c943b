"""Reads what was sent: a document, a query document, one event, a list of events, and the faults around them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from services.ingest.epcis import event_rules, frame_rules
from services.ingest.epcis.checks import Path
from services.ingest.epcis.frame_rules import DOCUMENT, QUERY_DOCUMENT
from shared.errors import Fault

_QUERY_RESULTS: Final = ("epcisBody", "queryResults", "resultsBody")
_VERSION: Final = "2.0"


@dataclass(frozen=True, slots=True)
class Document:
    """Events with what stands around them.

    `context` is the @context they share, `master_data` the vocabularies that came with them; event n stands at
    (*at, n), or at `at` if it came alone. `faults` are those outside the events.
    """

    events: tuple[Any, ...]
    at: Path = ()
    alone: bool = False
    context: Any = None
    master_data: tuple[Any, ...] = ()
    faults: tuple[Fault, ...] = ()

    def event_faults(self, index: int) -> list[Fault]:
        """What is wrong with one event, each fault with its path in the document."""
        at = self.at if self.alone else (*self.at, index)
        return event_rules.event_faults(self.events[index], at, needs_context=self.alone)

    def all_faults(self) -> list[Fault]:
        """Everything that is wrong; empty if the document is EPCIS 2.0."""
        return [*self.faults, *(found for index in range(len(self.events)) for found in self.event_faults(index))]

    def just(self, index: int) -> dict[str, Any]:
        """A document of that event alone, which is read, and means, just what the event does here."""
        header = {"epcisHeader": {"epcisMasterData": {"vocabularyList": list(self.master_data)}}}
        return {
            "@context": [] if self.context is None else self.context,
            "type": DOCUMENT,
            "schemaVersion": _VERSION,
            "creationDate": self.events[index]["eventTime"],
            **(header if self.master_data else {}),
            "epcisBody": {"eventList": [self.events[index]]},
        }


def read(value: Any) -> Document:
    """The document that a JSON value holds. Never raises: what is wrong is told by its `all_faults`."""
    if isinstance(value, list):
        return Document(tuple(value))
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return Document((), faults=tuple(event_rules.event_faults(value)))
    if value["type"] not in (DOCUMENT, QUERY_DOCUMENT):
        return Document((value,), alone=True)
    return _framed(value)


def _framed(value: dict[str, Any]) -> Document:
    queried = value["type"] == QUERY_DOCUMENT
    at = _QUERY_RESULTS if queried else ("epcisBody",)
    body = _inside(value, at)
    vocabularies = _inside(value, ("epcisHeader", "epcisMasterData")) if not queried else body
    events = body.get("eventList")
    said = vocabularies.get("vocabularyList")
    return Document(
        tuple(events) if isinstance(events, list) else (),
        at=(*at, "eventList"),
        context=value.get("@context"),
        master_data=tuple(said) if isinstance(said, list) else (),
        faults=tuple(frame_rules.frame_faults(value)),
    )


def _inside(value: Any, at: tuple[str, ...]) -> dict[str, Any]:
    for name in at:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
