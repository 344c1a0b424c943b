"""Computes what is counted rather than summed: products, plants, reports, exports, figures. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from services.supply.facts import Fact
from services.supply.figures import Measured, covered, parts, quotient, text
from services.supply.market import Market
from services.supply.plants import STRICT, Certificate, home_sites
from services.supply.registry import Authorisation
from services.supply.scopes import parse_scope

REPORTED: Final = "reported:"
WHOLE: Final = Decimal(1)
ATC_SUBGROUP: Final = 3  # characters that name it
ASEAN: Final = frozenset({"BN", "ID", "KH", "LA", "MM", "MY", "PH", "SG", "TH", "TL"})  # but for Viet Nam


def export_value(scope: str, market: Market) -> Measured:
    """The sum of `value` of exported domestic packs in the window, in VND; inputs by destination.

    An export without a value lowers the coverage: packs exported with a value / packs exported.
    """
    by_country: dict[str, int] = defaultdict(int)
    packs = priced = 0
    for shipped in (item for held in market.of(scope) for item in held.shipments):
        packs += shipped.packs
        if shipped.value is not None:
            priced += shipped.packs
            by_country[shipped.destination] += shipped.value
    return Measured(
        name="export_value",
        scope=scope,
        on=market.on,
        value=Decimal(sum(by_country.values())),
        why=None,
        coverage=covered(priced, packs) if packs else WHOLE,
        inputs={
            "unit": "vnd",
            "exported_packs": str(packs),
            "counted_packs": str(priced),
            **{f"to_{country}": value for country, value in parts(by_country).items()},
        },
    )


def transferred_products(scope: str, market: Market) -> Measured:
    """Distinct (name, substance) with a valid domestic registration under an agreement and at least one released
    domestic lot ever; inputs by class."""
    found = {_product(held): held.product.class_ for held in transferred(scope, market)}
    return _of_products("transferred_products", scope, market, found)


def transferred(scope: str, market: Market) -> Iterator[Authorisation]:
    """The registrations that `transferred_products` counts; the scope of an agreement holds those under it."""
    inside = market.inside(scope)
    for held in registered(scope, market):
        gtins = [int(pack.gtin) for pack in held.packs]
        if held.agreement is not None and any(inside(gtin) and _released(market, gtin) for gtin in gtins):
            yield held


def registered_products(scope: str, market: Market) -> Measured:
    """Distinct (name, substance) with a valid domestic registration; of an agreement, those under it."""
    found = {_product(held): held.product.class_ for held in registered(scope, market)}
    return _of_products("registered_products", scope, market, found)


def registered(scope: str, market: Market) -> Iterator[Authorisation]:
    """The valid domestic registrations of a scope; the scope of an agreement holds those under it."""
    kind, key = parse_scope(scope)
    inside = market.inside(scope)
    for held in market.day.valid:
        of_it = kind != "agreement" or held.agreement == key
        if held.origin == "domestic" and of_it and any(inside(int(pack.gtin)) for pack in held.packs):
            yield held


def produced_products(scope: str, market: Market) -> Measured:
    """Distinct (name, substance) of which a lot was made here in the window."""
    found = {}
    for held in market.of(scope):
        packing = market.day.packings.get(held.gtin)
        if packing is not None and held.produced_in_window:
            found[packing.product.name, packing.product.substance] = packing.product.class_
    return _of_products("produced_products", scope, market, found)


def therapeutic_areas(scope: str, market: Market) -> Measured:
    """Distinct therapeutic subgroups (the first three characters of the ATC code) of the transferred products."""
    areas: dict[str, int] = defaultdict(int)
    for held in transferred(scope, market):
        areas[held.product.atc[:ATC_SUBGROUP]] += 1
    inputs = {"unit": "areas", **parts(areas)}
    return Measured("therapeutic_areas", scope, market.on, Decimal(len(areas)), None, WHOLE, inputs)


def asean_destinations(scope: str, market: Market) -> Measured:
    """The other countries of ASEAN to which packs of domestic lots were exported in the window."""
    packs: dict[str, int] = defaultdict(int)
    for shipped in (item for held in market.of(scope) for item in held.shipments):
        if shipped.destination in ASEAN:
            packs[shipped.destination] += shipped.packs
    inputs = {"unit": "countries", **{f"to_{country}": value for country, value in parts(packs).items()}}
    return Measured("asean_destinations", scope, market.on, Decimal(len(packs)), None, WHOLE, inputs)


def _product(held: Authorisation) -> tuple[str, str]:
    return held.product.name, held.product.substance


def _of_products(name: str, scope: str, market: Market, classes: Mapping[tuple[str, str], str]) -> Measured:
    """How many products there are; inputs by class."""
    by_class: dict[str, int] = defaultdict(int)
    for kind in classes.values():
        by_class[kind] += 1
    inputs = {"unit": "products", **parts(by_class)}
    return Measured(name, scope, market.on, Decimal(len(classes)), None, WHOLE, inputs)


def _released(market: Market, gtin: int) -> bool:
    held = market.products.get(gtin)
    return held is not None and held.released_on is not None and held.released_on <= market.on


def gmp_sites(scope: str, market: Market) -> Measured:
    """Domestic sites with a valid EU-GMP or PIC/S certificate."""
    strict, certified = _sites(scope, market)
    return Measured("gmp_sites", scope, market.on, Decimal(strict), None, WHOLE, _of_sites(strict, certified))


def gmp_site_share(scope: str, market: Market) -> Measured:
    """Their share of the domestic sites with any valid certificate."""
    strict, certified = _sites(scope, market)
    why = None if certified else "no_sites"
    value = quotient(strict, certified) if certified else None
    return Measured("gmp_site_share", scope, market.on, value, why, WHOLE, _of_sites(strict, certified))


def _sites(scope: str, market: Market) -> tuple[int, int]:
    held = list(certificates(scope, market))
    return len(home_sites(held, market.on, STRICT)), len(home_sites(held, market.on))


def _of_sites(strict: int, certified: int) -> dict[str, str]:
    return {"unit": "sites", "eu_gmp_or_pics": str(strict), "certified": str(certified)}


def certificates(scope: str, market: Market) -> Iterator[Certificate]:
    """The certificates of a scope: in other scopes than all those of the sites and firms that hold or make its products
    by a valid domestic registration, and in that of an agreement also those of its recipient."""
    firms = None if scope == "all" else _firms(scope, market)
    for held in market.day.certificates:
        if firms is None or held.site in firms or held.holder in firms:
            yield held


def _firms(scope: str, market: Market) -> set[str]:
    kind, key = parse_scope(scope)
    inside = market.inside(scope)
    firms = {
        gln
        for held in market.day.valid
        if held.origin == "domestic" and any(inside(int(pack.gtin)) for pack in held.packs)
        for gln in (held.manufacturer, held.holder)
    }
    if kind == "agreement" and key in market.day.agreements:
        firms.add(market.day.agreements[key].recipient)
    return firms


def reporting_coverage(scope: str, market: Market) -> Measured:
    """Valid authorisations with movements in the window / valid authorisations."""
    inside = market.inside(scope)
    moved = of = 0
    for held in market.day.valid:
        gtins = [int(pack.gtin) for pack in held.packs if inside(int(pack.gtin))]
        if gtins:
            of += 1
            moved += any(gtin in market.products and market.products[gtin].moved for gtin in gtins)
    return Measured(
        name="reporting_coverage",
        scope=scope,
        on=market.on,
        value=quotient(moved, of) if of else None,
        why=None if of else "no_authorisations",
        coverage=WHOLE,
        inputs={"unit": "authorisations", "with_movements": str(moved), "valid": str(of)},
    )


def reported(name: str, scope: str, market: Market) -> Measured:
    """The newest reported figure whose period had ended by the day."""
    fact = newest(name, scope, market)
    if fact is None:
        return Measured(name, scope, market.on, None, "not_reported", None, {})
    data: Any = fact.data
    inputs = {
        "unit": data.unit,
        "period_end": data.period_end.isoformat(),
        "source": data.source,
        "value": text(data.value) or "0",
    }
    return Measured(name, scope, market.on, data.value, None, WHOLE, inputs)


def newest(name: str, scope: str, market: Market) -> Fact | None:
    return market.day.registry.reported(name.removeprefix(REPORTED), scope, market.on)
