"""Decides which lots and facts stand behind each input of an indicator: where its events are to be looked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Final

import msgspec

from services.supply import counts, shares, suppliers
from services.supply.counts import REPORTED
from services.supply.facts import Fact
from services.supply.figures import Measured
from services.supply.indicators import measure
from services.supply.lot import MarketLot, gtin_text
from services.supply.market import Market
from services.supply.months import first_of
from services.supply.places import Place
from services.supply.plants import STRICT
from services.supply.product_day import EXPIRING_DAYS, MONTH_DAYS, ProductDay
from services.supply.scopes import is_one_product
from services.supply.stocks import average_use
from services.supply.trade import Named

LotKey = tuple[int, str]


class Behind(msgspec.Struct, frozen=True):
    """What one input rests on: `said` are events by source and id; of `lots` the entries that took effect from `first`
    to `last`, all of them or those that came to or left the place `only`."""

    input: str
    said: tuple[Named, ...] = ()
    lots: tuple[LotKey, ...] = ()
    first: date = date.min
    last: date = date.max
    only: Place | None = None


MAX_PRODUCTS: Final = 50  # shown with their own value; the others are found by their own scope


def heaviest(name: str, scope: str, market: Market) -> list[tuple[str, str | None, Measured]]:
    """The scope's products that supplied most: GTIN, name, and their own value in packs. None of a single product."""
    if is_one_product(scope):
        return []
    unit = market.unit(scope)
    ranked = sorted(
        market.of(scope),
        key=lambda held: (-(unit(held.gtin) or 0) * sum(row.packs for row in held.supplied.values()), held.gtin),
    )
    found = []
    for held in ranked[:MAX_PRODUCTS]:
        packing = market.day.packings.get(held.gtin)
        gtin = gtin_text(held.gtin)
        found.append((gtin, None if packing is None else packing.product.name, measure(name, f"gtin:{gtin}", market)))
    return found


def behind(name: str, scope: str, market: Market) -> list[Behind]:
    """By input, in the order of the indicator's inputs; what every lot rests on beside its entries comes last."""
    find = _reported if name.startswith(REPORTED) else _BEHIND[name]
    return [item for item in find(name, scope, market) if item.said or item.lots]


def _shares(name: str, scope: str, market: Market) -> Iterator[Behind]:
    """The supplied lots of each side, those of neither, and what gives them their unit, price and block."""
    unit = (lambda gtin: 1) if name == "domestic_share_value" else market.unit(scope)
    sides: dict[str, list[LotKey]] = {"domestic": [], "imported": [], "not_counted": []}
    for held in market.of(scope):
        for lot in held.supplied_lots:
            origin = held.origin(lot.lot)
            counted = origin != "unknown" and unit(held.gtin) is not None
            side = "not_counted" if not counted else "domestic" if origin == "domestic" else "imported"
            sides[side].append(_key(lot))
    yield from (_lots(side, lots, market) for side, lots in sides.items())
    yield Behind("products", _registry_of(scope, market, prices=name == "domestic_share_value"))


def _use(name: str, scope: str, market: Market) -> Iterator[Behind]:
    sides: dict[str, list[LotKey]] = {"domestic": [], "imported": [], "not_counted": []}
    for held in market.of(scope):
        for lot in held.trade.used:
            origin = held.origin_of_use(lot)
            side = {"domestic": "domestic", "import": "imported"}.get(origin, "not_counted")
            sides[side].append((held.gtin, lot))
    for side, lots in sides.items():
        yield Behind(side, (), tuple(sorted(lots)), market.first, market.on, Place.CONSUMED)
    yield Behind("products", _registry_of(scope, market))


def _demand(name: str, scope: str, market: Market) -> Iterator[Behind]:
    yield Behind("demand", _said(shares.estimates(scope, market)))
    yield from (item for item in _shares(name, scope, market) if item.input != "imported")


def _stock(name: str, scope: str, market: Market) -> Iterator[Behind]:
    yield _lots("usable", [_key(lot) for held in market.of(scope) for lot in held.stocked], market)
    months = average_use(scope, market).months
    lots = [(held.gtin, lot) for held in market.of(scope) for lot in held.trade.used]
    yield from _reports("used", lots, months, market)
    yield Behind("products", _registry_of(scope, market))


def _change(name: str, scope: str, market: Market) -> Iterator[Behind]:
    """The lots first supplied in the last 30 days, and in the 90 days before."""
    recent: list[LotKey] = []
    before: list[LotKey] = []
    for held in market.of(scope):
        for lot in held.lots:
            age = -1 if lot.supplied_on is None else (market.on - lot.supplied_on).days
            if 0 <= age < 4 * MONTH_DAYS and lot.lot:
                (recent if age < MONTH_DAYS else before).append(_key(lot))
    yield _lots("recent", recent, market)
    yield _lots("month_before", before, market)


def _expiring(name: str, scope: str, market: Market) -> Iterator[Behind]:
    lots, used, months = [], [], set[int]()
    for held in market.of(scope):
        lots += [_key(lot) for lot in held.stocked if _expires_within(lot, market.on, EXPIRING_DAYS)]
        used += [(held.gtin, lot) for lot in held.trade.used] if held.stocked else []
        months |= set(held.average.months) if held.stocked else set()
    yield _lots("usable_packs", lots, market)
    yield from _reports("daily_use", used, months, market)
    yield Behind("products", _registry_of(scope, market))


def _expires_within(lot: MarketLot, on: date, days: int) -> bool:
    return lot.expires_on is not None and (lot.expires_on - on).days <= days


