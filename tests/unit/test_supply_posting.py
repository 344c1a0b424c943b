"""The posting table, row by row: which packs leave which place and reach which, on which day."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from services.supply.places import NAME_OF
from services.supply.posting import POSTINGS, Transfer, transfers
from shared.events import reader
from shared.events.movements import MODELS
from tests.supply_given import EXPIRY, GTIN, MAKER, data, gtin

DAY = "2026-04-01"


def posted(kind: str, **told: Any) -> list[Transfer]:
    return list(transfers(reader.read_data(f"supply.{kind}.v1", json.dumps(data(kind, **told)).encode())))


def shown(transfer: Transfer) -> tuple[str, str, int, str]:
    return NAME_OF[transfer.debit], NAME_OF[transfer.credit], transfer.packs, transfer.on.isoformat()


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        ("batch.produced", {"produced_on": DAY}, ("produced", "quarantine", 10)),
        ("batch.released", {"released_on": DAY}, ("quarantine", "available", 10)),
        ("batch.rejected", {"rejected_on": DAY}, ("quarantine", "rejected", 10)),
        ("import.received", {"received_on": DAY}, ("imported", "available", 10)),
        ("import.received", {"received_on": DAY, "hold": False}, ("imported", "available", 10)),
        ("import.received", {"received_on": DAY, "hold": True}, ("imported", "quarantine", 10)),
        ("export.shipped", {"shipped_on": DAY}, ("available", "exported", 10)),
        ("export.shipped", {"shipped_on": DAY, "from": "quarantine"}, ("quarantine", "exported", 10)),
        ("stock.returned", {"returned_on": DAY}, ("consumed", "available", 10)),
        ("stock.returned", {"returned_on": DAY, "from": "exported"}, ("exported", "available", 10)),
        ("stock.returned", {"returned_on": DAY, "to": "quarantine"}, ("consumed", "quarantine", 10)),
        ("consumption.reported", {"period_end": DAY}, ("available", "consumed", 10)),
        ("consumption.reported", {"period_end": DAY, "quantity": 0}, ("available", "consumed", 0)),
        ("batch.destroyed", {"destroyed_on": DAY}, ("available", "destroyed", 10)),
        ("batch.destroyed", {"destroyed_on": DAY, "from": "quarantine"}, ("quarantine", "destroyed", 10)),
        ("batch.destroyed", {"destroyed_on": DAY, "from": "rejected"}, ("rejected", "destroyed", 10)),
        ("stock.adjusted", {"adjusted_on": DAY, "delta": -4}, ("available", "adjusted", 4)),
        ("stock.adjusted", {"adjusted_on": DAY, "delta": 4}, ("adjusted", "available", 4)),
    ],
)
def test_packs_leave_one_place_and_reach_another_on_the_day_of_effect(
    kind: str, told: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    (transfer,) = posted(kind, **told)
    assert (transfer.gtin, transfer.lot) == (int(GTIN), "L1")
    assert shown(transfer) == (*expected, DAY)


@pytest.mark.parametrize("kind", ["batch.recalled", "recall.closed", "stock.counted"])
def test_a_mark_moves_nothing(kind: str) -> None:
    assert posted(kind) == []


def test_every_type_about_packs_has_a_row_or_is_a_mark() -> None:
    marks = {"BatchRecalled", "RecallClosed", "StockCounted"}
    assert {model.__name__ for model in MODELS} == {struct.__name__ for struct in POSTINGS} | marks


def test_inputs_of_a_batch_leave_what_is_available_of_their_own_lots() -> None:
    inputs = [{"gtin": gtin(2), "lot": "I1", "quantity": 3}, {"gtin": gtin(3), "lot": "I2", "quantity": 4}]
    made, *used = posted("batch.produced", produced_on=DAY, inputs=inputs)
    assert shown(made) == ("produced", "quarantine", 10, DAY)
    assert [(item.gtin, item.lot, *shown(item)) for item in used] == [
        (int(gtin(2)), "I1", "available", "transformed", 3, DAY),
        (int(gtin(3)), "I2", "available", "transformed", 4, DAY),
    ]


def test_consumption_without_a_lot_is_of_the_unnamed_lot() -> None:
    (transfer,) = posted("consumption.reported", lot=None)
    assert transfer.lot == ""


def test_only_what_brings_a_lot_into_being_says_when_it_expires() -> None:
    inputs = [{"gtin": gtin(2), "lot": "I1", "quantity": 3}]
    made, used = posted("batch.produced", inputs=inputs)
    (received,) = posted("import.received")
    (released,) = posted("batch.released")
    assert made.expires_on == received.expires_on == date.fromisoformat(EXPIRY)
    assert used.expires_on is released.expires_on is None


def test_who_made_a_batch_and_where_moves_no_packs() -> None:
    assert posted("batch.produced") == posted("batch.produced", site=MAKER, authorisation="VD-1-26")
