"""The ledger's state is the same for every order and any duplication of the same events (law 2), and it balances."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.supply.fold import Verdict
from tests.reference import CORRECTED, JSON
from tests.supply_given import GTIN, SOURCE, correcting, correction, data, event, gtin
from tests.unit.supply_ledger import assert_like_the_reference, ledger

OTHER = "urn:gln:9520000000011"
GTINS = st.sampled_from([GTIN, gtin(2)])
DAYS = st.sampled_from(["2026-01-03", "2026-01-05", "2026-02-01"])
TIMES = st.sampled_from(["2026-01-05T03:00:00Z", "2026-01-05T10:00:00+07:00", "2026-01-06T00:00:00.000001Z"])
IDS = st.sampled_from([f"e{number}" for number in range(9)])
SOURCES = st.sampled_from([SOURCE, OTHER])
PACKS = st.integers(1, 5)


@st.composite
def movements(draw: st.DrawFn) -> dict[str, Any]:
    """Type and data of any event about packs."""
    kind = draw(
        st.sampled_from(
            "batch.produced batch.released batch.rejected import.received export.shipped stock.returned"
            " consumption.reported batch.recalled batch.destroyed stock.counted stock.adjusted".split()
        )
    )
    told: dict[str, Any] = {"gtin": draw(GTINS), "lot": draw(st.sampled_from(["L1", "L2"]))}
    day = draw(DAYS)
    match kind:
        case "batch.produced":
            told |= {"produced_on": day, "expires_on": draw(st.sampled_from(["2028-01-01", "2029-01-01"]))}
            used = st.fixed_dictionaries({"gtin": GTINS, "lot": st.sampled_from(["L1", "I1"]), "quantity": PACKS})
            told["inputs"] = draw(st.none() | st.lists(used, max_size=2))
        case "import.received":
            told |= {"received_on": day, "hold": draw(st.none() | st.booleans())}
        case "export.shipped":
            told |= {"shipped_on": day, "from": draw(st.sampled_from([None, "available", "quarantine"]))}
        case "stock.returned":
            told |= {"from": draw(st.sampled_from(["consumed", "exported"])), "returned_on": day}
            told["to"] = draw(st.sampled_from(["quarantine", "available"]))
        case "consumption.reported":
            told |= {"period_end": day, "period_start": "2026-01-01", "lot": draw(st.sampled_from([None, "L1"]))}
        case "batch.destroyed":
            told |= {"from": draw(st.sampled_from([None, "quarantine", "rejected"])), "destroyed_on": day}
        case "stock.adjusted":
            told["delta"] = draw(st.integers(-3, 3).filter(bool))
        case "batch.released":
            told["released_on"] = day
    if kind not in ("batch.recalled", "stock.adjusted"):
        told["quantity"] = draw(PACKS)
    return {"type": f"supply.{kind}.v1", "data": data(kind, **told)}


@st.composite
def about(draw: st.DrawFn, inside: bool = False) -> dict[str, Any]:
    """Type and data of a correction of some event, which may not exist, be another type's, or a correction itself."""
    movement = draw(movements())
    of = {"source": draw(SOURCES), "id": draw(IDS)}
    first = {"type": movement["type"] if draw(st.booleans()) else "supply.batch.released.v1", "data": movement["data"]}
    replacement: JSON | None = draw(st.sampled_from([None, movement]))
    if not inside and draw(st.integers(0, 3)) == 0:
        replacement = draw(about(inside=True))
    return {"type": CORRECTED, "data": correcting(of, replacement, original=first)}


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events, some of them twice, some with an id that another has: corrections aim at them, most often truly."""
    found: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 14))):
        head = {"source": draw(SOURCES), "id": draw(IDS), "time": draw(TIMES), "specversion": "1.0"}
        choice = draw(st.integers(0, 5))
        if choice <= 1 or not found:
            found.append({**head, **draw(movements())})
        elif choice == 2:
            found.append(draw(st.sampled_from(found)))
        elif choice == 3:
            found.append({**head, **draw(about())})
        else:
            found.append({**head, "type": CORRECTED, "data": draw(_aimed(found))})
    return draw(st.permutations(found))


@st.composite
def _aimed(draw: st.DrawFn, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Data of a correction of an event in `found`, of its type and key, with a replacement that mostly fits."""
    of = draw(st.sampled_from(found))
    movement = draw(movements())
    if of["type"] != CORRECTED:
        movement["data"]["gtin"] = of["data"]["gtin"]
        return correcting(of, draw(st.sampled_from([None, movement])))
    inner = of["data"]
    original = {"type": inner["corrects"]["type"], "data": {"gtin": inner["key"]}}
    again = correcting(inner["corrects"], draw(st.sampled_from([None, movement])), original=original)
    nested = {"type": CORRECTED, "data": again}
    return correcting(of, draw(st.sampled_from([None, nested])), original=original)


