"""Makes the movements that every measurement reads: a seeded market, with duplicates, corrections, late events. Pure.

A chunk is a stretch of the topic with lots and event ids of its own: chunks can be made and folded one by one, and
what several of them come to is what each comes to, put together. Products are the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from shared.events.fields import check_digit

JSON = dict[str, Any]
CORRECTED: Final = "supply.event.corrected.v1"
SEED: Final = 20_261
DUPLICATES, CORRECTIONS, LATE = 0.01, 0.03, 0.05
EVENTS_A_LOT: Final = 5
EVENTS_A_PRODUCT: Final = 167
LEAST_PRODUCTS: Final = 10
FIRMS: Final = 40
FIRST_DAY: Final = date(2024, 7, 1)
DAYS: Final = 700
LAST_DAY: Final = FIRST_DAY + timedelta(days=DAYS + 300)
SHELF_LIFE_DAYS: Final = 730
DOMESTIC, HELD = 0.6, 0.1
# What is told of a lot after its introduction, and how often.
USES: Final = {
    "supply.consumption.reported.v1": 74,
    "supply.export.shipped.v1": 8,
    "supply.stock.returned.v1": 4,
    "supply.batch.destroyed.v1": 4,
    "supply.stock.adjusted.v1": 6,
    "supply.stock.counted.v1": 4,
}
_TEXTS: Final = [(FIRST_DAY + timedelta(days=number)).isoformat() for number in range(DAYS + 1_200)]
Ranked = tuple[float, JSON]


@dataclass(frozen=True)
class Market:
    """How large a chunk is: `events` records in all, of which the shares above are duplicates and corrections."""

    events: int

    @property
    def lots(self) -> int:
        return max(1, self.events // EVENTS_A_LOT)

    @property
    def products(self) -> int:
        return min(3_000, max(LEAST_PRODUCTS, self.events // EVENTS_A_PRODUCT))

    @property
    def duplicates(self) -> int:
        return int(self.events * DUPLICATES)

    @property
    def corrections(self) -> int:
        return int(self.events * CORRECTIONS)

    @property
    def originals(self) -> int:
        return self.events - self.duplicates - self.corrections


def gtins(count: int) -> list[str]:
    """The first `count` products, of the demonstration prefix."""
    return [digits + check_digit(digits) for digits in (f"0952{number:09d}" for number in range(1, count + 1))]


def firms() -> list[str]:
    """GLNs of those who report."""
    return [digits + check_digit(digits) for digits in (f"95200000{number:04d}" for number in range(FIRMS))]


def chunk(number: int, market: Market) -> list[JSON]:
    """The records of chunk `number`, in the order in which they are written."""
    drawn = Random(SEED * 1_000 + number)
    said = list(_originals(number, market, drawn))
    for index in drawn.sample(range(len(said)), int(len(said) * LATE)):
        day, event = said[index]
        said[index] = (day + drawn.uniform(5, 60), event)
    aimed = drawn.sample(range(len(said)), market.corrections)
    said += [_correction(f"{number}-c{at}", *said[index], drawn) for at, index in enumerate(aimed)]
    again = drawn.sample(range(len(said)), market.duplicates)
    said += [(said[index][0] + drawn.uniform(0.01, 5), said[index][1]) for index in again]
    said.sort(key=_rank)
    return [event for _, event in said]


def _rank(item: Ranked) -> float:
    return item[0]


def _originals(number: int, market: Market, drawn: Random) -> Iterator[Ranked]:
    """Each lot's introduction, then uses of lots drawn at random, until there are enough."""
    products, senders = gtins(market.products), firms()
    lots: list[tuple[JSON, int, str]] = []
    told = 0
    for at in range(market.lots):
        about = {"gtin": drawn.choice(products), "lot": f"{number:02d}L{at:06d}"}
        start, firm = drawn.randrange(DAYS), drawn.choice(senders)
        lots.append((about, start, firm))
        for event in _introduction(f"{number}-{at}", about, start, firm, drawn):
            told += 1
            yield event
    kinds, weights = list(USES), list(USES.values())
    for at, kind in enumerate(drawn.choices(kinds, weights, k=market.originals - told)):
        about, start, firm = lots[int(drawn.random() * len(lots))]
        day = start + 3 + int(drawn.random() * 250)
        yield (
            day + drawn.random(),
            _event(kind, f"{number}-u{at}", firm, day, {**about, **_use(kind, day, firm, drawn)}),
        )


