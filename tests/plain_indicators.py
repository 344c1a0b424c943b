"""Every indicator worked out from the events that count, in plain dicts and fractions: slow, easy to check by eye.

Nothing here is taken from the service. `Plain.of(events)` folds what was recorded; `Plain.value(name, scope, on)` gives
(value or None with why, coverage), rounded half-even to 12 decimals.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.unit.plain_figures import day, standing, transfers

Event = Mapping[str, Any]
LotKey = tuple[str, str | None]
Told = tuple[str | None, str | None]
ONE_DAY = timedelta(days=1)
COUNTS_AS_DOMESTIC = (None, "full", "fill_finish")
LOOK_AHEAD_DAYS = 90


def decimals(exact: Fraction) -> str:
    """Half-even to 12 decimals, without trailing zeros."""
    plain = format(Decimal(round(exact * 10**12)).scaleb(-12), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


class Plain:
    """What a set of recorded events says, asked by day."""

    def __init__(self) -> None:
        self.moves: list[tuple[date, LotKey, str, str, int]] = []
        self.reports: list[tuple[str, date, date, int]] = []
        self.made: dict[LotKey, list[Event]] = defaultdict(list)
        self.brought: dict[LotKey, list[Event]] = defaultdict(list)
        self.supplied_on: dict[LotKey, date] = {}
        self.exports: list[Event] = []
        self.recalls: list[Event] = []
        self.facts: dict[str, list[Event]] = defaultdict(list)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Plain:
        plain = cls()
        for kind, data in standing(events):
            plain._take(kind.removeprefix("supply.").removesuffix(".v1"), kind, data)
        return plain

    def _take(self, name: str, kind: str, data: Event) -> None:
        moved = list(transfers(kind, data))
        self.moves += moved
        if not moved:
            self.facts[name].append(data)
        lot = (data.get("gtin", ""), data.get("lot"))
        if name == "batch.produced":
            self.made[lot].append(data)
        elif name == "import.received":
            self.brought[lot].append(data)
        elif name == "export.shipped":
            self.exports.append(data)
        elif name == "consumption.reported":
            self.reports.append((data["gtin"], day(data["period_start"]), day(data["period_end"]), data["quantity"]))
        elif name == "batch.recalled":
            self.recalls.append(data)
        for on, key, debit, credit, _ in moved:
            if name == "batch.released" or (debit, credit) == ("imported", "available"):
                self.supplied_on[key] = min(on, self.supplied_on.get(key, on))

    # --- lots and products

    def lots(self) -> set[LotKey]:
        return {lot for _, lot, _, _, _ in self.moves}

    def places(self, lot: LotKey, on: date) -> dict[str, int]:
        found: defaultdict[str, int] = defaultdict(int)
        for effective, key, debit, credit, packs in self.moves:
            if key == lot and effective <= on:
                found[debit] -= packs
                found[credit] += packs
        return found

    def origin(self, lot: LotKey) -> str:
        if lot[1] is None:
            return "unknown"
        if self.made[lot]:
            steps = [held.get("local_step") for held in self.grants(lot[0]) if held["origin"] == "domestic"]
            return "domestic" if all(step in COUNTS_AS_DOMESTIC for step in steps) else "import"
        return "import" if self.brought[lot] else "unknown"

    def grants(self, gtin: str, on: date = date.max) -> list[Event]:
        """Grants that name a product, the last one last."""
        held = [
            fact
            for fact in self.facts["registration.granted"]
            if day(fact["granted_on"]) <= on and any(pack["gtin"] == gtin for pack in fact["packs"])
        ]
        return sorted(held, key=lambda fact: (fact["granted_on"], fact["authorisation"]))

    def product(self, gtin: str, on: date) -> Event | None:
        held = self.grants(gtin, on)
        if not held:
            return None
        pack = next(pack for pack in held[-1]["packs"] if pack["gtin"] == gtin)
        return {**held[-1]["product"], **pack, "agreement": held[-1].get("agreement")}

    def valid(self, on: date) -> list[Event]:
        return [held for held in self.facts["registration.granted"] if self.is_valid(held, on)]

    def is_valid(self, held: Event, on: date) -> bool:
        status = "granted"
        for name in ("suspended", "reinstated", "revoked"):
            for fact in self.facts[f"registration.{name}"]:
                if fact["authorisation"] == held["authorisation"] and day(fact["effective_on"]) <= on:
                    status = name if name != "reinstated" else "granted"
        return status == "granted" and day(held["granted_on"]) <= on <= day(held["expires_on"])

    def inside(self, scope: str, gtin: str, on: date) -> bool:
        kind, _, key = scope.partition(":")
        product = self.product(gtin, on)
        if kind in ("all", "gtin"):
            return kind == "all" or gtin == key
        if kind == "agreement":
            named = {
                gtin
                for fact in self.facts["transfer.signed"]
                if fact["agreement"] == key and day(fact["signed_on"]) <= on
                for product in fact["products"]
                for gtin in product.get("gtins", ())
            }
            return gtin in named or (product is not None and product["agreement"] == key)
        if product is None:
            return False
        by_kind = {"atc": product["atc"].startswith(key), "substance": product["substance"] == key}
        return bool({**by_kind, "brand": product.get("brand_owner") == key}[kind])

    def weight(self, scope: str, gtin: str, on: date) -> Fraction | None:
        if scope.startswith("gtin:"):
            return Fraction(1)
        product = self.product(gtin, on)
        return None if product is None or product.get("ddd_per_pack") is None else Fraction(product["ddd_per_pack"])

    def recalled(self, lot: LotKey, on: date) -> bool:
        introduced = [day(data["produced_on"]) for data in self.made[lot]]
        introduced += [day(data["received_on"]) for data in self.brought[lot]]
        for recall in self.recalls:
            since = day(recall["recalled_on"])
            named = recall.get("lot") == lot[1] if "lot" in recall else introduced and min(introduced) <= since
            if recall["gtin"] == lot[0] and since <= on and named:
                return True
        return False

    def expires(self, lot: LotKey) -> date | None:
        days = [day(data["expires_on"]) for data in (*self.made[lot], *self.brought[lot])]
        return min(days, default=None)

    # --- supplied packs

    def window(self, scope: str, on: date) -> list[tuple[LotKey, int, int]]:
        """The scope's lots of the 365 days up to `on`: packs that stayed on the home market, packs that arrived."""
        found = []
        for lot, since in self.supplied_on.items():
            if on - timedelta(days=364) <= since <= on and lot[1] is not None and self.inside(scope, lot[0], on):
                held = self.places(lot, on)
                kept = held["consumed"] + held["adjusted"] + (0 if self.recalled(lot, on) else held["available"])
                found.append((lot, kept, self.reached(lot, on)))
        return found

    def reached(self, lot: LotKey, on: date) -> int:
        return sum(
            packs
            for effective, key, debit, credit, packs in self.moves
            if key == lot and effective <= on and credit == "available" and debit in ("quarantine", "imported")
        )

    def _sides(self, scope: str, on: date, weigh: Any) -> tuple[Fraction, Fraction, str | None]:
        sides = {"domestic": Fraction(0), "import": Fraction(0)}
        counted = reached = 0
        for lot, packs, arrived in self.window(scope, on):
            reached += arrived
            weight, origin = weigh(lot), self.origin(lot)
            if weight is not None and origin != "unknown":
                counted += arrived
                sides[origin] += weight * packs
        coverage = decimals(Fraction(counted, reached)) if reached else None
        return sides["domestic"], sides["import"], coverage

    def _doses(self, scope: str, on: date) -> Any:
        return lambda lot: self.weight(scope, lot[0], on)

    def _price(self, lot: LotKey) -> Fraction | None:
        since = self.supplied_on[lot]
        told = [
            (fact["effective_on"], fact["price"])
            for fact in self.facts["price.declared"]
            if fact["gtin"] == lot[0] and day(fact["effective_on"]) <= since
        ]
        return Fraction(max(told)[1]) if told else None

    # --- indicators

    def value(self, name: str, scope: str, on: date) -> tuple[str | None, str | None, str | None]:
        """(value, why, coverage)."""
        found: tuple[str | None, str | None, str | None] = getattr(self, f"_{name}")(scope, on)
        return found

    def _domestic_share_volume(self, scope: str, on: date) -> Any:
        home, abroad, coverage = self._sides(scope, on, self._doses(scope, on))
        return (*_ratio(home, abroad, home), coverage)

    def _import_dependency(self, scope: str, on: date) -> Any:
        home, abroad, coverage = self._sides(scope, on, self._doses(scope, on))
        return (*_ratio(home, abroad, abroad), coverage)

    def _domestic_share_value(self, scope: str, on: date) -> Any:
        home, abroad, coverage = self._sides(scope, on, self._price)
        return (*_ratio(home, abroad, home), coverage)

    def _domestic_share_use(self, scope: str, on: date) -> Any:
        used: defaultdict[LotKey, int] = defaultdict(int)
        for effective, lot, debit, credit, packs in self.moves:
            if on - timedelta(days=364) <= effective <= on and self.inside(scope, lot[0], on):
                used[lot] += packs * ((credit == "consumed") - (debit == "consumed"))
        sides = {"domestic": Fraction(0), "import": Fraction(0)}
        by_product: defaultdict[tuple[str, str], int] = defaultdict(int)
        for lot, packs in used.items():
            by_product[lot[0], self._origin_of_use(lot, on)] += packs
        counted = of = 0
        for (gtin, origin), packs in by_product.items():
            of += abs(packs)
            weight = self.weight(scope, gtin, on)
            if weight is not None and origin != "unknown":
                counted += abs(packs)
                sides[origin] += weight * packs
        value, why = _ratio(sides["domestic"], sides["import"], sides["domestic"])
        why = None if why is None else why.replace("supply", "use")
        return value, why, decimals(Fraction(counted, of)) if of else None

    def _origin_of_use(self, lot: LotKey, on: date) -> str:
        if lot[1] is not None:
            return self.origin(lot)
        told = {
            "domestic" if held["origin"] == "domestic" and held.get("local_step") in COUNTS_AS_DOMESTIC else "import"
            for held in self.grants(lot[0], on)
        }
        return told.pop() if len(told) == 1 else "unknown"

    def _domestic_demand_met(self, scope: str, on: date) -> Any:
        one = scope.startswith("gtin:")
        wanted: defaultdict[Any, Fraction] = defaultdict(Fraction)
        for fact in self.facts["demand.estimated"]:
            year = fact["year"]
            days = sum((on - timedelta(days=back)).year == year for back in range(365))
            part = Fraction(days, 366 if isleap(year) else 365)
            if "gtin" in fact:
                amount = self._needed(fact, scope, on)
                if part and amount is not None and self.inside(scope, fact["gtin"], on):
                    wanted[fact["gtin"] if one else self._group(fact["gtin"], on)] += amount * part
            elif part and not one and (fact["substance"], fact["form"]) in self._groups(scope, on):
                wanted[fact["substance"], fact["form"]] += fact["quantity"] * part
        made: defaultdict[Any, Fraction] = defaultdict(Fraction)
        for lot, packs, _ in self.window(scope, on):
            weight = self.weight(scope, lot[0], on)
            if weight is not None and self.origin(lot) == "domestic":
                made[lot[0] if one else self._group(lot[0], on)] += weight * packs
        coverage = self._sides(scope, on, self._doses(scope, on))[2]
        if any(made[group] < 0 for group in wanted):
            return None, "negative_supply", coverage
        if not sum(wanted.values()):
            return None, "no_demand", coverage
        met = sum((min(made[group], amount) for group, amount in wanted.items()), Fraction(0))
        return decimals(met / sum(wanted.values())), None, coverage

    def _needed(self, fact: Event, scope: str, on: date) -> Fraction | None:
        doses = self.weight("all", fact["gtin"], on)
        if (fact["unit"] == "packs") == scope.startswith("gtin:"):
            return Fraction(fact["quantity"])
        if doses is None:
            return None
        return Fraction(fact["quantity"]) / doses if fact["unit"] == "ddd" else Fraction(fact["quantity"]) * doses

    def _group(self, gtin: str, on: date) -> tuple[str, str]:
        product = self.product(gtin, on)
        return ("", gtin) if product is None else (product["substance"], product["form"])

    def _groups(self, scope: str, on: date) -> set[tuple[str, str]]:
        told = {(fact["substance"], fact["form"]) for fact in self.facts["demand.estimated"] if "substance" in fact}
        products = {
            pack["gtin"]
            for fact in self.facts["registration.granted"]
            if day(fact["granted_on"]) <= on
            for pack in fact["packs"]
        }
        held = {self._group(gtin, on) for gtin in products if self.inside(scope, gtin, on)}
        kind, _, key = scope.partition(":")
        if kind == "all":
            return told
        return held | {group for group in told if kind == "substance" and group[0] == key}

    def _supply_change(self, scope: str, on: date) -> Any:
        recent, before, lots, counted, of = Fraction(0), Fraction(0), 0, 0, 0
        for lot, since in self.supplied_on.items():
            age = (on - since).days
            if lot[1] is None or not 0 <= age < 120 or not self.inside(scope, lot[0], on):
                continue
            arrived, weight = self.reached(lot, on), self.weight(scope, lot[0], on)
            of += arrived
            if weight is not None:
                counted += arrived
                recent += weight * arrived if age < 30 else 0
                before += weight * arrived if age >= 30 else 0
                lots += age >= 30
        coverage = decimals(Fraction(counted, of)) if of else None
        if lots < 6:
            return None, "too_few_lots", coverage
        return (None, "no_supply", coverage) if before <= 0 else (decimals(3 * recent / before - 1), None, coverage)

    # --- stock

    def usable(self, gtin: str, on: date) -> dict[LotKey, int]:
        found = {}
        for lot in self.lots():
            packs = self.places(lot, on)["available"] if lot[0] == gtin else 0
            expires = self.expires(lot)
            if packs and not self.recalled(lot, on) and not (expires is not None and expires < on):
                found[lot] = packs
        return found

    def daily_use(self, gtins: Mapping[str, Fraction], on: date) -> tuple[Fraction, list[tuple[int, int]]]:
        """What was used in the months that count, and the months."""
        months, used = [], Fraction(0)
        year, month = on.year, on.month
        if (on + ONE_DAY).day != 1:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        for _ in range(48):
            days = [date(year, month, number + 1) for number in range(monthrange(year, month)[1])]
            reports = [item for item in self.reports if item[0] in gtins and item[2] <= on]
            whole = all(any(start <= each <= end for _, start, end, _ in reports) for each in days)
            if whole and any(self._had_stock(gtin, days) for gtin in gtins):
                months.append((year, month))
                for gtin, start, end, packs in reports:
                    inside = sum(start <= each <= end for each in days)
                    used += gtins[gtin] * Fraction(packs * inside, (end - start).days + 1)
                if len(months) == 6:
                    break
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        return used, months

    def _had_stock(self, gtin: str, days: list[date]) -> bool:
        by_day: defaultdict[date, int] = defaultdict(int)
        for effective, lot, debit, credit, packs in self.moves:
            if lot[0] == gtin:
                by_day[effective] += packs * ((credit == "available") - (debit == "available"))
        held = sum(packs for effective, packs in by_day.items() if effective < days[0])
        if held > 0:
            return True
        for each in days:
            held += by_day[each]
            if held > 0:
                return True
        return False

    def _gtins(self, scope: str, on: date) -> dict[str, Fraction | None]:
        found = {lot[0] for lot in self.lots()}
        return {gtin: self.weight(scope, gtin, on) for gtin in found if self.inside(scope, gtin, on)}

    def _months_of_stock(self, scope: str, on: date) -> Any:
        weights = {gtin: weight for gtin, weight in self._gtins(scope, on).items() if weight is not None}
        stock = sum((weight * sum(self.usable(gtin, on).values()) for gtin, weight in weights.items()), Fraction(0))
        used, months = self.daily_use(weights, on)
        rows = self.window(scope, on)
        of = sum(arrived for _, _, arrived in rows)
        counted = sum(arrived for lot, _, arrived in rows if lot[0] in weights)
        coverage = decimals(Fraction(counted, of)) if of else None
        if not months:
            return None, "no_reported_month", coverage
        if used <= 0:
            return None, "no_use", coverage
        return decimals(stock * len(months) / used), None, coverage

    def _stock_expiring(self, scope: str, on: date) -> Any:
        total, counted, of, unknown = Fraction(0), 0, 0, False
        for gtin, weight in self._gtins(scope, on).items():
            lots = self.usable(gtin, on)
            of += sum(map(abs, lots.values()))
            used, months = self.daily_use({gtin: Fraction(1)}, on)
            if not lots:
                continue
            if weight is None or not months:
                unknown = True
                continue
            counted += sum(map(abs, lots.values()))
            a_day = used / sum(monthrange(*month)[1] for month in months)
            total += weight * self._left_over(lots, a_day, on)
        if unknown and not counted:
            return None, "no_reported_month", decimals(Fraction(counted, of)) if of else None
        return decimals(total), None, decimals(Fraction(counted, of)) if of else None

    def _left_over(self, lots: Mapping[LotKey, int], a_day: Fraction, on: date) -> Fraction:
        drawn = max(0, -sum(packs for lot, packs in lots.items() if lot[1] is None))
        named = [(self.expires(lot) or date.max, str(lot[1]), packs) for lot, packs in lots.items() if lot[1]]
        left = []
        for expires, _, packs in sorted(named):
            taken = min(drawn, max(0, packs))
            drawn -= taken
            left.append((expires, packs - taken))
        most = Fraction(0)
        for ahead in range(LOOK_AHEAD_DAYS + 1):
            gone = sum(packs for expires, packs in left if expires <= on + timedelta(days=ahead))
            most = max(most, gone - a_day * ahead)
        return most

    # --- suppliers, exports, counts

    def _makers(self, scope: str, on: date) -> tuple[dict[str, Fraction], str | None]:
        found: defaultdict[str, Fraction] = defaultdict(Fraction)
        counted = of = 0
        for lot, packs, arrived in self.window(scope, on):
            of += arrived
            weight, maker = self.weight(scope, lot[0], on), self._maker(lot, on)
            if weight is not None and maker is not None and self.origin(lot) != "unknown":
                counted += arrived
                found[maker] += weight * packs
        return found, decimals(Fraction(counted, of)) if of else None

    def _maker(self, lot: LotKey, on: date) -> str | None:
        if self.made[lot]:
            return str(min(self.made[lot], key=lambda data: data["produced_on"])["manufacturer"])
        for data in sorted(self.brought[lot], key=lambda data: data["received_on"]):
            for held in self.facts["registration.granted"]:
                known = day(held["granted_on"]) <= max(on, day(data["received_on"]))
                if held["authorisation"] == data.get("authorisation") and known:
                    return str(held["manufacturer"])
        introduced = min((day(data["received_on"]) for data in self.brought[lot]), default=on)
        grants = self.grants(lot[0], on)
        by_then = [fact for fact in grants if fact["origin"] == "import" and day(fact["granted_on"]) <= introduced]
        chosen = (by_then or grants)[-1:]
        return str(chosen[0]["manufacturer"]) if chosen else None

    def _concentration_hhi(self, scope: str, on: date) -> Any:
        found, coverage = self._makers(scope, on)
        total = sum(found.values(), Fraction(0))
        why = _why(found, total)
        if why:
            return None, why, coverage
        squares = sum(((each / total) ** 2 for each in found.values()), Fraction(0))
        return decimals(squares * 10_000), None, coverage

    def _largest_supplier_share(self, scope: str, on: date) -> Any:
        found, coverage = self._makers(scope, on)
        total = sum(found.values(), Fraction(0))
        why = _why(found, total)
        return (None, why, coverage) if why else (decimals(max(found.values()) / total), None, coverage)

    def _export_value(self, scope: str, on: date) -> Any:
        value = packs = priced = 0
        for data in self.exports:
            lot = (data["gtin"], data["lot"])
            in_window = on - timedelta(days=364) <= day(data["shipped_on"]) <= on
            if in_window and self.inside(scope, lot[0], on) and self.origin(lot) == "domestic":
                packs += data["quantity"]
                if data.get("value") is not None:
                    priced += data["quantity"]
                    value += data["value"]
        return str(value), None, decimals(Fraction(priced, packs)) if packs else "1"

    def _transferred_products(self, scope: str, on: date) -> Any:
        kind, _, key = scope.partition(":")
        found = set()
        for held in self.valid(on):
            of_it = kind != "agreement" or held.get("agreement") == key
            if held["origin"] == "domestic" and held.get("agreement") is not None and of_it:
                gtins = [pack["gtin"] for pack in held["packs"] if self.inside(scope, pack["gtin"], on)]
                released = [
                    lot
                    for lot, since in self.supplied_on.items()
                    if lot[0] in gtins and since <= on and self.origin(lot) == "domestic"
                ]
                if released:
                    found.add((held["product"]["name"], held["product"]["substance"]))
        return str(len(found)), None, "1"

    def _registered_products(self, scope: str, on: date) -> Any:
        found = {(held["product"]["name"], held["product"]["substance"]) for held in self._registered(scope, on)}
        return str(len(found)), None, "1"

    def _registered(self, scope: str, on: date) -> list[Event]:
        kind, _, key = scope.partition(":")
        return [
            held
            for held in self.valid(on)
            if held["origin"] == "domestic"
            and (kind != "agreement" or held.get("agreement") == key)
            and any(self.inside(scope, pack["gtin"], on) for pack in held["packs"])
        ]

    def _produced_products(self, scope: str, on: date) -> Any:
        found = set()
        for lot, said in self.made.items():
            days = [day(data["produced_on"]) for data in said]
            product = self.product(lot[0], on)
            in_window = any(on - timedelta(days=364) <= each <= on for each in days)
            if in_window and product and self.inside(scope, lot[0], on) and self.origin(lot) == "domestic":
                found.add((product["name"], product["substance"]))
        return str(len(found)), None, "1"

    def _therapeutic_areas(self, scope: str, on: date) -> Any:
        areas = set()
        for held in self._registered(scope, on):
            gtins = [pack["gtin"] for pack in held["packs"] if self.inside(scope, pack["gtin"], on)]
            released = any(
                lot[0] in gtins and since <= on and self.origin(lot) == "domestic"
                for lot, since in self.supplied_on.items()
            )
            if held.get("agreement") and released:
                areas.add(held["product"]["atc"][:3])
        return str(len(areas)), None, "1"

    def _asean_destinations(self, scope: str, on: date) -> Any:
        found = {
            data["destination"]
            for data in self.exports
            if on - timedelta(days=364) <= day(data["shipped_on"]) <= on
            and data["destination"] in ("LA", "KH")
            and self.inside(scope, data["gtin"], on)
            and self.origin((data["gtin"], data["lot"])) == "domestic"
        }
        return str(len(found)), None, "1"

    def _sites(self, scope: str, on: date) -> tuple[int, int]:
        firms = {
            gln
            for held in self.valid(on)
            if held["origin"] == "domestic" and any(self.inside(scope, pack["gtin"], on) for pack in held["packs"])
            for gln in (held["manufacturer"], held["holder"])
        }
        if scope.startswith("agreement:"):
            signed = [fact for fact in self.facts["transfer.signed"] if fact["agreement"] == scope.partition(":")[2]]
            firms |= {fact["recipient"] for fact in signed if day(fact["signed_on"]) <= on}
        withdrawn = {fact["certificate"]: day(fact["effective_on"]) for fact in self.facts["gmp.withdrawn"]}
        held = [
            fact
            for fact in self.facts["gmp.certified"]
            if fact["country"] == "VN"
            and day(fact["effective_on"]) <= on <= day(fact["expires_on"])
            and on < withdrawn.get(fact["certificate"], date.max)
            and (scope == "all" or fact["site"] in firms or fact["holder"] in firms)
        ]
        strict = {fact["site"] for fact in held if fact["standard"] in ("EU-GMP", "PIC/S-GMP")}
        return len(strict), len({fact["site"] for fact in held})

    def _gmp_sites(self, scope: str, on: date) -> Any:
        return str(self._sites(scope, on)[0]), None, "1"

    def _gmp_site_share(self, scope: str, on: date) -> Any:
        strict, of = self._sites(scope, on)
        return (decimals(Fraction(strict, of)), None, "1") if of else (None, "no_sites", "1")

    def _reporting_coverage(self, scope: str, on: date) -> Any:
        since = on - timedelta(days=364)
        moved = {lot[0] for effective, lot, _, _, _ in self.moves if since <= effective <= on}
        of = with_movements = 0
        for held in self.valid(on):
            gtins = {pack["gtin"] for pack in held["packs"] if self.inside(scope, pack["gtin"], on)}
            of += bool(gtins)
            with_movements += bool(gtins & moved)
        return (decimals(Fraction(with_movements, of)), None, "1") if of else (None, "no_authorisations", "1")


def _ratio(home: Fraction, abroad: Fraction, part: Fraction) -> tuple[str | None, str | None]:
    if min(home, abroad) < 0:
        return None, "negative_supply"
    total = home + abroad
    return (None, "no_supply") if total == 0 else (decimals(part / total), None)


def _why(amounts: Mapping[str, Fraction], total: Fraction) -> str | None:
    if min(amounts.values(), default=Fraction(0)) < 0:
        return "negative_supply"
    return "no_supply" if total == 0 else None
