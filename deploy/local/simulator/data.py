"""Reads the scenario's data: firms, products, agreements and the story; refuses what does not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deploy.local.simulator.story import Story

SCENARIO_DIR: Final = Path(__file__).resolve().parent.parent / "scenario"

Role = Literal["manufacturer", "importer", "distributor", "regulator"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gmp(_Data):
    certificate: str
    standard: Literal["EU-GMP", "PIC/S-GMP", "WHO-GMP"]
    effective_on: date


class Site(_Data):
    gln: str
    title: str
    gmp: Gmp


class Firm(_Data):
    """Who reports events. The first of `gln` is the firm, the others are its sites."""

    name: str
    title: str
    country: str
    roles: tuple[Role, ...]
    gln: tuple[str, ...]
    sites: tuple[Site, ...] = ()


class Party(_Data):
    """A foreign plant: named by others, says nothing itself."""

    name: str
    title: str
    country: str
    gln: str


class Product(_Data):
    """One pack on the market. `share`: the part of its market's demand that it supplies, straight lines between."""

    gtin: str
    name: str
    strength: str
    class_: Literal["originator", "generic", "vaccine", "biological", "new_here"] = Field(alias="class")
    brand_owner: str | None = None
    pack_size: int
    ddd_per_pack: str | None = None
    origin: Literal["domestic", "import"]
    maker: str | None = None
    local_step: Literal["full", "fill_finish", "packaging"] | None = None
    importer: str | None = None
    country: str | None = None
    hold: bool = False
    manufacturer: str
    authorisation: str
    granted_on: date
    agreement: str | None = None
    price: dict[date, int]
    share: dict[date, float]
    lot_packs: int
    shelf_months: int
    exports: tuple[str, ...] = ()

    @property
    def introducer(self) -> str:
        """The name of the firm that makes it or brings it in."""
        name = self.maker if self.origin == "domestic" else self.importer
        if name is None:
            raise ValueError(f"{self.gtin} is {self.origin} and names nobody who introduces it")
        return name

    def share_on(self, day: date) -> float:
        """0 before the first day that `share` names, the last value after the last."""
        days = sorted(self.share)
        if day < days[0]:
            return 0.0
        later = next((at for at in days if at > day), None)
        if later is None:
            return self.share[days[-1]]
        earlier = max(at for at in days if at <= day)
        way = (day - earlier).days / (later - earlier).days
        return self.share[earlier] + (self.share[later] - self.share[earlier]) * way

    def price_on(self, day: date) -> int:
        """VND a pack."""
        return self.price[max((at for at in self.price if at <= day), default=min(self.price))]


class Demand(_Data):
    """What the country uses in the year of the history's start, in `unit`; `growth` a year."""

    unit: Literal["ddd", "packs"]
    yearly: int
    growth: float


class Market(_Data):
    """One substance and form: packs that replace one another."""

    substance: str
    form: str
    atc: str
    demand: Demand
    products: tuple[Product, ...]

    def units(self, product: Product) -> float:
        """How much of the demand one pack meets."""
        return float(product.ddd_per_pack) if product.ddd_per_pack and self.demand.unit == "ddd" else 1.0


class TransferProduct(_Data):
    name: str
    substance: str
    gtins: tuple[str, ...] = ()


class Milestone(_Data):
    """`reached_on` and `evidence` are what the story lets happen; without them it stays open."""

    milestone: str
    title: str
    owner: str | None = None
    due_on: date | None = None
    met_by: Literal["first_produced", "first_registered", "first_released", "first_exported"] | None = None
    reached_on: date | None = None
    evidence: str | None = None


class Report(_Data):
    reported_on: date
    period_start: date
    period_end: date
    summary: str


class Agreement(_Data):
    agreement: str
    title: str
    source: str
    originator: str
    recipient: str
    signed_on: date
    products: tuple[TransferProduct, ...]
    milestones: tuple[Milestone, ...]
    reports: tuple[Report, ...] = ()


class _Actors(_Data):
    firms: tuple[Firm, ...]
    parties: tuple[Party, ...]
    regulator: str
    distribution: dict[str, float]


@dataclass(frozen=True)
class Scenario:
    """Everything the simulator knows."""

    firms: tuple[Firm, ...]
    parties: tuple[Party, ...]
    regulator: str
    distribution: dict[str, float]
    markets: tuple[Market, ...]
    agreements: tuple[Agreement, ...]
    story: Story

    @cached_property
    def firm(self) -> dict[str, Firm]:
        return {firm.name: firm for firm in self.firms}

    def products(self) -> Iterator[tuple[Market, Product]]:
        for market in self.markets:
            for product in market.products:
                yield market, product

    @cached_property
    def firm_of_gln(self) -> dict[str, Firm]:
        return {gln: firm for firm in self.firms for gln in firm.gln}


def load(directory: Path = SCENARIO_DIR) -> Scenario:
    """The scenario in `directory`. Raises ValueError that says which file or name is wrong."""
    actors = TypeAdapter(_Actors).validate_python(_yaml(directory / "market.yaml"))
    markets = [
        market
        for file in sorted(directory.glob("products-*.yaml"))
        for market in TypeAdapter(tuple[Market, ...]).validate_python(_yaml(file))
    ]
    scenario = Scenario(
        firms=actors.firms,
        parties=actors.parties,
        regulator=actors.regulator,
        distribution=actors.distribution,
        markets=tuple(markets),
        agreements=TypeAdapter(tuple[Agreement, ...]).validate_python(_yaml(directory / "agreements.yaml")),
        story=TypeAdapter(Story).validate_python(_yaml(directory / "story.yaml")),
    )
    for fault in _faults(scenario):
        raise ValueError(fault)
    return scenario


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _faults(scenario: Scenario) -> Iterator[str]:
    """What names something that is not there, or twice."""
    firms, places = scenario.firm, {party.gln for party in scenario.parties} | set(scenario.firm_of_gln)
    gtins = [product.gtin for _, product in scenario.products()]
    authorisations = {product.authorisation for _, product in scenario.products()}
    agreements = {agreement.agreement for agreement in scenario.agreements}
    if len(set(gtins)) != len(gtins) or len(authorisations) != len(gtins):
        yield "two products have the same gtin or authorisation"
    for name in (scenario.regulator, *scenario.distribution):
        if name not in firms:
            yield f"market.yaml names {name}, which is no firm"
    for _, product in scenario.products():
        if product.introducer not in firms or product.manufacturer not in places:
            yield f"{product.gtin}: unknown firm or manufacturer"
        if product.agreement is not None and product.agreement not in agreements:
            yield f"{product.gtin}: unknown agreement {product.agreement}"
    story = scenario.story
    named = [gtin for pace in story.pace for gtin in pace.gtins]
    named += [recall.gtin for recall in story.recalls] + [late.gtin for late in story.late_releases]
    named += [gtin for agreement in scenario.agreements for product in agreement.products for gtin in product.gtins]
    for gtin in set(named) - set(gtins):
        yield f"the story names {gtin}, which is no product"
    sites = {stop.site for stop in story.interruptions} | {pace.site for pace in story.pace if pace.site}
    for gln in sites - set(scenario.firm_of_gln):
        yield f"the story names the site {gln}, which no firm has"
    for number in {item.authorisation for item in story.suspensions} - authorisations:
        yield f"the story suspends {number}, which is no authorisation"
