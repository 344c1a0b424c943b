"""Reports, renewals, reassessments, recalls and interruptions: each opened, met and cancelled by events, by its day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.supply.facts import Fact
from services.supply.obligations import Obligation
from services.supply.registry import Registry
from services.supply.regulatory import duties
from tests.supply_given import GTIN, MAKER, gtin
from tests.unit.supply_market import fact, granted
from tests.unit.test_supply_registry import RECIPIENT, SIGNED, STRANGER, by

ON = date(2026, 6, 30)
MADE = {MAKER: {int(GTIN)}}  # what the site has made


def told(kind: str, *facts: Fact, on: date = ON) -> list[Obligation]:
    return [item for item in duties(Registry(facts), on, MADE) if item.kind == kind]


def states(found: Iterable[Obligation]) -> dict[str, tuple[str, str | None, str | None]]:
    """By id: state, due day, day on which it was met."""
    return {item.obligation: (item.state, _text(item.due_on), _text(item.met_on)) for item in found}


def _text(day: date | None) -> str | None:
    return None if day is None else str(day)


# Yearly reports.

AGREED = fact("transfer.signed", source=f"urn:gln:{RECIPIENT}", **SIGNED)  # on 1 January 2025


def report(year: int, said: date, gln: str = RECIPIENT) -> Fact:
    time = datetime(said.year, said.month, said.day, 3, tzinfo=UTC)
    period = {"period_start": f"{year}-01-01", "period_end": f"{year}-12-31"}
    return by(gln, "reported", id=f"r{year}", time=time, summary="done", **period)


def test_a_report_is_due_each_year_by_the_end_of_the_january_after_it() -> None:
    assert states(told("transfer_report", AGREED)) == {
        "A-1:report-2025": ("open", "2026-01-31", None),
        "A-1:report-2026": ("open", "2027-01-31", None),
    }


def test_a_report_is_met_on_the_day_it_came() -> None:
    late = report(2025, date(2026, 2, 2))
    assert states(told("transfer_report", AGREED, late))["A-1:report-2025"] == ("met", "2026-01-31", "2026-02-02")
    before = told("transfer_report", AGREED, late, on=date(2026, 2, 1))
    assert states(before)["A-1:report-2025"] == ("open", "2026-01-31", None)


def test_what_a_stranger_reports_meets_nothing() -> None:
    said = report(2025, date(2026, 1, 5), STRANGER)
    assert states(told("transfer_report", AGREED, said))["A-1:report-2025"][0] == "open"


def test_the_end_of_an_agreement_cancels_the_reports_of_the_years_it_did_not_last_through() -> None:
    ended = by(RECIPIENT, "ended", effective_on="2026-03-01", reason="no")
    assert {name: item[0] for name, item in states(told("transfer_report", AGREED, ended)).items()} == {
        "A-1:report-2025": "open",
        "A-1:report-2026": "cancelled",
    }


# Renewals.


def expiring(on: str = "2026-12-31", **more: Any) -> Fact:
    return granted(authorisation="VD-1", granted_on="2022-01-01", expires_on=on, **more)


def of_it(kind: str, **told: Any) -> Fact:
    return fact(f"registration.{kind}", id=kind, authorisation="VD-1", **told)


@pytest.mark.parametrize(("on", "count"), [(date(2025, 12, 30), 0), (date(2025, 12, 31), 1), (date(2027, 6, 1), 1)])
def test_the_window_for_renewal_opens_twelve_months_before_expiry(on: date, count: int) -> None:
    found = told("renewal", expiring(), on=on)
    assert len(found) == count
    assert all(item.state == "open" and item.due_on == date(2026, 12, 31) for item in found)


def test_the_window_of_what_expires_on_leap_day_opens_on_the_last_of_february() -> None:
    expires = expiring("2028-02-29")
    assert [item.opened_on for item in told("renewal", expires, on=date(2027, 2, 27))] == []
    assert [item.opened_on for item in told("renewal", expires, on=date(2027, 2, 28))] == [date(2027, 2, 28)]


def test_filing_meets_it_and_keeps_it_in_use() -> None:
    filed = of_it("renewal_filed", filed_on="2026-05-05")
    assert states(told("renewal", expiring(), filed)) == {
        "VD-1:renewal-2026-12-31": ("met", "2026-12-31", "2026-05-05")
    }
    assert Registry([expiring(), filed]).authorisations(date(2027, 5, 5))[0].valid_on(date(2027, 5, 5))


def test_a_renewal_meets_it_and_opens_the_next_in_time() -> None:
    facts = [
        expiring(),
        of_it("renewal_filed", filed_on="2026-05-05"),
        of_it("renewed", effective_on="2026-06-01", expires_on="2031-12-31"),
    ]
    assert states(told("renewal", *facts)) == {"VD-1:renewal-2026-12-31": ("met", "2026-12-31", "2026-05-05")}
    assert states(told("renewal", *facts, on=date(2031, 1, 1))) == {
        "VD-1:renewal-2026-12-31": ("met", "2026-12-31", "2026-05-05"),
        "VD-1:renewal-2031-12-31": ("open", "2031-12-31", None),
    }


def test_a_lapse_stays_open_until_it_is_revoked_or_replaced() -> None:
    assert [item.state for item in told("renewal", expiring("2026-06-29"))] == ["open"]
    revoked = of_it("revoked", effective_on="2026-06-30", reason="not renewed")
    assert [item.state for item in told("renewal", expiring("2026-06-29"), revoked)] == ["cancelled"]
    another = granted(authorisation="VD-2", granted_on="2026-06-30", expires_on="2031-06-30")
    assert [item.state for item in told("renewal", expiring("2026-06-29"), another)] == ["cancelled"]
    of_another = granted(gtin(9), authorisation="VD-2", granted_on="2026-06-30", expires_on="2031-06-30")
    assert [item.state for item in told("renewal", expiring("2026-06-29"), of_another)] == ["open"]


# Plants.


def certified(id: str, effective_on: str, expires_on: str, **told: Any) -> Fact:
    about = {"certificate": "EU-1", "site": MAKER, "holder": MAKER, "country": "VN", "standard": "EU-GMP"}
    return fact("gmp.certified", id=id, effective_on=effective_on, expires_on=expires_on, **{**about, **told})


def test_a_plant_is_reassessed_before_its_certificate_expires_and_every_three_years() -> None:
    long, short = (
        certified("1", "2024-02-29", "2030-01-01"),
        certified("2", "2025-03-10", "2027-03-09", certificate="P-1", standard="PIC/S-GMP"),
    )
    assert states(told("gmp_reassessment", long, short)) == {
        "EU-1:reassessment-2027-02-28": ("open", "2027-02-28", None),
        "P-1:reassessment-2027-03-09": ("open", "2027-03-09", None),
    }


def test_the_next_certificate_of_the_site_meets_it() -> None:
    facts = [
        certified("1", "2023-06-01", "2026-05-31"),
        certified("2", "2026-05-20", "2029-05-19", certificate="EU-2"),
        certified("3", "2026-05-21", "2029-05-20", site=RECIPIENT, certificate="EU-3"),
    ]
    found = states(told("gmp_reassessment", *facts))
    assert found["EU-1:reassessment-2026-05-31"] == ("met", "2026-05-31", "2026-05-20")
    assert found["EU-2:reassessment-2029-05-19"][0] == "open"


def test_the_same_certificate_renewed_meets_it() -> None:
    facts = [certified("1", "2023-06-01", "2026-05-31"), certified("2", "2026-06-15", "2029-06-14")]
    found = states(told("gmp_reassessment", *facts))
    assert found["EU-1:reassessment-2026-05-31"] == ("met", "2026-05-31", "2026-06-15")


def test_a_withdrawn_certificate_need_not_be_reassessed() -> None:
    withdrawn = fact("gmp.withdrawn", id="w", certificate="EU-1", effective_on="2026-06-30", reason="findings")
    assert [item.state for item in told("gmp_reassessment", certified("1", "2024-06-01", "2027-05-31"), withdrawn)] == [
        "cancelled"
    ]


# Recalls.


def recall(level: int, lot: str | None = "L1") -> Fact:
    about: dict[str, Any] = {"level": level, "recalled_on": "2026-06-01", "reason": "impurity"}
    about |= {} if lot is None else {"lot": lot}
    return fact("batch.recalled", id=f"k{lot}", gtin=GTIN, **about)


def closed(on: str, lot: str | None = "L1") -> Fact:
    about: dict[str, Any] = {"closed_on": on, "recovered": 5}
    about |= {} if lot is None else {"lot": lot}
    return fact("recall.closed", id=f"c{lot}", gtin=GTIN, **about)


@pytest.mark.parametrize(("level", "due"), [(1, "2026-06-04"), (2, "2026-06-16"), (3, "2026-07-01")])
def test_a_recall_is_to_be_completed_within_the_days_of_its_level(level: int, due: str) -> None:
    assert states(told("recall", recall(level))) == {f"{GTIN}/L1:recall-2026-06-01": ("open", due, None)}


@pytest.mark.parametrize(
    ("of", "closing", "state"),
    [
        ("L1", closed("2026-06-03"), "met"),
        ("L1", closed("2026-06-03", None), "met"),
        ("L1", closed("2026-06-03", "L2"), "open"),
        ("L1", closed("2026-05-31"), "open"),
        ("L1", closed("2026-07-01"), "open"),
        (None, closed("2026-06-03", None), "met"),
        (None, closed("2026-06-03"), "open"),
    ],
)
def test_closing_the_recall_of_the_lot_or_of_all_meets_it(of: str | None, closing: Fact, state: str) -> None:
    assert [item.state for item in told("recall", recall(1, of), closing)] == [state]


# Interruptions.


def notified(id: str = "n", **told: Any) -> Fact:
    about = {"interruption": "I-1", "site": MAKER, "cause": "fire", "started_on": "2026-06-01"}
    return fact("interruption.notified", id=id, **{**about, **told})


def test_an_interruption_is_to_end_on_the_day_that_was_told_last() -> None:
    first = notified(expected_until="2026-06-20")
    later = notified("n2", expected_until="2026-07-20", time=datetime(2026, 6, 19, tzinfo=UTC))
    assert states(told("interruption", first)) == {"I-1:expected-end": ("open", "2026-06-20", None)}
    assert states(told("interruption", first, later)) == {"I-1:expected-end": ("open", "2026-07-20", None)}


def test_an_interruption_without_an_expected_end_is_open_without_a_date() -> None:
    assert states(told("interruption", notified())) == {"I-1:expected-end": ("open", None, None)}


def test_resolving_an_interruption_meets_it_and_a_stranger_cannot() -> None:
    resolved: dict[str, Any] = {"interruption": "I-1", "resolved_on": "2026-06-25"}
    found = told("interruption", notified(), fact("interruption.resolved", id="e", **resolved))
    assert states(found) == {"I-1:expected-end": ("met", None, "2026-06-25")}
    stranger = fact("interruption.resolved", id="e", source=f"urn:gln:{STRANGER}", **resolved)
    assert [item.state for item in told("interruption", notified(), stranger)] == ["open"]


def test_each_duty_names_the_events_that_opened_and_ended_it() -> None:
    (item,) = told("recall", recall(1), closed("2026-06-03"))
    assert [id_ for _, id_ in item.events] == ["kL1", "cL1"]


@pytest.mark.parametrize(
    ("told_of", "products"),
    [({}, [f"gtin:{GTIN}"]), ({"site": RECIPIENT}, []), ({"gtin": gtin(7)}, [f"gtin:{gtin(7)}"])],
)
def test_an_interruption_names_the_products_of_its_site_or_its_product(told_of: Any, products: list[str]) -> None:
    (item,) = told("interruption", notified(**told_of))
    assert item.as_json()["products"] == products
