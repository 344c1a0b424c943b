"""What is odd about lots, by table: authorisations, recalls, expiry, counts, parties; and producers who fall silent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.supply.anomalies import Anomaly, LotDay
from services.supply.cross_checks import (
    Product,
    Validity,
    Word,
    odd_products,
    origin_of_number,
    suspects,
    words_of_marks,
)
from services.supply.facts import Fact
from services.supply.lot import LotState
from services.supply.registry import Registry
from services.supply.rhythm import LastWord, Rhythms, anomalies
from services.supply.trade import Introduction, Shipment, Trade
from tests.supply_given import GTIN, MAKER, SOURCE
from tests.unit.supply_market import REGULATOR, fact, granted, lot

ON = date(2026, 6, 30)
MADE_ON = date(2026, 1, 5)
FREE_ON = date(2026, 1, 20)
STRANGER = "9520002000002"
SUBJECT = f"{GTIN}/L1"


def made(name: str = "L1", on: date = MADE_ON, **more: Any) -> Introduction:
    return _introduced(name, "produced", on, more)


def imported(name: str = "L1", on: date = MADE_ON, **more: Any) -> Introduction:
    return _introduced(name, "imported", on, more)


def _introduced(name: str, kind: Any, on: date, more: dict[str, Any]) -> Introduction:
    about = {"firm": MAKER, "site": None, "country": None, "authorisation": None, "basis": "registered"}
    return Introduction(name, kind, on, date(2028, 1, 1), **{**about, "said_by": (SOURCE, f"i-{name}"), **more})


def supplied(name: str = "L1", on: date | None = FREE_ON, **more: Any) -> LotState:
    return lot(name, made=1, supplied_on=on, **more)


def odd(
    *facts: Fact,
    introductions: Iterable[Introduction] = (),
    shipments: Iterable[Shipment] = (),
    lots: Iterable[LotState] = (),
    words: Iterable[Word] = (),
    days: dict[str, list[LotDay]] | None = None,
    on: date = ON,
) -> list[Anomaly]:
    registry = Registry(facts)
    trade = Trade(introductions=list(introductions), shipments=list(shipments))
    said = [*words, *words_of_marks(registry, int(GTIN))]
    return odd_products([Product(int(GTIN), list(lots), trade, said, days or {})], Validity(registry), on)


def kinds(found: Iterable[Anomaly]) -> list[str]:
    return [anomaly.kind for anomaly in found]


# Authorisations.


@pytest.mark.parametrize(
    ("facts", "introduced", "found"),
    [
        ([granted()], made(), []),
        ([], made(), ["unregistered_supply"]),
        ([granted(origin="import")], made(), ["unregistered_supply"]),
        ([granted(origin="import")], imported(), []),
        ([granted()], imported(), ["unregistered_supply"]),
        ([], imported(basis="permit"), []),
        ([], imported(basis="donation"), []),
        ([granted(granted_on="2026-01-20")], made(), []),
        ([granted(granted_on="2026-01-21")], made(), ["unregistered_supply"]),
        ([granted(expires_on="2026-01-20")], made(), []),
    ],
)
def test_supply_needs_an_authorisation_of_its_kind_a_permit_or_a_donation(
    facts: list[Fact], introduced: Introduction, found: list[str]
) -> None:
    assert kinds(odd(*facts, introductions=[introduced], lots=[supplied()])) == found


def test_what_is_suspended_does_not_authorise_supply_and_has_not_ended() -> None:
    suspended = fact("registration.suspended", authorisation=f"VD-{GTIN}", effective_on="2026-01-10", reason="x")
    (found,) = odd(granted(), suspended, introductions=[made(on=date(2026, 1, 12))], lots=[supplied()])
    assert (found.kind, found.subject, found.since) == ("unregistered_supply", SUBJECT, FREE_ON)
    assert [event.id for event in found.events] == ["i-L1"]


def test_what_was_never_supplied_or_will_be_is_not_unregistered() -> None:
    assert odd(introductions=[made()], lots=[supplied(on=None)]) == []
    assert odd(introductions=[made()], lots=[supplied(on=ON + timedelta(days=1))]) == []


def test_lots_made_after_the_end_of_an_authorisation_are_told_of_the_authorisation() -> None:
    ended = granted(authorisation="893110000125", expires_on="2026-01-04")
    lots = [made(authorisation="893110000125"), made("L2", date(2026, 1, 4), authorisation="893110000125")]
    (found,) = odd(ended, introductions=lots)
    assert (found.kind, found.subject, found.since) == ("lapsed_authorisation", "893110000125", MADE_ON)
    assert [event.id for event in found.events] == ["i-L1"]


@pytest.mark.parametrize("named", ["VD-1", None])
def test_a_revoked_authorisation_has_ended_too(named: str | None) -> None:
    revoked = fact("registration.revoked", authorisation="VD-1", effective_on="2026-01-05", reason="x")
    found = odd(granted(authorisation="VD-1"), revoked, introductions=[made(authorisation=named)])
    assert kinds(found) == ["lapsed_authorisation"]


def test_a_filed_renewal_keeps_it_in_use() -> None:
    ended = granted(authorisation="VD-1", expires_on="2026-01-04")
    filed = fact("registration.renewal_filed", authorisation="VD-1", filed_on="2025-12-01")
    assert odd(ended, filed, introductions=[made(authorisation="VD-1")], lots=[supplied()]) == []


@pytest.mark.parametrize(
    ("number", "origin"),
    [
        ("VD-12345-20", "domestic"),
        ("VN-12345-20", "import"),
        ("893110123425", "domestic"),
        ("890110123425", "import"),
        ("89311012342", None),
        ("8931101234255", None),
        ("QLSP-123", None),
    ],
)
def test_the_form_of_a_number_tells_where_a_medicine_is_made(number: str, origin: str | None) -> None:
    assert origin_of_number(number) == origin


@pytest.mark.parametrize(
    ("introduced", "found"),
    [
        (imported(authorisation="893110123425"), ["origin_contradicts_authorisation"]),
        (imported(authorisation="890110123425"), []),
        (made(authorisation="VN-1-20"), ["origin_contradicts_authorisation"]),
        (made(authorisation="VD-1-20"), []),
        (made(authorisation="OTHER"), ["origin_contradicts_authorisation"]),  # the registry says: import
        (made(), []),
    ],
)
def test_a_lot_under_a_number_of_the_other_origin_is_told(introduced: Introduction, found: list[str]) -> None:
    registered = granted(authorisation="OTHER", origin="import")
    assert kinds(odd(registered, introductions=[introduced])) == found


# Shipments.


def shipped(on: str, name: str = "L1") -> Shipment:
    return Shipment(name, date.fromisoformat(on), 5, "LA", None, (SOURCE, f"s-{on}"))


RECALL: dict[str, Any] = {"gtin": GTIN, "level": 1, "recalled_on": "2026-03-03", "reason": "x", "id": "k"}


@pytest.mark.parametrize(
    ("on", "recall", "found"),
    [
        ("2026-03-02", {"lot": "L1"}, []),
        ("2026-03-03", {"lot": "L1"}, []),
        ("2026-03-04", {"lot": "L1"}, ["shipped_after_recall"]),
        ("2026-03-04", {"lot": "L2"}, []),
        ("2026-03-04", {}, ["shipped_after_recall"]),
    ],
)
def test_what_is_shipped_later_than_its_recall_is_told(on: str, recall: dict[str, Any], found: list[str]) -> None:
    told = odd(granted(), fact("batch.recalled", **RECALL, **recall), shipments=[shipped(on)], lots=[supplied()])
    assert kinds(told) == found
    assert all([event.id for event in item.events] == [f"s-{on}", "k"] for item in told)


@pytest.mark.parametrize(("on", "found"), [("2026-05-05", []), ("2026-05-06", ["shipped_after_expiry"])])
def test_what_is_shipped_later_than_its_last_day_is_told(on: str, found: list[str]) -> None:
    lots = [supplied(expires_on=date(2026, 5, 5))]
    assert kinds(odd(granted(), shipments=[shipped(on)], lots=lots)) == found


# Counts.


def counted(quantity: int, on: str, covers: str = "national", holder: str = MAKER, **more: Any) -> Fact:
    about: dict[str, Any] = {
        "gtin": GTIN,
        "lot": "L1",
        "quantity": quantity,
        "counted_on": on,
        "covers": covers,
        "holder": holder,
    }
    return fact("stock.counted", id=f"{holder}-{on}-{quantity}", **about, **more)


BOOK = [LotDay(date(2026, 2, 1), 100, 0, 0, 0), LotDay(date(2026, 4, 1), -30, 0, 0, 0)]


def mismatches(*facts: Fact) -> list[Anomaly]:
    return odd(granted(), *facts, introductions=[made()], days={"L1": BOOK})


@pytest.mark.parametrize(
    ("facts", "since"),
    [
        ([counted(100, "2026-03-31")], None),
        ([counted(100, "2026-04-01")], "2026-04-01"),
        ([counted(70, "2026-04-01")], None),
        ([counted(71, "2026-04-01")], "2026-04-01"),
        ([counted(69, "2026-04-01")], "2026-04-01"),
        ([counted(1, "2026-03-31"), counted(70, "2026-04-01")], None),  # the newest counts
        ([counted(1, "2026-04-01", source=f"urn:gln:{STRANGER}")], None),  # not its introducer
        ([counted(1, "2026-04-01", source=f"urn:gln:{REGULATOR}")], "2026-04-01"),
        ([counted(0, "2026-01-31")], None),  # nothing yet
        ([counted(60, "2026-03-01", "holder"), counted(50, "2026-03-02", "holder", STRANGER)], "2026-03-02"),
        ([counted(60, "2026-03-01", "holder"), counted(40, "2026-03-02", "holder", STRANGER)], None),
        ([counted(90, "2026-03-01", "holder"), counted(70, "2026-05-01", "holder")], None),
        ([counted(1, "2026-07-01")], None),  # not yet
    ],
)
def test_a_count_that_the_book_does_not_agree_with_is_told(facts: list[Fact], since: str | None) -> None:
    found = mismatches(*facts)
    assert [item.since.isoformat() for item in found if item.kind == "count_mismatch"] == ([since] if since else [])


# Parties.


def word(gln: str, **more: Any) -> Word:
    return Word("L1", date(2026, 2, 2), (f"urn:gln:{gln}", "w"), **more)


@pytest.mark.parametrize(
    ("told", "facts", "found"),
    [
        (word(MAKER), [granted()], []),
        (word(STRANGER), [granted()], ["foreign_party"]),
        (word(STRANGER), [granted(holder=STRANGER)], []),
        (word(STRANGER), [granted(manufacturer=STRANGER)], []),
        (word(STRANGER, by_regulator=True), [granted()], []),
    ],
)
def test_the_word_of_a_firm_without_a_part_in_the_lot_is_told(told: Word, facts: list[Fact], found: list[str]) -> None:
    assert kinds(odd(*facts, introductions=[made()], words=[told])) == found
    speakers = {(int(GTIN), "L1"): {told.said_by[0]}}
    suspected = suspects(speakers, {int(GTIN): Trade(introductions=[made()])}, Validity(Registry(facts)), ON)
    assert bool(suspected) is (bool(found) or told.by_regulator)


def test_until_a_lot_is_introduced_nobody_is_foreign() -> None:
    assert odd(granted(), words=[word(STRANGER)]) == []


def test_the_recall_of_anothers_lot_is_told() -> None:
    recall = fact("batch.recalled", **RECALL, lot="L1", source=f"urn:gln:{STRANGER}")
    (found,) = odd(granted(), recall, introductions=[made()])
    assert (found.kind, found.since, [event.id for event in found.events]) == ("foreign_party", date(2026, 3, 3), ["k"])


# Silence.


def spoken(*days: date, source: str = SOURCE) -> Rhythms:
    rhythms = Rhythms()
    for number, day in enumerate(days):
        noon = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
        rhythms.take([(source, day, LastWord(int(noon.timestamp()) * 10**6, (1, 0, number)))])
    return rhythms


def weekly(count: int, last: date = MADE_ON) -> list[date]:
    return [last - timedelta(days=7 * number) for number in range(count)]


@pytest.mark.parametrize(("days", "silent"), [(14, False), (15, True)])
def test_who_speaks_weekly_is_silent_after_two_weeks_and_a_day(days: int, silent: bool) -> None:
    on = MADE_ON + timedelta(days=days)
    assert bool(spoken(*weekly(12)).silent(on)) is silent


def test_silence_begins_after_what_the_rhythm_allows() -> None:
    found = spoken(*weekly(12)).silent(ON)
    (told,) = anomalies(found, {(1, 0, 0): (SOURCE, "last")})
    assert (told.kind, told.subject, told.since) == ("producer_silent", SOURCE.replace(":", "%3A"), date(2026, 1, 20))
    assert [event.id for event in told.events] == ["last"]


def test_who_spoke_on_few_days_has_no_rhythm() -> None:
    assert spoken(*weekly(9)).silent(ON) == {}


def test_only_the_gaps_of_the_last_year_count() -> None:
    long_ago = [day - timedelta(days=900) for day in weekly(10)]
    assert spoken(*long_ago, *weekly(12)).silent(MADE_ON + timedelta(days=15)) != {}


def test_who_speaks_daily_may_rest_for_a_week() -> None:
    daily = [MADE_ON - timedelta(days=number) for number in range(30)]
    assert spoken(*daily).silent(MADE_ON + timedelta(days=7)) == {}
    assert spoken(*daily).silent(MADE_ON + timedelta(days=8)) != {}


def test_silence_ends_with_the_next_word() -> None:
    rhythms = spoken(*weekly(12), date(2026, 6, 1))
    assert rhythms.silent(date(2026, 5, 31)) != {}
    assert rhythms.silent(date(2026, 6, 1)) == {}
    assert rhythms.spoke_again(SOURCE, date(2026, 1, 20)) == date(2026, 6, 1)
