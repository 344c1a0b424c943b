"""Who sent an event, what was known then, and what of both the event names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.ingest.epcis import identifiers
from services.ingest.epcis.event import LOT_NUMBER, Event
from services.ingest.epcis.goods import Goods, Hidden, Lots, named
from services.ingest.epcis.places import Atlas
from shared.keys import PRODUCER, Principal

_OWNERS: Final = ("owning_party", "possessing_party")
_ARRIVALS: Final = frozenset({"receiving", "accepting"})
# The parties of a side in the order in which their country tells where goods are.
_WHEREABOUTS: Final = ("location", "possessing_party", "owning_party")


@dataclass(frozen=True, slots=True)
class Sender:
    """The producer who captures: its name, its roles, and its GLNs, of which the first speaks where none is named."""

    producer: str
    roles: frozenset[str]
    glns: tuple[str, ...]

    def principal(self) -> Principal:
        return Principal("", PRODUCER, self.producer, frozenset(self.glns), self.roles)


@dataclass(frozen=True, slots=True)
class Original:
    """A catalogue event that an EPCIS event has become earlier."""

    source: str
    id: str
    type: str
    key: str


@dataclass(frozen=True, slots=True)
class Known:
    """What ingest knows beside the document, looked up beforehand (`capture.needs` tells what is asked for).

    `countries` is the party directory (GLN -> alpha-2), `lots` what was told of serials ((gtin, serial) -> lot),
    `originals` what the sender's own earlier events became (eventID -> events).
    """

    countries: Mapping[str, str] = field(default_factory=dict)
    lots: Mapping[tuple[str, str], str] = field(default_factory=dict)
    originals: Mapping[str, tuple[Original, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occasion:
    """One event as its sender says it, with the countries and lots that are known."""

    event: Event
    sender: Sender
    atlas: Atlas
    lots: Mapping[tuple[str, str], str]

    def country_of(self, side: str) -> str | None:
        """The country of the source or the destination: the first that is known, the location before the parties."""
        parties = sorted(
            ((_WHEREABOUTS.index(kind), uri) for kind, uri in self.event.parties(side) if kind in _WHEREABOUTS),
        )
        return next((country for _, uri in parties if (country := self.atlas.country(uri))), None)

    def goods(self, lists: tuple[str, str]) -> list[Goods | Hidden]:
        told = self.event.extension(LOT_NUMBER)
        return named(self.event.raw, lists, Lots(told if isinstance(told, str) else None, self.lots))

    def inputs(self, lists: tuple[str, str]) -> list[Goods | Hidden]:
        """The lot in ilmd is that of the outputs."""
        return named(self.event.raw, lists, Lots(None, self.lots))

    def extension_gln(self, name: str) -> Any:
        """The GLN under an extension's name, however it is written; else its value as it is."""
        value = self.event.extension(name)
        return identifiers.gln(value) or value if isinstance(value, str) else value

    @property
    def gln(self) -> str:
        """The sender's GLN that the event names, else the sender's first."""
        own = self.sender.glns
        return next((gln for uri in self._named() if (gln := identifiers.gln(uri)) in own and gln), own[0])

    def _named(self) -> Iterator[str]:
        """Whom the event names, the likeliest to speak first: the maker, owners on the sender's side, places."""
        maker = self.event.extension("sw:manufacturer")
        if isinstance(maker, str):
            yield maker
        sides = ("destination", "source") if self.event.step in _ARRIVALS else ("source", "destination")
        parties = [party for side in sides for party in self.event.parties(side)]
        for kind in _OWNERS:
            yield from (uri for told, uri in parties if told == kind)
        yield from (place for name in ("bizLocation", "readPoint") if (place := self.event.place(name)))
        yield from (uri for told, uri in parties if told not in _OWNERS)
