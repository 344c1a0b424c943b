"""What an examination of the journal finds: every single tampering, named; and nothing where nothing was touched."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.supply.evidence_chain import linked
from services.supply.findings import Finding, Head, Report, Row, at
from services.supply.fold import Verdict
from services.supply.record import CHAIN_START
from tests.stack.supply_flood import flood
from tests.supply_given import MAKER, SOURCE, correction, event, gtin
from tests.unit.supply_journal import changed, ends_of, examined, heads_of, in_order, journal

KINDS = (
    "batch.produced batch.released import.received export.shipped stock.returned consumption.reported"
    " stock.adjusted batch.destroyed batch.recalled stock.counted"
).split()
FLOODS = [flood(SOURCE, MAKER, KINDS, [gtin(number)], count, seed) for number, count, seed in ((1, 60, 1), (2, 45, 2))]
FLOODS[0].insert(33, {**FLOODS[0][7], "time": "2026-04-01T00:00:00Z"})
FLOODS[1].insert(12, event("batch.released", "odd", quantity="many"))
ROWS = journal(*FLOODS)
ENDS = ends_of(ROWS)
HEADS = heads_of(ROWS, 10, 20, 30, 40, 1_000)
RAWS = [row for row in ROWS if row.seq == 0]
LAST = {end.partition: end.next_offset - 1 for end in ENDS}


def without(row: Row) -> list[Row]:
    return [other for other in ROWS if other is not row]


def found_in(rows: list[Row], heads: list[Head] = HEADS) -> Report:
    return examined(rows, ENDS, heads)


def naming(report: Report, row: Row, *kinds: str) -> list[Finding]:
    """The findings about the record of `row`."""
    about = [item for item in report.findings if item.names(row.topic_id, row.partition, row.kafka_offset)]
    return [item for item in about if item.kind in kinds] if kinds else about


def test_nothing_is_found_in_a_journal_that_nobody_touched() -> None:
    report = found_in(ROWS)
    assert report.findings == []
    assert (report.records, report.rows) == (len(RAWS), len(ROWS))
    assert {row.verdict for row in RAWS} == set(Verdict)
    assert any(row.reversal for row in ROWS)


DAYS = ("effective_on", "expires_on", "period_start")
MOMENTS = ("recorded_at", "said_at")
BYTES = ("cause", "event_key", "record_key", "headers", "value", "chain")


def other(row: Row, column: str) -> Any:
    """Some other value of a column."""
    held = getattr(row, column)
    if column in BYTES:
        return held[:-1] + bytes([held[-1] ^ 1]) if held else b"x"
    if column in DAYS:
        return "2020-01-01"
    if column in MOMENTS:
        return "2026-01-07 09:09:09.25+00"
    if column in ("lot", "reversal"):
        return f"{held}x" if column == "lot" else not held
    return (held or 0) + 1


@pytest.mark.parametrize("column", [name for name in Row.__struct_fields__ if name not in ("topic_id", "partition")])
@settings(max_examples=40, deadline=None)
@given(row=st.sampled_from(ROWS))
def test_a_changed_value_is_named_whatever_the_column(column: str, row: Row) -> None:
    tampered = changed(row, **{column: other(row, column)})
    report = found_in([*without(row), tampered])
    assert naming(report, row)


@given(row=st.sampled_from(RAWS))
@settings(max_examples=60, deadline=None)
def test_a_deleted_record_is_missing_or_truncated(row: Row) -> None:
    rows = [item for item in ROWS if at(item) != at(row)]
    report = found_in(rows)
    kind = "truncated" if row.kafka_offset == LAST[row.partition] else "missing"
    first, *others = report.findings
    assert (first.kind, first.spans) == (kind, (at(row),))
    assert all(item.detail.startswith(("entry", "verdict")) for item in others)


@given(row=st.sampled_from([row for row in ROWS if row.seq > 0]))
@settings(max_examples=20, deadline=None)
def test_a_deleted_entry_is_missing(row: Row) -> None:
    (finding,) = found_in(without(row)).findings
    assert finding.kind in ("missing", "changed")
    assert finding.spans == (at(row),)


@given(row=st.sampled_from(ROWS), seq=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_inserted_entry_is_named(row: Row, seq: int) -> None:
    extra = changed(row, seq=seq, lot="inserted")
    report = found_in([*ROWS, extra])
    assert naming(report, row, "inserted")
    assert len(report.findings) == 1


@pytest.mark.parametrize("offset", [-1, 1_000_000])
def test_a_record_beyond_the_ends_is_inserted(offset: int) -> None:
    extra = changed(RAWS[3], kafka_offset=offset)
    (finding,) = found_in([*ROWS, extra]).findings
    assert (finding.kind, finding.spans) == ("inserted", (at(extra),))


def test_a_record_of_a_partition_that_the_ledger_has_not_is_inserted() -> None:
    extra = changed(RAWS[0], partition=5)
    (finding,) = found_in([*ROWS, extra]).findings
    assert (finding.kind, finding.spans) == ("inserted", (at(extra),))


@given(pair=st.lists(st.sampled_from(RAWS), min_size=2, max_size=2, unique_by=lambda row: at(row)))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_two_records_in_each_others_places_are_moved_and_nothing_else_is_named(pair: list[Row]) -> None:
    one, two = pair
    rows = [_exchanged(row, one, two) for row in ROWS]
    moved = [item for item in found_in(rows).findings if item.kind == "moved"]
    assert {item.spans for item in moved} == {(at(one), at(two)), (at(two), at(one))}


def _exchanged(row: Row, one: Row, two: Row) -> Row:
    for here, there in ((one, two), (two, one)):
        if at(row) == at(here):
            return changed(row, partition=there.partition, kafka_offset=there.kafka_offset)
    return row


@pytest.mark.parametrize("column", ["value", "headers"])
def test_values_in_each_others_places_are_moved(column: str) -> None:
    one, two = (row for row in RAWS if row.kafka_offset in (17, 23) and row.partition == 0)
    rows = [row for row in ROWS if row is not one and row is not two]
    rows += [changed(a, **{column: getattr(b, column)}) for a, b in ((one, two), (two, one))]
    report = found_in(rows)
    assert naming(report, one, "moved") and naming(report, two, "moved")


def test_a_record_moved_to_another_place_is_moved_and_not_only_missing() -> None:
    row = next(row for row in RAWS if row.kafka_offset == 25)
    away = [changed(item, kafka_offset=5_000) if at(item) == at(row) else item for item in ROWS]
    report = found_in(away)
    assert [item.kind for item in report.findings] == ["moved"]
    assert naming(report, row)


def rechained(rows: list[Row], since: Row, until: int = 10**9) -> list[Row]:
    """As a forger computes the hashes anew from `since` on."""
    head, found = CHAIN_START, []
    for row in in_order(rows):
        if row.partition == since.partition and row.seq == 0:
            if since.kafka_offset <= row.kafka_offset <= until:
                row = changed(row, chain=linked(head, at(row), row))
            assert row.chain is not None
            head = row.chain
        found.append(row)
    return found


def forged(row: Row) -> Row:
    """Another reason, which no column but the raw bytes holds."""
    assert row.value is not None
    return changed(row, value=row.value + b" ")


@given(row=st.sampled_from(RAWS))
@settings(max_examples=60, deadline=None)
def test_a_chain_computed_anew_is_found_between_two_checkpoints(row: Row) -> None:
    rows = rechained([*without(row), forged(row)], row)
    report = examined(rows, ends_of(rows), HEADS)
    (finding,) = report.findings
    assert finding.kind == "checkpoint_mismatch"
    assert finding.names(row.topic_id, row.partition, row.kafka_offset)
    (span,) = finding.spans
    edges = [0, 10, 20, 30, 40, LAST[row.partition] + 1]
    assert (span.first, span.last + 1) in list(pairwise(edges))


def test_without_checkpoints_a_chain_computed_anew_is_not_found_but_the_position_gives_it_away() -> None:
    row = RAWS[12]
    rows = rechained([*without(row), forged(row)], row)
    assert examined(rows, ends_of(rows)).findings == []
    assert [item.kind for item in examined(rows, ENDS).findings] == ["changed"]


@given(row=st.sampled_from([row for row in RAWS if row.kafka_offset not in LAST.values()]))
@settings(max_examples=30, deadline=None)
def test_a_record_rewritten_with_its_own_hash_alone_is_in_doubt_or_named(row: Row) -> None:
    rows = rechained([*without(row), forged(row)], row, until=row.kafka_offset)
    report = found_in(rows, heads_of(ROWS, 50))
    place = (row.topic_id, row.partition, row.kafka_offset)
    assert any(item.names(*place) or (item.doubt and item.doubt.holds(*place)) for item in report.findings)


def test_a_tail_cut_off_before_a_checkpoint_is_truncated_although_the_position_was_set_back() -> None:
    rows = [row for row in ROWS if row.partition != 0 or row.kafka_offset < 35]
    report = examined(rows, ends_of(rows), HEADS)
    (finding,) = report.findings
    assert finding.kind == "truncated"
    assert finding.place == f"supply.movements.v1[0]@35-{LAST[0]}"


def test_a_partition_of_which_nothing_is_left_is_truncated() -> None:
    rows = [row for row in ROWS if row.partition != 1]
    report = examined(rows, ends_of(rows), HEADS)
    assert [(item.kind, item.place) for item in report.findings] == [
        ("truncated", f"supply.movements.v1[1]@0-{LAST[1]}")
    ]


def test_a_chain_that_was_computed_anew_must_also_post_what_the_new_bytes_say() -> None:
    row = next(row for row in RAWS if row.packs and row.kafka_offset > 5 and b'"quantity"' in (row.value or b""))
    assert row.value is not None
    rows = rechained([*without(row), changed(row, value=row.value.replace(b'"quantity": ', b'"quantity": 1'))], row)
    report = examined(rows, ends_of(rows))
    assert [item.place for item in naming(report, row, "changed")] == [str(at(row))]


def test_events_told_in_two_partitions_stand_once_as_recorded() -> None:
    same = event("batch.released", "same", gtin=gtin(1))
    rows = journal([event("batch.released", "a", gtin=gtin(1)), same], [same])
    assert examined(rows, ends_of(rows)).findings == []
    first, second = (row for row in rows if row.event_key == rows[1].event_key)
    assert (first.verdict, second.verdict) == (Verdict.RECORDED, Verdict.DUPLICATE)
    for verdict in (Verdict.RECORDED, Verdict.CONFLICT, Verdict.UNREADABLE):
        tampered = [row if row is not second else changed(row, verdict=verdict) for row in rows]
        assert naming(examined(tampered, ends_of(rows)), second, "changed")


@pytest.mark.parametrize("seed", range(5))
def test_corrections_of_every_shape_are_folded_alike(seed: int) -> None:
    drawn = Random(seed)
    told = flood(SOURCE, MAKER, ["batch.released", "batch.produced"], [gtin(1)], 300, seed)
    first = event("batch.released", f"late-{seed}", gtin=gtin(1))
    told.insert(drawn.randrange(50), correction("c1", first, {**first, "data": {**first["data"], "quantity": 3}}))
    told.append(first)
    rows = journal(told)
    assert examined(rows, ends_of(rows)).findings == []


@pytest.mark.parametrize("tamper", [lambda row: changed(row, headers=b"\0"), lambda row: changed(row, headers=None)])
def test_headers_that_are_none_are_named(tamper: Callable[[Row], Row]) -> None:
    row = RAWS[9]
    assert naming(found_in([*without(row), tamper(row)]), row, "changed")
