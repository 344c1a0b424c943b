"""Works out what would be left if one source of supply stopped today: shares, months of stock, how long it lasts. Pure.

Supply is what the lots first supplied in the window brought (supplied packs). What lasts is a forecast: usable stock,
less what is used in a month (in the months that months_of_stock counts), plus what came in a month over the last six
months from the sources that go on. Nobody else steps in, and nothing that is on its way is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final, Literal, get_args

import msgspec

from services.supply.figures import figure, rounded, text
from services.supply.lot import MarketLot, gtin_text
from services.supply.market import Market
from services.supply.plants import HOME
from services.supply.product_day import ProductDay
from services.supply.supplied import home_packs

Kind = Literal["site", "manufacturer", "importer", "country"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
HARDEST: Final = 10
INFLOW_MONTHS: Final = 6
INFLOW_DAYS: Final = 183


class Source(msgspec.Struct, frozen=True):
    """Where supply comes from: a site, manufacturer or importer by GLN, or a country by its code."""

    kind: Kind
    key: str


class Loss(msgspec.Struct):
    """Of one product: supplied packs of all sources by origin and those of the one that stops, and what it means."""

    held: ProductDay
    domestic: int = 0
    imported: int = 0
    lost_domestic: int = 0
    lost_imported: int = 0
    inflow: int = 0
    lost_inflow: int = 0

    @property
    def lost(self) -> int:
        return self.lost_domestic + self.lost_imported

    @property
    def total(self) -> int:
        return self.domestic + self.imported

    def lasts(self, inflow: int) -> Fraction | None:
        """Months until usable stock is used up; None where it does not run out, or use is not known."""
        used = self.held.average
        if not used.months:
            return None
        a_month = used.a_month - Fraction(inflow, INFLOW_MONTHS)
        return None if a_month <= 0 else max(Fraction(0), Fraction(self.held.usable)) / a_month


def sources_of(held: ProductDay, lot: MarketLot) -> Iterable[Source]:
    """Everything that a lot comes from."""
    maker = held.maker(lot)
    if maker is not None:
        yield Source("manufacturer", maker)
    for said in held.introductions_of(lot.lot):
        if said.kind == "imported":
            yield Source("importer", said.firm)
            yield from () if said.country is None else (Source("country", said.country),)
        else:
            yield Source("country", HOME)
            yield from () if said.site is None else (Source("site", said.site),)


def losses(market: Market, scope: str, source: Source) -> list[Loss]:
    """By product of the scope what is lost; those that lose nothing too."""
    return [_loss(held, source) for held in market.of(scope)]


def _loss(held: ProductDay, source: Source) -> Loss:
    loss = Loss(held)
    for lot in held.supplied_lots:
        origin = held.origin(lot.lot)
        if origin == "unknown":
            continue
        packs, is_lost = home_packs(lot, held.recalled_on(lot)), source in set(sources_of(held, lot))
        is_recent = lot.supplied_on is not None and (held.day.on - lot.supplied_on).days < INFLOW_DAYS
        arrived = lot.reached if is_recent else 0
        loss.inflow += arrived
        loss.lost_inflow += arrived if is_lost else 0
        if origin == "domestic":
            loss.domestic += packs
            loss.lost_domestic += packs if is_lost else 0
        else:
            loss.imported += packs
            loss.lost_imported += packs if is_lost else 0
    return loss


def hardest(market: Market, scope: str) -> dict[str, list[dict[str, Any]]]:
    """By kind, the ten sources of which most of the scope's supply comes, in its unit: those whose loss hurts most."""
    unit, scale = market.unit(scope), market.scale(scope)
    supplied: dict[Source, Fraction] = defaultdict(Fraction)
    products: dict[Source, set[int]] = defaultdict(set)
    total = Fraction(0)
    for held in market.of(scope):
        weight = unit(held.gtin)
        if weight is None:
            continue
        for lot in held.supplied_lots:
            if held.origin(lot.lot) != "unknown":
                amount = Fraction(weight * home_packs(lot, held.recalled_on(lot)), scale)
                total += amount
                for source in set(sources_of(held, lot)):
                    supplied[source] += amount
                    products[source].add(held.gtin)
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        of_kind = [item for item in supplied.items() if item[0].kind == kind]
        found[kind] = [
            {
                "source": source.key,
                "supply": figure(amount),
                "share": text(rounded(amount / total)) if total > 0 else None,
                "products": len(products[source]),
            }
            for source, amount in sorted(of_kind, key=lambda item: (-item[1], item[0].key))[:HARDEST]
        ]
    return found


