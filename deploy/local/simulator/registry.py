"""Tells the rules of supply: registrations and their renewal, certificates, prices, demand, agreements, figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from deploy.local.simulator.data import Agreement, Firm, Market, Product, Scenario, Site
from deploy.local.simulator.saying import Said, say, working_hour
from deploy.local.simulator.shelf import DAYS_A_YEAR
from deploy.local.simulator.story import Interruption, Suspension

REGISTRATION_YEARS: Final = 5
RENEWAL_FILED_DAYS: Final = 240
RENEWED_DAYS: Final = 30
GMP_YEARS: Final = 3
GMP_RENEWED_DAYS: Final = 40
FORMER_STANDARD: Final = "WHO-GMP"
DEMAND_TOLD_MONTH: Final = 12


def years_later(day: date, years: int) -> date:
    """The same day `years` later; 28 February for 29 February."""
    return date(day.year + years, day.month, 28 if (day.month, day.day) == (2, 29) else day.day)


class Registry:
    """What the regulator and the firms say about the rules, day by day. What is older is told on the first day."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._first_day = scenario.story.history_start
        self._regulator = scenario.firm[scenario.regulator]
        self._rng = Random(f"{scenario.story.seed}/registry")
        self._to_say: defaultdict[date, list[tuple[Firm, str, str, str, dict[str, Any]]]] = defaultdict(list)
        self._renewals: defaultdict[date, list[tuple[str, Any]]] = defaultdict(list)
        for firm in scenario.firms:
            for site in firm.sites:
                self._certify_first(firm, site)
        for market, product in scenario.products():
            self._register(market, product)
        for agreement in scenario.agreements:
            self._agree(agreement)
        for interruption in scenario.story.interruptions:
            self._interrupt(interruption)
        for suspension in scenario.story.suspensions:
            self._suspend(suspension)
        for figure in scenario.story.figures:
            data = figure.model_dump(exclude={"reported_on"})
            id = f"figure-{figure.figure}-{figure.period_end:%Y%m%d}"
            self._plan(figure.reported_on, self._regulator, "figure.reported", id, figure.figure, data)
        self._estimate(self._first_day.year, self._first_day)

    def on(self, day: date) -> Iterator[Said]:
        """What is said about the rules on `day`."""
        if day.month == DEMAND_TOLD_MONTH and day.day == 1:
            self._estimate(day.year + 1, day)
        for kind, about in self._renewals.pop(day, ()):
            self._renew(kind, about, day)
        for firm, kind, id, subject, data in self._to_say.pop(day, ()):
            yield say(working_hour(day, self._rng), firm, kind, id, subject, data)

    def _plan(self, day: date, firm: Firm, kind: str, id: str, subject: str, data: dict[str, Any]) -> None:
        self._to_say[max(day, self._first_day)].append((firm, kind, id, subject, data))

    # Registrations.

    def _register(self, market: Market, product: Product) -> None:
        holder = self._scenario.firm[product.introducer]
        expires_on = years_later(product.granted_on, REGISTRATION_YEARS) - timedelta(days=1)
        data: dict[str, Any] = {
            "authorisation": product.authorisation,
            "product": {
                "name": product.name,
                "substance": market.substance,
                "atc": market.atc,
                "form": market.form,
                "strength": product.strength,
                "class": product.class_,
                "brand_owner": product.brand_owner,
            },
            "packs": [product.model_dump(include={"gtin", "pack_size", "ddd_per_pack"})],
            "origin": product.origin,
            "local_step": product.local_step,
            "holder": holder.gln[0],
            "manufacturer": product.manufacturer,
            "granted_on": product.granted_on,
            "expires_on": expires_on,
            "agreement": product.agreement,
        }
        number = product.authorisation
        self._plan(product.granted_on, self._regulator, "registration.granted", f"granted-{number}", number, data)
        self._renewals[expires_on - timedelta(days=RENEWAL_FILED_DAYS)].append(("registration", (number, expires_on)))
        for day, price in product.price.items():
            data = {"gtin": product.gtin, "price": price, "currency": "VND", "effective_on": day}
            id = f"price-{product.gtin}-{day:%Y%m%d}"
            self._plan(day, self._regulator, "price.declared", id, product.gtin, data)

    def _renew(self, kind: str, about: Any, day: date) -> None:
        if kind == "certificate":
            firm, site = about
            self._certify(firm, site, day)
            return
        number, expires_on = about
        filed = {"authorisation": number, "filed_on": day}
        self._plan(
            day, self._regulator, "registration.renewal_filed", f"renewal-filed-{number}-{day:%Y}", number, filed
        )
        renewed_on = expires_on - timedelta(days=RENEWED_DAYS)
        until = years_later(expires_on, REGISTRATION_YEARS)
        renewed = {"authorisation": number, "effective_on": renewed_on, "expires_on": until}
        id = f"renewed-{number}-{renewed_on:%Y}"
        self._plan(renewed_on, self._regulator, "registration.renewed", id, number, renewed)
        self._renewals[until - timedelta(days=RENEWAL_FILED_DAYS)].append(("registration", (number, until)))

    def _suspend(self, item: Suspension) -> None:
        number = item.authorisation
        told = {"authorisation": number, "effective_on": item.suspended_on, "reason": item.reason}
        id = f"suspended-{number}-{item.suspended_on:%Y%m%d}"
        self._plan(item.suspended_on, self._regulator, "registration.suspended", id, number, told)
        told = {"authorisation": number, "effective_on": item.reinstated_on, "reason": "the findings were corrected"}
        id = f"reinstated-{number}-{item.reinstated_on:%Y%m%d}"
        self._plan(item.reinstated_on, self._regulator, "registration.reinstated", id, number, told)

    # Plants.

    def _certify_first(self, firm: Firm, site: Site) -> None:
        """The certificate that holds on the first day, and the one that data names if it comes later."""
        gmp = site.gmp
        if gmp.effective_on > self._first_day:
            former = years_later(gmp.effective_on, -GMP_YEARS)
            self._certificate(firm, site, f"{gmp.certificate}-F", FORMER_STANDARD, former)
        self._certificate(firm, site, gmp.certificate, gmp.standard, gmp.effective_on)
        self._plan_next(firm, site, gmp.effective_on)

    def _certify(self, firm: Firm, site: Site, effective_on: date) -> None:
        certificate = f"{site.gmp.certificate}-{effective_on:%Y}"
        self._certificate(firm, site, certificate, site.gmp.standard, effective_on)
        self._plan_next(firm, site, effective_on)

    def _plan_next(self, firm: Firm, site: Site, effective_on: date) -> None:
        due = years_later(effective_on, GMP_YEARS) - timedelta(days=GMP_RENEWED_DAYS)
        self._renewals[due].append(("certificate", (firm, site)))

    def _certificate(self, firm: Firm, site: Site, certificate: str, standard: str, effective_on: date) -> None:
        data = {
            "certificate": certificate,
            "site": site.gln,
            "holder": firm.gln[0],
            "country": firm.country,
            "standard": standard,
            "effective_on": effective_on,
            "expires_on": years_later(effective_on, GMP_YEARS) - timedelta(days=1),
        }
        self._plan(effective_on, self._regulator, "gmp.certified", f"gmp-{certificate}", site.gln, data)

    def _interrupt(self, item: Interruption) -> None:
        firm, number = self._scenario.firm[item.firm], item.interruption
        told: dict[str, Any] = {"interruption": number, "site": item.site, "cause": item.cause}
        told |= {"started_on": item.started_on, "expected_until": item.expected_until}
        self._plan(item.started_on, firm, "interruption.notified", f"notified-{number}", number, told)
        told = {"interruption": number, "resolved_on": item.resolved_on}
        self._plan(item.resolved_on, firm, "interruption.resolved", f"resolved-{number}", number, told)

    # Demand and agreements.

    def _estimate(self, year: int, told_on: date) -> None:
        """The year's demand of every substance and form; of each product where there is no DDD."""
        for market in self._scenario.markets:
            years = (date(year, 7, 1) - self._first_day).days / DAYS_A_YEAR
            yearly = market.demand.yearly * (1 + market.demand.growth) ** years
            if market.demand.unit == "ddd":
                subject = f"{market.substance}/{market.form}"
                about: dict[str, Any] = {"substance": market.substance, "form": market.form}
                self._demand(told_on, subject, year, about, round(yearly), "ddd")
                continue
            for product in market.products:
                packs = round(yearly * product.share_on(date(year, 7, 1)))
                if packs:
                    self._demand(told_on, product.gtin, year, {"gtin": product.gtin}, packs, "packs")

    def _demand(self, day: date, subject: str, year: int, about: dict[str, Any], quantity: int, unit: str) -> None:
        data = {**about, "year": year, "quantity": quantity, "unit": unit}
        self._plan(day, self._regulator, "demand.estimated", f"demand-{subject}-{year}", subject, data)

    def _agree(self, item: Agreement) -> None:
        firm, number = self._scenario.firm[item.recipient], item.agreement
        milestones = [step.model_dump(exclude={"reached_on", "evidence"}) for step in item.milestones]
        for step in milestones:
            if step["owner"]:
                step["owner"] = self._scenario.firm[step["owner"]].gln[0]
        signed = {
            "agreement": number,
            "title": item.title,
            "originator": self._scenario.firm[item.originator].gln[0],
            "recipient": firm.gln[0],
            "signed_on": item.signed_on,
            "products": [product.model_dump() for product in item.products],
            "milestones": milestones,
        }
        self._plan(item.signed_on, firm, "transfer.signed", f"signed-{number}", number, signed)
        for reached in item.milestones:
            if reached.reached_on:
                told = {"agreement": number, "milestone": reached.milestone, "reached_on": reached.reached_on}
                id = f"reached-{number}-{reached.milestone}"
                evidence = {"evidence": reached.evidence}
                self._plan(reached.reached_on, firm, "transfer.reached", id, number, told | evidence)
        for report in item.reports:
            told = {"agreement": number, **report.model_dump(exclude={"reported_on"})}
            id = f"reported-{number}-{report.period_end:%Y%m%d}"
            self._plan(report.reported_on, firm, "transfer.reported", id, number, told)