def _introduction(id: str, about: JSON, start: int, firm: str, drawn: Random) -> Iterator[Ranked]:
    packs = 1_000 + int(drawn.random() * 50_000)
    expires_on = _TEXTS[start + SHELF_LIFE_DAYS]
    domestic, held = drawn.random() < DOMESTIC, drawn.random() < HELD
    if domestic:
        made = {
            **about,
            "quantity": packs,
            "produced_on": _TEXTS[start],
            "expires_on": expires_on,
            "manufacturer": firm,
        }
        yield start + drawn.random(), _event("supply.batch.produced.v1", f"{id}-p", firm, start, made)
    else:
        came = {**about, "quantity": packs, "received_on": _TEXTS[start], "expires_on": expires_on, "importer": firm}
        came |= {"country_of_origin": drawn.choice(("FR", "IN", "DE", "KR"))} | ({"hold": True} if held else {})
        yield start + drawn.random(), _event("supply.import.received.v1", f"{id}-i", firm, start, came)
    if domestic or held:
        day = start + 1 + int(drawn.random() * 20)
        passed = {**about, "quantity": packs, "released_on": _TEXTS[day]}
        yield day + drawn.random(), _event("supply.batch.released.v1", f"{id}-r", firm, day, passed)


def _use(kind: str, day: int, firm: str, drawn: Random) -> JSON:
    """The fields of a use beside gtin and lot, in the order of the catalogue."""
    packs, on = 1 + int(drawn.random() * 500), _TEXTS[day]
    match kind:
        case "supply.consumption.reported.v1":
            return {"quantity": packs, "period_start": _TEXTS[day - 1], "period_end": on}
        case "supply.export.shipped.v1":
            return {"quantity": packs, "shipped_on": on, "destination": "LA", "exporter": firm}
        case "supply.stock.returned.v1":
            return {"quantity": packs, "returned_on": on, "from": "consumed", "to": "available", "reason": "unopened"}
        case "supply.batch.destroyed.v1":
            return {"quantity": packs, "destroyed_on": on, "reason": "damaged"}
        case "supply.stock.adjusted.v1":
            return {"delta": packs - 600, "adjusted_on": on, "reason": "shelf count"}
    return {"quantity": packs, "counted_on": on, "holder": firm, "covers": "holder"}


def _event(kind: str, id: str, firm: str, day: int, data: JSON) -> JSON:
    return {"type": kind, "id": id, "source": f"urn:gln:{firm}", "time": f"{_TEXTS[day]}T09:00:00Z", "data": data}


def _correction(id: str, rank: float, of: JSON, drawn: Random) -> Ranked:
    """Said up to a month after the event was recorded: half of them undo it, half replace its figure."""
    data = of["data"]
    about = {"source": of["source"], "id": of["id"], "type": of["type"]}
    told: JSON = {"corrects": about, "key": data["gtin"], "corrected_on": of["time"][:10], "reason": "typing error"}
    if drawn.random() < 0.5:
        figure = "delta" if "delta" in data else "quantity"
        replaced = {**data, figure: 1 + int(drawn.random() * 400)}
        told["replacement"] = {"type": of["type"], "data": replaced}
    event = {"type": CORRECTED, "id": id, "source": of["source"], "time": of["time"], "data": told}
    return rank + drawn.uniform(-0.5, 30), event
