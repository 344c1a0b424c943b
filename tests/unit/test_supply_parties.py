"""Whose word on an agreement or an interruption counts: a party's as it is on the day, in whatever order it came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.supply.agreements import Agreement
from services.supply.facts import Fact
from services.supply.registry import Registry
from tests.unit.supply_market import EARLY, REGULATOR, fact
from tests.unit.test_supply_registry import ORIGINATOR, RECIPIENT, SIGNED, STRANGER

LATER = EARLY + timedelta(hours=1)
HEAD_OFFICE, SUCCESSOR, SITE = "9520000000042", "9520000000059", "9520000000066"
END = date(2025, 12, 31)


def said(kind: str, gln: str, id: str, **told: Any) -> Fact:
    return fact(f"transfer.{kind}", source=f"urn:gln:{gln}", id=id, **{"agreement": "A-1", **told})


def signed(gln: str = RECIPIENT, id: str = "signed", **told: Any) -> Fact:
    return said("signed", gln, id, **{**SIGNED, **told})


def amended(gln: str, id: str = "amended", on: str = "2025-02-01", **told: Any) -> Fact:
    return said("amended", gln, id, effective_on=on, **told)


def reached(gln: str, id: str = "reached", on: str = "2025-03-01", **told: Any) -> Fact:
    return said("reached", gln, id, milestone="first", reached_on=on, **told)


def ended(gln: str, id: str = "ended", on: str = "2025-04-01", **told: Any) -> Fact:
    return said("ended", gln, id, effective_on=on, reason="over", **told)


def heard(*facts: Fact) -> tuple[Agreement, set[str]]:
    """The one agreement and the ids of what strangers said, alike for every order of the facts."""
    found = [Registry(order) for order in permutations(facts)]
    seen = [(registry.agreements(END), registry.strangers) for registry in found]
    assert all(item == seen[0] for item in seen)
    (held,) = seen[0][0]
    return held, {id for _, id in seen[0][1]}


def test_what_a_stranger_says_later_the_same_day_does_not_displace_what_a_party_said() -> None:
    held, strangers = heard(
        signed(), reached(RECIPIENT), ended(ORIGINATOR), reached(STRANGER, "r", time=LATER), ended(STRANGER, "e")
    )
    assert (held.reached, held.ended_on) == ({"first": date(2025, 3, 1)}, date(2025, 4, 1))
    assert (strangers, [item.id for item in held.events]) == ({"r", "e"}, ["signed", "reached", "ended"])


def test_a_stranger_cannot_sign_somebody_elses_agreement_anew() -> None:
    hijack = signed(STRANGER, "hijack", originator=STRANGER, recipient=STRANGER, signed_on="2025-01-02", title="Mine")
    same_day = signed(STRANGER, "hijack", recipient=STRANGER, title="Mine", time=LATER)
    for facts in ((hijack, reached(RECIPIENT)), (same_day, reached(RECIPIENT))):
        held, strangers = heard(signed(), *facts)
        assert (held.title, held.recipient, bool(held.reached), strangers) == ("Transfer", RECIPIENT, True, {"hijack"})


@pytest.mark.parametrize("gln", [RECIPIENT, ORIGINATOR, REGULATOR])
def test_a_party_or_a_regulator_may_sign_it_anew_also_after_its_end(gln: str) -> None:
    again = signed(gln, "again", signed_on="2025-06-01", title="Renewed")
    held, strangers = heard(signed(), reached(RECIPIENT), ended(RECIPIENT), again)
    assert (held.title, held.signed_on, held.ended_on) == ("Renewed", date(2025, 6, 1), None)
    assert (held.reached, strangers) == ({"first": date(2025, 3, 1)}, set())


def test_whoever_signed_for_the_recipient_is_a_party_too() -> None:
    held, strangers = heard(signed(HEAD_OFFICE), reached(HEAD_OFFICE), ended(RECIPIENT))
    assert (bool(held.reached), held.ended_on is not None, strangers) == (True, True, set())


def test_whoever_signed_for_a_former_recipient_is_a_party_no_more() -> None:
    left = amended(HEAD_OFFICE, recipient=SUCCESSOR)
    held, strangers = heard(signed(HEAD_OFFICE), left, reached(HEAD_OFFICE), ended(SUCCESSOR))
    assert (held.reached, held.ended_on is not None, strangers) == ({}, True, {"reached"})


def test_a_regulator_who_restates_an_agreement_takes_the_voice_of_nobody() -> None:
    restated = signed(REGULATOR, "restated", signed_on="2025-02-01", title="Restated")
    held, strangers = heard(signed(HEAD_OFFICE), restated, reached(HEAD_OFFICE))
    assert (held.title, bool(held.reached), strangers) == ("Restated", True, set())


def test_what_a_party_said_before_it_was_replaced_still_counts_and_nothing_after() -> None:
    replaced = amended(RECIPIENT, on="2025-03-15", recipient=SUCCESSOR)
    held, strangers = heard(signed(), reached(RECIPIENT), replaced, ended(RECIPIENT))
    assert (bool(held.reached), held.ended_on, strangers) == (True, None, {"ended"})


def test_of_two_amendments_of_one_day_the_later_one_names_the_parties() -> None:
    """What the later one takes back was never said: not even whoever the earlier one named is a party that day."""
    first = amended(RECIPIENT, "first", originator=STRANGER)
    last = amended(RECIPIENT, "last", title="Amended", time=LATER)
    by_named = reached(STRANGER, on="2025-02-01", time=LATER + timedelta(hours=1))
    held, strangers = heard(signed(), first, last, by_named)
    assert (held.originator, held.title, held.reached, strangers) == (ORIGINATOR, "Amended", {}, {"reached"})


def test_what_was_said_of_the_time_before_the_signing_is_judged_by_who_signed() -> None:
    held, strangers = heard(
        signed(), reached(ORIGINATOR, on="2024-12-01"), reached(STRANGER, "stranger", on="2024-11-01")
    )
    assert (held.reached, strangers) == ({"first": date(2024, 12, 1)}, {"stranger"})


def test_of_an_agreement_that_nobody_signed_nobody_is_a_stranger() -> None:
    assert Registry([reached(STRANGER)]).strangers == frozenset()


def interruption(kind: str, gln: str, id: str, **told: Any) -> Fact:
    days = {"notified": {"cause": "fire", "started_on": "2025-01-01"}, "resolved": {"resolved_on": "2025-02-01"}}
    about: dict[str, Any] = {"interruption": "I-1", **days[kind], **told}
    return fact(f"interruption.{kind}", source=f"urn:gln:{gln}", id=id, **about)


@pytest.mark.parametrize(("gln", "counts"), [(RECIPIENT, True), (SITE, True), (REGULATOR, True), (STRANGER, False)])
def test_only_who_notified_an_interruption_its_site_and_a_regulator_speak_of_it(gln: str, counts: bool) -> None:
    notified = interruption("notified", RECIPIENT, "n", site=SITE)
    again = interruption("notified", gln, "again", cause="flood", started_on="2025-01-02")
    for order in permutations((notified, again, interruption("resolved", gln, "r"))):
        assert {id for _, id in Registry(order).strangers} == (set() if counts else {"again", "r"})


def test_who_notified_first_stays_a_party_after_a_regulator_notified_anew() -> None:
    facts = interruption("notified", RECIPIENT, "n"), interruption("notified", REGULATOR, "m", started_on="2025-01-02")
    assert Registry([*facts, interruption("resolved", RECIPIENT, "r")]).strangers == frozenset()


FIRMS = (RECIPIENT, ORIGINATOR, HEAD_OFFICE, SUCCESSOR, REGULATOR)
DAYS = st.sampled_from(["2024-12-31", "2025-01-01", "2025-01-02", "2025-02-01"])
KINDS = {"signed": "signed_on", "amended": "effective_on", "reached": "reached_on", "ended": "effective_on"}


@st.composite
def facts_of(draw: st.DrawFn, glns: Sequence[str], at_most: int, prefix: str) -> list[Fact]:
    found = []
    for number in range(draw(st.integers(0, at_most))):
        kind, gln = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(glns))
        told: dict[str, Any] = {KINDS[kind]: draw(DAYS), "time": EARLY + timedelta(hours=draw(st.integers(0, 2)))}
        if kind in ("signed", "amended"):
            told |= {part: draw(st.sampled_from(FIRMS[:4])) for part in ("originator", "recipient")}
        more = {"signed": {**SIGNED, "title": str(number)}, "reached": {"milestone": "first"}, "ended": {"reason": "x"}}
        found.append(said(kind, gln, f"{prefix}{number}", **{**more.get(kind, {}), **told}))
    return found


@settings(max_examples=400, deadline=None)
@given(facts_of(FIRMS, 6, "p"), facts_of((STRANGER,), 4, "s"), st.randoms(use_true_random=False))
def test_whatever_strangers_say_in_whatever_order_an_agreement_is_what_its_parties_make_of_it(
    by_firms: list[Fact], by_strangers: list[Fact], drawn: Any
) -> None:
    founding = signed(signed_on="2024-12-01")
    shuffled = [founding, *by_firms, *by_strangers]
    drawn.shuffle(shuffled)
    alone, together = Registry([founding, *by_firms]), Registry(shuffled)
    for day in (date(2024, 12, 31), date(2025, 1, 1), END):
        assert together.agreements(day) == alone.agreements(day)
    assert together.strangers == alone.strangers | {(item.source, item.id) for item in by_strangers}
