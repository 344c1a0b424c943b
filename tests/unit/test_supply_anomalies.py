"""A book that disagrees with itself is kept and shown, and what is odd about it ends when the missing event comes."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from random import Random
from typing import Any

from services.supply.anomalies import Anomaly, LotDay, ends_on, lot_of, lot_subject, of_lot
from services.supply.lot import LotState
from services.supply.places import NAMES
from services.supply.told_api import First
from tests.reference import JSON
from tests.supply_given import GTIN, correction, event
from tests.unit.supply_ledger import DictLedger, ledger

DAY = date(2026, 6, 30)
MADE = event("batch.produced", "p", quantity=100)
RELEASED = event("batch.released", "r", quantity=100)
SHIPPED = event("export.shipped", "s", quantity=40)
RECEIVED = event("import.received", "i", quantity=5)


def days_of(found: DictLedger) -> list[LotDay]:
    """What took effect of the lot, by day."""
    net: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (_, _, day, debit, credit), packs in found.net_flows().items():
        net[date.fromisoformat(day)][debit] -= packs
        net[date.fromisoformat(day)][credit] += packs
    return [
        LotDay(on, moved["available"], moved["quarantine"], -moved["produced"], -moved["imported"])
        for on, moved in sorted(net.items())
    ]


def anomalies(*events: JSON, on: date = DAY) -> list[Anomaly]:
    """Those of the lot on a day after these events, each in a batch of its own."""
    found = ledger(events, range(len(events)))
    places: dict[str, int] = defaultdict(int)
    for (_, _, day, debit, credit), packs in found.net_flows().items():
        if day <= on.isoformat():
            places[debit] -= packs
            places[credit] += packs
    facts: dict[str, Any] = found.facts()[GTIN, "L1"]
    packs_of = (0, *(places.get(name, 0) for name in NAMES))
    state = LotState(int(GTIN), "L1", packs_of, facts["produced"], facts["imported"], None, None, None)
    return of_lot(state, days_of(found), on)


def odd(*events: JSON) -> list[str]:
    return [anomaly.kind for anomaly in anomalies(*events)]


def test_what_was_shipped_before_it_was_released_overdraws_the_lot_until_the_release_comes() -> None:
    assert odd(SHIPPED) == ["overdrawn_lot"]
    assert odd(SHIPPED, RELEASED) == ["quarantine_overdrawn"]
    assert odd(SHIPPED, RELEASED, MADE) == []


def test_more_destroyed_in_quarantine_than_is_there_overdraws_it_until_corrected() -> None:
    destroyed = event("batch.destroyed", "d", quantity=101, from_="quarantine")
    less = event("batch.destroyed", "", quantity=1, from_="quarantine")
    assert odd(MADE, destroyed) == ["quarantine_overdrawn"]
    assert odd(MADE, destroyed, correction("c", destroyed, less)) == []


def test_a_lot_that_was_made_and_imported_is_odd_until_one_of_them_is_undone() -> None:
    assert odd(MADE, RECEIVED) == odd(RECEIVED, MADE) == ["origin_conflict"]
    assert odd(MADE, RECEIVED, correction("c", RECEIVED)) == []


def test_returned_packs_make_good_what_was_shipped_too_much() -> None:
    returned = event("stock.returned", "b", quantity=40, from_="exported", to="available")
    assert odd(SHIPPED, returned) == []


def test_an_import_that_is_held_is_not_available_before_its_release() -> None:
    held = event("import.received", "i", quantity=100, hold=True)
    assert odd(held, SHIPPED) == ["overdrawn_lot"]
    assert odd(held, SHIPPED, RELEASED) == []


def shipped(packs: int, day: str) -> JSON:
    return event("export.shipped", f"s{day}", quantity=packs, shipped_on=day)


def released(packs: int, day: str) -> JSON:
    return event("batch.released", f"r{day}", quantity=packs, released_on=day)


def test_a_lot_is_overdrawn_since_its_balance_fell_below_zero_for_the_last_time() -> None:
    """By date of effect, and so the same every day, whenever the lot was made and whenever its events came."""
    made = event("batch.produced", "p", quantity=500, produced_on="2026-01-01")
    told = [shipped(10, "2026-01-10"), released(10, "2026-02-01"), shipped(5, "2026-03-03"), shipped(5, "2026-04-04")]
    for events in ([made, *told], [*reversed(told), made]):
        for on in (date(2026, 3, 3), date(2026, 5, 5), DAY, DAY + timedelta(days=1)):
            (found,) = anomalies(*events, on=on)
            assert (found.kind, found.since) == ("overdrawn_lot", date(2026, 3, 3))
        (found,) = anomalies(*events, on=date(2026, 1, 31))
        assert found.since == date(2026, 1, 10)
        assert anomalies(*events, on=date(2026, 2, 2)) == []


def test_a_lot_has_two_origins_since_the_day_of_the_second() -> None:
    made = event("batch.produced", "p", quantity=1, produced_on="2026-02-02")
    received = event("import.received", "i", quantity=1, received_on="2026-01-01")
    (found,) = anomalies(received, made)
    assert (found.kind, found.since) == ("origin_conflict", date(2026, 2, 2))


def until(told: Anomaly, *events: JSON, on: date = DAY) -> str:
    return ends_on(told.as_json(), days_of(ledger(events)), on).isoformat()


def test_an_anomaly_of_a_lot_ended_on_the_day_from_which_the_book_agrees_whenever_that_is_looked_at() -> None:
    made = event("batch.produced", "p", quantity=500, produced_on="2026-01-01")
    early = [made, shipped(10, "2026-03-03")]
    (told,) = anomalies(*early)
    for on in (DAY, DAY + timedelta(days=30)):
        assert until(told, *early, released(4, "2026-03-10"), released(6, "2026-04-01"), on=on) == "2026-04-01"


def test_what_as_known_now_never_was_ended_on_the_day_on_which_it_began() -> None:
    made = event("batch.produced", "p", quantity=500, produced_on="2026-01-01")
    (told,) = anomalies(made, shipped(10, "2026-03-03"))
    assert until(told, made, shipped(10, "2026-03-03"), released(10, "2026-03-01")) == "2026-03-03"
    (both,) = anomalies(MADE, RECEIVED)
    assert until(both, MADE, RECEIVED, correction("c", RECEIVED)) == both.since.isoformat()


def test_the_first_of_however_many_are_kept_in_order_and_of_one_event_the_earliest() -> None:
    drawn = Random(5)
    shown = [
        Anomaly("k", f"{number:04d}", DAY + timedelta(days=drawn.randrange(9)), "")
        for number in drawn.choices(range(300), k=2_000)
    ]
    first = First(7, "k/0100")
    for start in range(0, len(shown), 13):
        first.take(shown[start : start + 13])
    subjects = sorted({anomaly.subject for anomaly in shown if anomaly.subject > "0100"})[:7]
    expected = [min((item for item in shown if item.subject == name), key=lambda item: item.rank) for name in subjects]
    assert first.anomalies() == expected


def test_the_subject_of_a_lot_names_it_whatever_it_is_called() -> None:
    for lot in ("L1", "A/1%b", "%2F", "."):
        assert lot_of(lot_subject(int(GTIN), lot)) == (int(GTIN), lot)
