"""Makes registry facts, lots and markets for the pure figures, in few words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from services.supply.facts import Fact
from services.supply.lot import LotState, market_lot
from services.supply.market import Market
from services.supply.measure import Sales, market
from services.supply.origin import Origins
from services.supply.places import PLACE_OF
from services.supply.registry import Registry
from services.supply.trade import Trade
from shared.events import reader
from tests.supply_given import GTIN, MAKER, SOURCE

ON = date(2026, 6, 30)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = frozenset({"full", "fill_finish"})
REGULATOR = "9520000009991"


def fact(kind: str, *, time: datetime = EARLY, source: str = SOURCE, id: str = "1", **told: Any) -> Fact:
    """A fact as the ledger keeps it."""
    named = {name.rstrip("_"): value for name, value in told.items()}
    data = reader.read_data(f"supply.{kind}.v1", json.dumps(named).encode())
    return Fact(data, time, source, id, source == f"urn:gln:{REGULATOR}")


def granted(gtin: str = GTIN, *, authorisation: str | None = None, ddd: str | None = "2", **told: Any) -> Fact:
    """A registration of one product in one pack."""
    about = {"time": EARLY, "source": SOURCE, "id": "1"}
    head = {name: told.pop(name, value) for name, value in about.items()}
    product = {"name": f"Med {gtin}", "substance": "metformin", "atc": "A10BA02", "form": "tablet", "class": "generic"}
    return fact(
        "registration.granted",
        **head,
        **{
            "authorisation": authorisation or f"VD-{gtin}",
            "product": {**product, **told.pop("product", {})},
            "packs": [{"gtin": gtin, "pack_size": 30, **({} if ddd is None else {"ddd_per_pack": ddd})}],
            "origin": "domestic",
            "holder": MAKER,
            "manufacturer": MAKER,
            "granted_on": "2024-01-01",
            "expires_on": "2029-01-01",
            **told,
        },
    )


def price(packs_price: int, on: str, gtin: str = GTIN, **head: Any) -> Fact:
    return fact("price.declared", gtin=gtin, price=packs_price, currency="VND", effective_on=on, **head)


def lot(
    name: str = "L1",
    *,
    gtin: str = GTIN,
    made: int = 0,
    imported: int = 0,
    supplied_on: date | None = ON,
    expires_on: date | None = None,
    **places: int,
) -> LotState:
    """A lot with packs in `places`; `made` and `imported` count the events that brought it into being."""
    packs = [0] * 11
    for place, held in places.items():
        packs[PLACE_OF[place]] = held
    introduced = supplied_on if made or imported else None
    return LotState(int(gtin), name, tuple(packs), made, imported, introduced, expires_on, supplied_on)


def market_of(
    lots: Iterable[LotState],
    facts: Iterable[Fact] = (),
    *,
    on: date = ON,
    reached: int = 100,
    window: Any = "days_365",
    trades: Mapping[int, Trade] | None = None,
) -> Market:
    """The market of these lots, each with `reached` packs that were once available."""
    states = list(lots)
    seen = [market_lot(state, reached) for state in states]
    registry = Registry(facts)
    return market(Sales(on, seen, registry, trades or {}), window, Origins(registry, STEPS))
