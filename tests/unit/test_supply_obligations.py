"""Milestones of agreements: open, met by what was said or by what the ledger shows, cancelled."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest

from services.supply.facts import Fact
from services.supply.goals import Goal
from services.supply.kept import Kept, by_product
from services.supply.lot import LotState
from services.supply.measure import Ledger, picture, windows_of
from services.supply.obligations import Obligation
from services.supply.registry import Registry
from tests.supply_given import GTIN, gtin
from tests.unit.supply_market import ON, REGULATOR, STEPS, fact, granted, lot
from tests.unit.test_supply_registry import ORIGINATOR, RECIPIENT, SIGNED, STRANGER, by

GOALS: list[Goal] = []
DUE = date(2025, 12, 31)


def signed(met_by: str | None = None, **told: Any) -> Fact:
    milestone = {"milestone": "first", "title": "First batch", "due_on": DUE.isoformat(), "met_by": met_by}
    products = [{"name": "Med", "substance": "metformin", "gtins": [GTIN]}]
    about = {**SIGNED, "products": products, "milestones": [milestone], **told}
    return fact("transfer.signed", source=f"urn:gln:{RECIPIENT}", **about)


def obligation(
    *facts: Fact, lots: Iterable[LotState] = (), exported_on: dict[tuple[int, str], date] | None = None, on: date = ON
) -> Obligation:
    """The one milestone that there is."""
    ledger = Ledger(on, by_product(lots), {}, exported_on or {}, Registry(facts))
    drawn = picture(ledger, GOALS, {}, Kept(STEPS, windows_of(GOALS)))
    (found,) = [item for item in drawn.obligations if item.kind == "milestone"]
    return found


def made(name: str = "L1", *, on: date = date(2025, 5, 5), released_on: date | None = None) -> LotState:
    found = lot(name, made=1, supplied_on=released_on)
    found.introduced_on = on
    return found


def test_a_milestone_is_open_with_its_day_until_something_meets_it() -> None:
    found = obligation(signed())
    assert (found.obligation, found.kind, found.subject) == ("A-1:first", "milestone", "A-1")
    assert found.title == "Transfer: First batch"
    assert (found.due_on, found.state, found.met_on) == (DUE, "open", None)


@pytest.mark.parametrize("gln", [RECIPIENT, ORIGINATOR, REGULATOR])
def test_a_party_or_a_regulator_says_that_it_was_reached(gln: str) -> None:
    found = obligation(signed(), by(gln, "reached", milestone="first", reached_on="2026-01-05"))
    assert (found.state, found.met_on) == ("met", date(2026, 1, 5))


def test_what_a_stranger_says_has_no_effect() -> None:
    said = by(STRANGER, "reached", milestone="first", reached_on="2025-03-01")
    ended = by(STRANGER, "ended", effective_on="2025-04-01", reason="no")
    assert obligation(signed(), said, ended).state == "open"


def test_what_was_reached_of_another_milestone_does_not_meet_it() -> None:
    assert obligation(signed(), by(RECIPIENT, "reached", milestone="second", reached_on="2025-03-01")).state == "open"


def test_an_ended_agreement_cancels_what_was_not_met() -> None:
    ended = by(RECIPIENT, "ended", effective_on="2025-04-01", reason="no")
    assert obligation(signed(), ended).state == "cancelled"
    reached = by(RECIPIENT, "reached", milestone="first", reached_on="2025-03-01")
    assert obligation(signed(), ended, reached).state == "met"


def test_what_lies_in_the_future_is_not_there_yet() -> None:
    ended = by(RECIPIENT, "ended", effective_on="2026-07-01", reason="no")
    assert obligation(signed(), ended).state == "open"


RELEASED = made(released_on=date(2025, 6, 6))
EXPORT = {(int(GTIN), "L1"): date(2025, 7, 7)}


@pytest.mark.parametrize(
    ("met_by", "met_on"),
    [
        ("first_produced", date(2025, 5, 5)),
        ("first_registered", date(2025, 2, 2)),
        ("first_released", date(2025, 6, 6)),
        ("first_exported", date(2025, 7, 7)),
    ],
)
def test_the_ledger_itself_meets_a_milestone(met_by: str, met_on: date) -> None:
    facts = signed(met_by), granted(granted_on="2025-02-02")
    found = obligation(*facts, lots=[RELEASED, made("L2", on=date(2025, 8, 8))], exported_on=EXPORT)
    assert (found.state, found.met_on) == ("met", met_on)


def test_the_earlier_of_what_was_said_and_what_the_ledger_shows_is_its_day() -> None:
    said = by(RECIPIENT, "reached", milestone="first", reached_on="2025-06-07")
    assert obligation(signed("first_released"), said, lots=[RELEASED]).met_on == date(2025, 6, 6)


def test_without_evidence_it_stays_open() -> None:
    assert obligation(signed("first_released"), lots=[made()]).state == "open"


@pytest.mark.parametrize(
    "lots",
    [
        [lot(imported=1, supplied_on=date(2025, 6, 6))],
        [made(on=date(2024, 12, 31))],
        [made(on=date(2026, 7, 1))],
    ],
    ids=["imported", "before the agreement", "in the future"],
)
def test_what_was_not_made_here_under_it_is_no_evidence(lots: list[LotState]) -> None:
    assert obligation(signed("first_produced"), lots=lots).state == "open"


def test_another_product_is_no_evidence() -> None:
    elsewhere = made()
    elsewhere.gtin = int(gtin(7))
    assert obligation(signed("first_produced"), lots=[elsewhere]).state == "open"


def test_a_product_registered_under_the_agreement_is_evidence() -> None:
    elsewhere = made()
    elsewhere.gtin = int(gtin(7))
    found = obligation(signed("first_produced"), granted(gtin(7), agreement="A-1"), lots=[elsewhere])
    assert found.state == "met"


def test_an_import_registration_does_not_register_it_here() -> None:
    facts = signed("first_registered"), granted(origin="import", granted_on="2025-02-02")
    assert obligation(*facts).state == "open"


def test_what_was_only_packed_here_is_no_evidence_of_production_here() -> None:
    packed = granted(local_step="packaging")
    assert obligation(signed("first_produced"), packed, lots=[made()]).state == "open"
    assert obligation(signed("first_produced"), granted(local_step="full"), lots=[made()]).state == "met"
