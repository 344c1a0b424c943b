"""What is registered, priced and agreed on a day, in whatever order the facts came."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.supply.facts import Fact
from services.supply.registry import Authorisation, Registry
from services.supply.registry_json import product_json
from tests.supply_given import GTIN, MAKER, SOURCE, gtin
from tests.unit.supply_market import EARLY, REGULATOR, fact, granted, price

LATER = EARLY + timedelta(hours=1)
ABOUT = f"VD-{GTIN}"
GRANT = granted()


def on_day(day: str, *facts: Fact) -> Authorisation:
    """The one authorisation on `day`, alike for every order of the facts."""
    seen = [Registry(order).authorisations(date.fromisoformat(day)) for order in permutations((GRANT, *facts))]
    assert all(found == seen[0] for found in seen)
    (held,) = seen[0]
    return held


def valid(day: str, *facts: Fact) -> bool:
    return on_day(day, *facts).valid_on(date.fromisoformat(day))


def varied(on: str = "2025-01-01", **told: Any) -> Fact:
    return fact("registration.varied", authorisation=ABOUT, effective_on=on, **told)


def status(kind: str, on: str, **head: Any) -> Fact:
    return fact(f"registration.{kind}", authorisation=ABOUT, effective_on=on, reason="inspection", **head)


def prices(*facts: Fact, day: str = "2026-06-01") -> int | None:
    found = {Registry(order).price_on(int(GTIN), date.fromisoformat(day)) for order in permutations(facts)}
    (held,) = found
    return held


@pytest.mark.parametrize(
    "greater",
    [
        {"time": LATER, "source": "urn:gln:9520000000004", "id": "0"},
        {"time": EARLY, "source": "urn:gln:9520000000011", "id": "0"},
        {"time": EARLY, "source": "urn:gln:9520000000004", "id": "2"},
    ],
)
def test_of_facts_with_one_key_and_day_the_greatest_time_source_and_id_holds(greater: dict[str, Any]) -> None:
    assert prices(price(100, "2026-01-01", id="1"), price(200, "2026-01-01", **greater)) == 200


def test_the_price_of_a_day_is_the_last_that_took_effect() -> None:
    assert prices(price(100, "2026-01-01", time=LATER), price(200, "2026-06-01"), price(300, "2026-06-02")) == 200
    assert prices(price(100, "2026-01-01"), day="2025-12-31") is None


def test_an_authorisation_is_there_from_the_day_it_was_granted() -> None:
    assert Registry([GRANT]).authorisations(date(2023, 12, 31)) == []
    assert valid("2024-01-01")


def test_an_authorisation_holds_through_its_last_day() -> None:
    assert valid("2029-01-01")
    assert not valid("2029-01-02")


def test_a_renewal_moves_the_end() -> None:
    renewed = fact("registration.renewed", authorisation=ABOUT, effective_on="2028-06-01", expires_on="2034-01-01")
    assert valid("2033-12-31", renewed)
    assert not valid("2034-01-02", renewed)


@pytest.mark.parametrize(("filed_on", "in_use"), [("2028-12-31", True), ("2029-01-01", True), ("2029-01-02", False)])
def test_a_renewal_filed_in_time_keeps_it_in_use(filed_on: str, in_use: bool) -> None:
    filed = fact("registration.renewal_filed", authorisation=ABOUT, filed_on=filed_on)
    assert valid("2029-06-01", filed) is in_use


def test_a_suspension_holds_until_it_is_lifted() -> None:
    facts = status("suspended", "2025-03-01"), status("reinstated", "2025-09-01")
    assert [valid(day, *facts) for day in ("2025-02-28", "2025-03-01", "2025-08-31", "2025-09-01")] == [
        *(True, False),
        *(False, True),
    ]


def test_a_suspension_and_its_lifting_on_one_day_follow_the_time_they_were_said() -> None:
    assert valid("2025-03-01", status("suspended", "2025-03-01"), status("reinstated", "2025-03-01", time=LATER))
    assert not valid("2025-03-01", status("suspended", "2025-03-01", time=LATER), status("reinstated", "2025-03-01"))


def test_what_was_revoked_is_not_reinstated() -> None:
    assert not valid("2026-01-01", status("revoked", "2025-03-01"), status("reinstated", "2025-09-01"))


def test_a_variation_changes_what_it_names_from_its_day_on() -> None:
    change = varied(holder="9520000000011", local_step="packaging")
    before, after = on_day("2024-12-31", change), on_day("2025-01-01", change)
    assert (before.holder, before.local_step) == (MAKER, None)
    assert (after.holder, after.local_step, after.expires_on) == ("9520000000011", "packaging", before.expires_on)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin", "import"),
        ("manufacturer", "9520000000011"),
        ("agreement", "A-1"),
        ("expires_on", "2031-01-01"),
        ("granted_on", "2024-02-01"),
    ],
)
def test_every_field_of_a_grant_can_be_varied(name: str, value: str) -> None:
    assert str(getattr(on_day("2025-01-01", varied(**{name: value})), name)) == value


def test_a_pack_that_was_varied_gives_its_new_daily_doses() -> None:
    change = varied(packs=[{"gtin": GTIN, "pack_size": 60, "ddd_per_pack": "4"}])
    packings = Registry([GRANT, change]).packings(date(2025, 1, 1))
    assert (packings[int(GTIN)].pack_size, str(packings[int(GTIN)].ddd_per_pack)) == (60, "4")


def test_the_authorisation_granted_last_describes_a_pack() -> None:
    imported = granted(authorisation="VN-1", origin="import", granted_on="2025-05-05")
    for facts in permutations((GRANT, imported)):
        assert Registry(facts).packings(date(2025, 6, 1))[int(GTIN)].origin == "import"
        assert Registry(facts).packings(date(2025, 5, 4))[int(GTIN)].origin == "domestic"


def test_a_product_comes_with_the_events_that_make_it_what_it_is() -> None:
    facts = [varied(id="2", local_step="full"), price(1, "2024-06-01", id="3"), price(2, "2026-01-01", id="4")]
    registry = Registry([GRANT, *facts, price(3, "2026-02-01", id="5"), granted(gtin(2), id="6")])
    packing = registry.packings(date(2026, 1, 1))[int(GTIN)]
    told = product_json(packing, registry, date(2026, 1, 1))
    assert (told["price"], told["events"]) == (2, [{"source": SOURCE, "id": id} for id in ("1", "2", "4")])


RECIPIENT, ORIGINATOR, STRANGER = "9520000000011", "9520000000028", "9520000000035"
SIGNED: dict[str, Any] = {
    "agreement": "A-1",
    "title": "Transfer",
    "originator": ORIGINATOR,
    "recipient": RECIPIENT,
    "signed_on": "2025-01-01",
    "products": [{"name": "Med", "substance": "metformin"}],
    "milestones": [{"milestone": "first", "title": "First batch", "due_on": "2025-12-31"}],
}


def by(gln: str, kind: str, **told: Any) -> Fact:
    return fact(f"transfer.{kind}", source=f"urn:gln:{gln}", agreement="A-1", **told)


def agreement(day: str, *facts: Fact) -> Any:
    told = (fact("transfer.signed", source=f"urn:gln:{RECIPIENT}", **SIGNED), *facts)
    seen = [Registry(order).agreements(date.fromisoformat(day)) for order in permutations(told)]
    assert all(found == seen[0] for found in seen)
    (held,) = seen[0]
    return held


@pytest.mark.parametrize(
    ("gln", "counts"), [(RECIPIENT, True), (ORIGINATOR, True), (REGULATOR, True), (STRANGER, False)]
)
def test_only_a_party_or_a_regulator_changes_an_agreement(gln: str, counts: bool) -> None:
    held = agreement(
        "2025-06-30",
        by(gln, "amended", effective_on="2025-02-01", title="Amended"),
        by(gln, "reached", milestone="first", reached_on="2025-03-01"),
        by(gln, "ended", effective_on="2025-04-01", reason="done"),
    )
    assert (held.title == "Amended", bool(held.reached), held.ended_on is not None) == (counts,) * 3


def test_an_amendment_may_move_the_day_of_signing() -> None:
    held = agreement("2025-06-30", by(RECIPIENT, "amended", effective_on="2025-02-01", signed_on="2024-12-24"))
    assert held.signed_on == date(2024, 12, 24)


def test_a_new_party_speaks_from_the_amendment_on() -> None:
    joined = by(RECIPIENT, "amended", effective_on="2025-02-01", originator=STRANGER)
    reached = by(STRANGER, "reached", milestone="first", reached_on="2025-03-01")
    assert agreement("2025-06-30", joined, reached).reached == {"first": date(2025, 3, 1)}


def test_a_milestone_was_reached_on_the_first_day_told() -> None:
    facts = [by(RECIPIENT, "reached", milestone="first", reached_on=day) for day in ("2025-05-01", "2025-03-01")]
    assert agreement("2025-06-30", *facts).reached == {"first": date(2025, 3, 1)}
