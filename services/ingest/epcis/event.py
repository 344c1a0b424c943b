"""An EPCIS event as the mapping reads it: short words, places, parties, extensions, the day of effect. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.ingest.epcis import vocabulary
from services.ingest.epcis.contexts import Contexts
from services.ingest.epcis.event_hash import event_hash
from services.ingest.epcis.formats import moment
from services.ingest.epcis.vocabulary import Vocabulary

OBJECT: Final = "ObjectEvent"
TRANSFORMATION: Final = "TransformationEvent"
EXPIRY: Final = "cbvmda:itemExpirationDate"
LOT_NUMBER: Final = "cbvmda:lotNumber"

# Which lists name the goods that an event is about: instances, and classes with quantities.
_GOODS: Final[Mapping[str, tuple[str, str]]] = {
    OBJECT: ("epcList", "quantityList"),
    TRANSFORMATION: ("outputEPCList", "outputQuantityList"),
}
INPUTS: Final = ("inputEPCList", "inputQuantityList")


@dataclass(frozen=True, slots=True)
class Event:
    """A valid event with the contexts it was written in. `id` is its eventID, or else its GS1 event hash."""

    raw: Mapping[str, Any]
    contexts: Contexts
    id: str

    @property
    def type(self) -> str:
        return str(self.raw["type"])

    @property
    def action(self) -> str | None:
        return self.raw.get("action")

    @property
    def step(self) -> str | None:
        return self._word(vocabulary.BIZ_STEP, self.raw.get("bizStep"))

    @property
    def disposition(self) -> str | None:
        return self._word(vocabulary.DISPOSITION, self.raw.get("disposition"))

    def states(self, side: str) -> frozenset[str | None]:
        """The persistent dispositions that are `set` or `unset`."""
        told = self.raw.get("persistentDisposition", {}).get(side, ())
        return frozenset(self._word(vocabulary.DISPOSITION, word) for word in told)

    @property
    def goods(self) -> tuple[str, str] | None:
        """The names of the lists of instances and of classes that it is about; None if it is about neither."""
        return _GOODS.get(self.type)

    def papers(self, kind: str) -> list[str]:
        """The business transactions of a type."""
        told = self.raw.get("bizTransactionList", ())
        return [
            paper["bizTransaction"] for paper in told if self._word(vocabulary.TRANSACTION, paper.get("type")) == kind
        ]

    def place(self, name: str) -> str | None:
        """The id of the readPoint or the bizLocation."""
        told = self.raw.get(name)
        return None if told is None else str(told["id"])

    def parties(self, side: str) -> Iterator[tuple[str | None, str]]:
        """Type and id of every source or destination."""
        for party in self.raw.get(f"{side}List", ()):
            yield self._word(vocabulary.PARTY, party["type"]), party[side]

    def extension(self, name: str) -> Any:
        """The value under an extension's literal name, of the event or of its ilmd; None if it has none."""
        found = self.raw.get(name, self.raw.get("ilmd", {}).get(name))
        return found.get("@value") if isinstance(found, dict) else found

    @property
    def time(self) -> str:
        """When it happened, as written."""
        return str(self.raw["eventTime"])

    def day_of(self, time: str) -> date:
        """The day of effect of what happened at `time`: by the event's own offset."""
        try:
            return moment(time).day_at(self.raw["eventTimeZoneOffset"])
        except OverflowError:  # the first or the last day of the calendar
            return moment(time).instant.date()

    @property
    def declaration(self) -> Mapping[str, Any] | None:
        """Its errorDeclaration."""
        return self.raw.get("errorDeclaration")

    def has(self, state: str) -> bool:
        """Whether its goods are in a state, as disposition or persistently from now on."""
        return state == self.disposition or state in self.states("set")

    def _word(self, words: Vocabulary, value: str | None) -> str | None:
        """The short name of a word of the standard; any other as it is written."""
        word = None if value is None else vocabulary.short(words, self.contexts.expand(value))
        return word if word in words.words else value


def event(raw: Mapping[str, Any], contexts: Contexts) -> Event:
    """The event that a valid JSON object is."""
    return Event(raw, contexts, raw.get("eventID") or event_hash(raw, contexts))
