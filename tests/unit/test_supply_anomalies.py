"""A book that disagrees with itself is kept and shown, and what is odd about it ends when the missing event comes."""

from __future__ import annotations

from datetime import date
from typing import Any

from services.supply.anomalies import of_lot
from services.supply.lot import LotState
from services.supply.places import NAMES
from tests.reference import JSON
from tests.supply_given import GTIN, correction, event
from tests.unit.supply_ledger import ledger

DAY = date(2026, 6, 30)
MADE = event("batch.produced", "p", quantity=100)
RELEASED = event("batch.released", "r", quantity=100)
SHIPPED = event("export.shipped", "s", quantity=40)
RECEIVED = event("import.received", "i", quantity=5)


def odd(*events: JSON) -> list[str]:
    """The kinds of anomaly of the lot after these events, each in a batch of its own."""
    found = ledger(events, range(len(events)))
    places = found.balances().get((GTIN, "L1"), {})
    facts: dict[str, Any] = found.facts()[GTIN, "L1"]
    packs = (0, *(places.get(name, 0) for name in NAMES))
    state = LotState(int(GTIN), "L1", packs, facts["produced"], facts["imported"], None, None, None)
    return [anomaly.kind for anomaly in of_lot(state, DAY)]


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