def shares(found: Iterable[Loss], scope: str, market: Market) -> dict[str, dict[str, str | None]]:
    """The domestic share and the import dependency of a scope, now and without the source."""
    unit, scale = market.unit(scope), market.scale(scope)
    home = abroad = lost_home = lost_abroad = Fraction(0)
    for loss in found:
        parts = unit(loss.held.gtin)
        if parts is not None:
            weight = Fraction(parts, scale)
            home, abroad = home + weight * loss.domestic, abroad + weight * loss.imported
            lost_home, lost_abroad = lost_home + weight * loss.lost_domestic, lost_abroad + weight * loss.lost_imported
    left, left_abroad = home - lost_home, abroad - lost_abroad
    return {
        "domestic_share_volume": {"now": _part(home, home + abroad), "without": _part(left, left + left_abroad)},
        "import_dependency": {"now": _part(abroad, home + abroad), "without": _part(left_abroad, left + left_abroad)},
        "supply": {"now": figure(home + abroad), "without": figure(left + left_abroad)},
    }


def _part(amount: Fraction, total: Fraction) -> str | None:
    return text(rounded(amount / total)) if total > 0 and amount >= 0 else None


def product_json(loss: Loss) -> dict[str, Any]:
    """One product that loses a source; months are null where stock does not run out or use is not known."""
    packing = loss.held.day.packings.get(loss.held.gtin)
    used = loss.held.average
    now = Fraction(loss.held.usable) / used.a_month if used.months and used.used > 0 else None
    return {
        "gtin": gtin_text(loss.held.gtin),
        "product": None if packing is None else packing.product.name,
        "supplied": loss.total,
        "lost": loss.lost,
        "lost_share": _part(Fraction(loss.lost), Fraction(loss.total)),
        "usable": loss.held.usable,
        "months_of_stock": _months(now),
        "lasts_months": {
            "now": _months(loss.lasts(loss.inflow)),
            "without": _months(loss.lasts(loss.inflow - loss.lost_inflow)),
        },
        "runs_out_on": _day(loss.held.day.on, loss.lasts(loss.inflow - loss.lost_inflow)),
    }


def _months(value: Fraction | None) -> str | None:
    return None if value is None else text(rounded(value))


def _day(on: date, months: Fraction | None) -> str | None:
    """The day on which stock runs out, at 365 days in twelve months."""
    days = None if months is None else int(months * 365 / 12)
    if days is None or days > (date.max - on).days:
        return None
    return (on + timedelta(days=days)).isoformat()


def ranked(found: Iterable[Loss]) -> list[Loss]:
    """Those that lose anything: who runs out first comes first, then who loses the greater share."""
    hit = [loss for loss in found if loss.lost or loss.lost_inflow]

    def rank(loss: Loss) -> tuple[bool, Fraction, Fraction, int]:
        lasts = loss.lasts(loss.inflow - loss.lost_inflow)
        share = Fraction(loss.lost, loss.total) if loss.total > 0 else Fraction(0)
        return (lasts is None, lasts or Fraction(0), -share, loss.held.gtin)

    return sorted(hit, key=rank)


def forecast(held: ProductDay, months: int) -> list[dict[str, str]]:
    """Usable stock and months of stock after each of the next months, if use and supply go on as in the last six."""
    used = held.average
    if not used.months or used.used <= 0:
        return []
    inflow = Fraction(_loss(held, Source("country", "")).inflow, INFLOW_MONTHS)
    found = []
    for number in range(1, months + 1):
        stock = max(Fraction(0), held.usable + number * (inflow - used.a_month))
        found.append({"month": str(number), "usable": figure(stock), "months_of_stock": figure(stock / used.a_month)})
    return found
