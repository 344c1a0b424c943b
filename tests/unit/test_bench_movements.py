"""The movements of the benchmark are what ingest would write, and hold what they say; targets are judged as written."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from bench.expected import expected
from bench.fill import record_bytes, record_of
from bench.movements import CORRECTED, Market, chunk, gtins
from bench.registry import told_of
from bench.report import judged, spread
from shared import topics
from shared.events.cloudevent import Said, check, to_kafka

MARKET = Market(3_000)


@pytest.fixture(scope="module")
def movements() -> list[dict[str, Any]]:
    return chunk(0, MARKET)


def as_ingest_writes(
    event: dict[str, Any], *, by_regulator: bool = False
) -> tuple[str, bytes, bytes | None, list[tuple[str, bytes]]]:
    attributes = {name: value for name, value in event.items() if name != "data"}
    said = check(Said({**attributes, "specversion": "1.0"}, event["data"]))
    record = to_kafka(said, by_regulator=by_regulator)
    return record.topic, record.key, record.value, record.headers


def test_every_movement_is_byte_for_byte_what_ingest_writes(movements: list[dict[str, Any]]) -> None:
    for event in movements:
        key = event["data"].get("key") or event["data"]["gtin"]
        value, headers = record_of(event)
        assert as_ingest_writes(event) == (topics.MOVEMENTS, key.encode(), value, headers)


def test_every_fact_of_the_registry_is_what_ingest_writes() -> None:
    for event, key in told_of(gtins(20)):
        value, headers = record_bytes(event, key, by_regulator=True)
        assert as_ingest_writes(event, by_regulator=True) == (topics.REGISTRY, key.encode(), value, headers)


def test_a_chunk_has_as_many_duplicates_corrections_and_lots_as_it_says(movements: list[dict[str, Any]]) -> None:
    times = Counter(event["id"] for event in movements)
    corrections = {event["id"] for event in movements if event["type"] == CORRECTED}
    lots = {event["data"].get("lot") for event in movements} - {None}
    assert len(movements) == MARKET.events
    assert sum(times.values()) - len(times) == MARKET.duplicates == 30
    assert len(corrections) == MARKET.corrections == 90
    assert len(lots) == MARKET.lots == 600


def test_some_events_come_before_what_they_rest_on(movements: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    early = 0
    for event in movements:
        early += event["type"] == CORRECTED and event["data"]["corrects"]["id"] not in seen
        seen.add(event["id"])
    late = sum(one["time"] > other["time"] for one, other in pairwise(movements))
    assert early > 0
    assert late > MARKET.events * 0.05


def test_a_chunk_is_the_same_every_time_and_shares_no_lot_or_id_with_another(movements: list[dict[str, Any]]) -> None:
    other = chunk(1, MARKET)
    assert chunk(0, MARKET) == movements
    assert not {event["id"] for event in movements} & {event["id"] for event in other}
    both = expected(movements) + expected(other)
    together = expected([*movements, *other])
    assert (both.records, both.packs_told, both.lots, both.flows) == (
        together.records,
        together.packs_told,
        together.lots,
        together.flows,
    )


def rates(**medians: float) -> dict[str, Any]:
    return {name: {"rate": {"median": median}} for name, median in medians.items()}


@pytest.mark.parametrize(
    ("supply", "holds", "aim_reached"), [(2_499, False, False), (2_500, True, False), (4_000, True, True)]
)
def test_a_target_holds_from_its_bound_on(supply: float, holds: bool, aim_reached: bool) -> None:
    first = judged(rates(supply=supply, default_way=1_000))[0]
    assert (first["value"], first["holds"], first["aim_reached"]) == (supply / 1_000, holds, aim_reached)


def test_a_target_that_was_not_measured_neither_holds_nor_is_missed() -> None:
    assert all(item["value"] is None and item["holds"] is None for item in judged({}))


def test_the_spread_is_the_width_as_a_share_of_the_median() -> None:
    assert spread([90.0, 100.0, 120.0]) == {"rounds": [90.0, 100.0, 120.0], "median": 100.0, "spread": 0.3}