@settings(max_examples=400, deadline=None)
@given(events=histories(), cuts=st.lists(st.integers(1, 14), max_size=4))
def test_any_order_and_any_batches_give_what_the_plain_fold_gives(
    events: list[dict[str, Any]], cuts: list[int]
) -> None:
    assert_like_the_reference(ledger(events, cuts), events)


@st.composite
def chains(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A release and up to twenty corrections, each of the one before, in any order."""
    chain = [event("batch.released", "e0", quantity=1000)]
    for depth in range(1, draw(st.integers(2, 21))):
        replacement = draw(st.none() | st.just(_in_place_of(chain, depth)))
        chain.append(correction(f"c{depth}", chain[-1], replacement, original=chain[0]))
    return draw(st.permutations(chain))


def _in_place_of(chain: list[dict[str, Any]], depth: int) -> JSON:
    """What can replace the event that the correction number `depth` corrects."""
    if depth == 1:
        return event("batch.released", "", quantity=500)
    inner = _in_place_of(chain, 1) if depth == 2 else None
    return {"type": CORRECTED, "data": correcting(chain[depth - 2], inner, original=chain[0])}


@settings(max_examples=60, deadline=None)
@given(chains(), st.lists(st.integers(1, 20), max_size=3))
def test_a_chain_of_corrections_comes_to_the_same_in_any_order(events: list[dict[str, Any]], cuts: list[int]) -> None:
    assert_like_the_reference(ledger(events, cuts), events)


@pytest.mark.parametrize(("length", "packs"), [(15, 0), (16, 1000), (17, 1000), (40, 1000)])
def test_corrections_more_than_sixteen_deep_wait_for_ever(length: int, packs: int) -> None:
    """Each undoes the one before it, so an odd number of those that count undoes the release."""
    chain = [event("batch.released", "e0", quantity=1000)]
    for depth in range(1, length + 1):
        chain.append(correction(f"c{depth}", chain[-1], original=chain[0]))
    assert available(chain) == packs


def available(events: list[dict[str, Any]], lot: str = "L1") -> int:
    """Packs available when the events come in this order, and in the opposite one, each in a batch of its own."""
    found = {
        ledger(order, range(len(order))).balances().get((GTIN, lot), {}).get("available", 0)
        for order in (events, events[::-1])
    }
    (packs,) = found
    return packs


RELEASED = event("batch.released", "r", quantity=100)
LESS = event("batch.released", "", quantity=70)
LITTLE = event("batch.released", "", quantity=5)
UNDONE = correction("c", RELEASED)
REPLACED = correction("c", RELEASED, LESS)


def test_many_corrections_of_one_event_take_a_time_that_grows_with_their_number_alone() -> None:
    """Each is undone again, so that none of them can be left out."""
    events: list[dict[str, Any]] = [RELEASED]
    for number in range(2_000):
        less = event("batch.released", "", quantity=number % 90 + 1)
        events.append(correction(f"c{number:04}", RELEASED, less))
    events += [correction(f"d{number:04}", events[-1 - number], original=RELEASED) for number in range(1_999)]
    started = time.process_time()
    found = ledger(events, [2_001])
    assert time.process_time() - started < 3
    assert found.balances()[GTIN, "L1"]["available"] == 1


def test_a_replacement_counts_instead() -> None:
    assert available([RELEASED, REPLACED]) == 70


def test_an_undone_event_counts_as_nothing() -> None:
    assert available([RELEASED, UNDONE]) == 0


def test_a_correction_of_a_correction_that_undoes_it_restores_the_original() -> None:
    assert available([RELEASED, REPLACED, correction("d", REPLACED, original=RELEASED)]) == 100


def test_a_correction_of_a_correction_replaces_what_it_puts_in_place() -> None:
    again = {"type": CORRECTED, "data": correcting(RELEASED, LITTLE)}
    assert available([RELEASED, REPLACED, correction("d", REPLACED, again, original=RELEASED)]) == 5


def test_undoing_the_undoing_of_a_correction_lets_it_count_again() -> None:
    undoing = correction("d", REPLACED, original=RELEASED)
    assert available([RELEASED, REPLACED, undoing, correction("e", undoing, original=RELEASED)]) == 70


def test_of_two_corrections_the_later_said_holds() -> None:
    later = correction("a", RELEASED, LITTLE, time="2026-01-05T10:00:01+07:00")
    assert available([RELEASED, REPLACED, later]) == 5


def test_of_two_corrections_said_at_once_the_greater_source_then_id_holds() -> None:
    greater_id = correction("d", RELEASED, LITTLE)
    assert available([RELEASED, REPLACED, greater_id]) == 5
    greater_source = correction("a", RELEASED, event("batch.released", "", quantity=1), source=OTHER)
    assert available([RELEASED, REPLACED, greater_id, greater_source]) == 1


def test_when_the_holding_correction_is_undone_the_next_holds() -> None:
    holding = correction("d", RELEASED, LITTLE)
    assert available([RELEASED, REPLACED, holding, correction("e", holding, original=RELEASED)]) == 70


def test_a_correction_waits_for_its_original() -> None:
    assert ledger([REPLACED]).entries() == []
    assert ledger([REPLACED, RELEASED], [1]).balances() == ledger([RELEASED, REPLACED], [1]).balances()


@pytest.mark.parametrize("wrong", [{"type": "supply.batch.rejected.v1"}, {"data": {"gtin": gtin(2)}}])
def test_a_correction_that_names_another_type_or_key_waits_for_ever(wrong: dict[str, Any]) -> None:
    assert available([RELEASED, correction("c", RELEASED, original={**RELEASED, **wrong})]) == 100


def test_corrections_in_a_circle_wait_for_ever() -> None:
    one = correction("1", {"source": SOURCE, "id": "2"}, original=RELEASED)
    other = correction("2", one, original=RELEASED)
    itself = correction("3", {"source": SOURCE, "id": "3"}, original=RELEASED)
    found = ledger([RELEASED, one, other, itself], [1, 2, 3])
    assert available([RELEASED, one, other, itself]) == 100
    assert {row.verdict for row in found.journal} == {Verdict.RECORDED}


def test_a_correction_is_no_replacement_of_an_event_that_is_none() -> None:
    nested = {"type": CORRECTED, "data": correcting(RELEASED, LESS)}
    assert available([RELEASED, correction("c", RELEASED, nested)]) == 100


def test_a_movement_is_no_replacement_of_a_correction() -> None:
    assert available([RELEASED, REPLACED, correction("d", REPLACED, LITTLE, original=RELEASED)]) == 70


def test_a_correction_of_another_event_is_no_replacement_of_a_correction() -> None:
    other = event("batch.released", "other", quantity=1)
    elsewhere = {"type": CORRECTED, "data": correcting(other, LITTLE)}
    moved = correction("d", REPLACED, elsewhere, original=RELEASED)
    assert available([RELEASED, other, REPLACED, moved]) == 71


def test_a_replacement_of_another_type_moves_packs_elsewhere() -> None:
    rejected = event("batch.rejected", "", quantity=100)
    found = ledger([RELEASED, correction("c", RELEASED, rejected)], [1])
    assert found.balances() == {(GTIN, "L1"): {"quarantine": -100, "rejected": 100}}


def test_a_replacement_on_another_day_moves_the_flow_to_that_day() -> None:
    later = event("batch.released", "", quantity=100, released_on="2026-03-01")
    found = ledger([RELEASED, correction("c", RELEASED, later)], [1])
    assert found.net_flows() == {(GTIN, "L1", "2026-03-01", "quarantine", "available"): 100}


def test_a_reversal_takes_back_on_the_original_day_in_the_name_of_the_correction() -> None:
    found = ledger([RELEASED, REPLACED], [1])
    posted, taken_back, instead = found.entries()
    assert (posted.reversal, taken_back.reversal, instead.reversal) == (False, True, False)
    assert taken_back.transfer == posted.transfer
    assert posted.cause is None
    assert taken_back.cause == instead.cause == found.corrections[0].key


def test_the_same_event_again_has_no_effect() -> None:
    found = ledger([RELEASED, RELEASED], [1])
    assert [row.verdict for row in found.journal] == [Verdict.RECORDED, Verdict.DUPLICATE]
    assert available([RELEASED, RELEASED]) == 100


def test_the_same_event_with_its_defaults_written_out_and_its_time_elsewhere_is_the_same() -> None:
    shipped = event("export.shipped", "s", time="2026-01-05T03:00:00Z")
    written = event("export.shipped", "s", time="2026-01-05T10:00:00+07:00", from_="available")
    assert [row.verdict for row in ledger([shipped, written]).journal] == [Verdict.RECORDED, Verdict.DUPLICATE]


@pytest.mark.parametrize("cuts", [[], [1]])
def test_of_two_events_with_one_id_the_first_stands(cuts: list[int]) -> None:
    other = event("batch.released", "r", quantity=1)
    found = ledger([RELEASED, other, RELEASED], cuts)
    assert [row.verdict for row in found.journal] == [Verdict.RECORDED, Verdict.CONFLICT, Verdict.DUPLICATE]
    assert found.balances()[GTIN, "L1"]["available"] == 100


def test_the_same_id_of_another_source_is_another_event() -> None:
    assert available([RELEASED, {**RELEASED, "source": OTHER}]) == 200


def test_what_moves_before_its_lot_is_produced_is_posted_and_belongs_to_it() -> None:
    made = event("batch.produced", "p", quantity=100)
    found = ledger([RELEASED, made], [1])
    assert found.balances() == {(GTIN, "L1"): {"produced": -100, "available": 100}}
    assert found.facts()[GTIN, "L1"]["produced"] == 1