def _reports(name: str, lots: Iterable[LotKey], months: Iterable[int], market: Market) -> Iterator[Behind]:
    """The consumption that periods of these months end with or after, as far as it is in effect."""
    counted = sorted(months)
    if counted:
        yield Behind(name, (), tuple(sorted(lots)), first_of(counted[0]), market.on, Place.CONSUMED)


def _suppliers(name: str, scope: str, market: Market) -> Iterator[Behind]:
    """The lots of the greatest manufacturer, then all others, and the authorisations that name manufacturers."""
    largest = suppliers.largest(scope, market)
    of_largest: list[LotKey] = []
    others: list[LotKey] = []
    for held in market.of(scope):
        for lot in held.supplied_lots:
            (of_largest if held.maker(lot) == largest else others).append(_key(lot))
    yield _lots("largest_supply", of_largest, market)
    yield _lots("total", others, market)
    yield Behind("products", _registry_of(scope, market))


def _exports(name: str, scope: str, market: Market) -> Iterator[Behind]:
    by_country: dict[str, list[Named]] = {}
    for shipped in (item for held in market.of(scope) for item in held.shipments):
        if name == "export_value" or shipped.destination in counts.ASEAN:
            by_country.setdefault(f"to_{shipped.destination}", []).append(shipped.said_by)
    yield from (Behind(country, tuple(sorted(said))) for country, said in sorted(by_country.items()))


def _products(name: str, scope: str, market: Market) -> Iterator[Behind]:
    """The registrations that are counted and, where that is asked for, how their lots were released."""
    registered = list((counts.registered if name == "registered_products" else counts.transferred)(scope, market))
    yield Behind("products", _said(fact for held in registered for fact in held.events))
    if name != "registered_products":
        gtins = {int(pack.gtin) for held in registered for pack in held.packs}
        held = [market.products[gtin] for gtin in gtins if gtin in market.products]
        yield _lots("released", list(_domestic(held)), market)


def _produced(name: str, scope: str, market: Market) -> Iterator[Behind]:
    said = [
        item.said_by
        for held in market.of(scope)
        if held.produced_in_window
        for item in held.trade.introductions
        if item.kind == "produced" and market.first <= item.on <= market.on
    ]
    yield Behind("produced", tuple(sorted(said)))
    yield Behind("products", _registry_of(scope, market))


def _sites(name: str, scope: str, market: Market) -> Iterator[Behind]:
    held = [item for item in counts.certificates(scope, market) if item.valid_on(market.on)]
    strict = [item for item in held if item.standard in STRICT]
    others = [item for item in held if item.standard not in STRICT]
    yield Behind("eu_gmp_or_pics", _said(fact for item in strict for fact in item.events))
    yield Behind("certified", _said(fact for item in others for fact in item.events))


def _reporting(name: str, scope: str, market: Market) -> Iterator[Behind]:
    inside = market.inside(scope)
    held = [item for item in market.day.valid if any(inside(int(pack.gtin)) for pack in item.packs)]
    yield Behind("valid", _said(fact for item in held for fact in item.events))
    moved = [(product.gtin, lot.lot) for product in market.of(scope) if product.moved for lot in product.lots]
    yield Behind("with_movements", (), tuple(sorted(moved)), market.first, market.on)


def _reported(name: str, scope: str, market: Market) -> Iterator[Behind]:
    fact = counts.newest(name, scope, market)
    yield Behind("value", () if fact is None else _said([fact]))


_BEHIND: Final[Mapping[str, Callable[[str, str, Market], Iterator[Behind]]]] = {
    "domestic_share_volume": _shares,
    "domestic_share_value": _shares,
    "domestic_share_use": _use,
    "domestic_demand_met": _demand,
    "import_dependency": _shares,
    "supply_change": _change,
    "months_of_stock": _stock,
    "stock_expiring": _expiring,
    "concentration_hhi": _suppliers,
    "largest_supplier_share": _suppliers,
    "export_value": _exports,
    "asean_destinations": _exports,
    "transferred_products": _products,
    "registered_products": _products,
    "therapeutic_areas": _products,
    "produced_products": _produced,
    "gmp_sites": _sites,
    "gmp_site_share": _sites,
    "reporting_coverage": _reporting,
}


def _lots(name: str, lots: Iterable[LotKey], market: Market) -> Behind:
    return Behind(name, (), tuple(sorted(lots)), last=market.on)


def _key(lot: MarketLot) -> LotKey:
    return (lot.gtin, lot.lot)


def _domestic(products: Iterable[ProductDay]) -> Iterator[LotKey]:
    """The domestic lots that were ever released."""
    for held in products:
        for lot in held.lots:
            if lot.supplied_on is not None and held.origin(lot.lot) == "domestic":
                yield _key(lot)


def _registry_of(scope: str, market: Market, *, prices: bool = False) -> tuple[Named, ...]:
    """What is known of the scope's products beside their lots: registration, recalls, prices if they matter."""
    registry, facts = market.day.registry, list[Fact]()
    for held in market.of(scope):
        packing = market.day.packings.get(held.gtin)
        if packing is not None and (not is_one_product(scope) or held.supplied_lots):
            facts += packing.events
        facts += [fact for fact in registry.recalls.get(held.gtin, ()) if _recalled_by(fact, market.on)]
        if prices:
            days = {lot.supplied_on for lot in held.supplied_lots if lot.supplied_on is not None}
            facts += [fact for day in sorted(days) for fact in registry.priced_by(held.gtin, day)]
    return _said(facts)


def _recalled_by(fact: Fact, on: date) -> bool:
    return fact.data.recalled_on <= on  # type: ignore[attr-defined, no-any-return]


def _said(facts: Iterable[Fact]) -> tuple[Named, ...]:
    return tuple(sorted({(fact.source, fact.id) for fact in facts}))
