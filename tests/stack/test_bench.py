"""The benchmark runs at a small size: it tells a rate only of what came to the reference fold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pytest_socket import enable_socket

from bench import edge, ingest, rate
from bench.expected import Wrong, check
from bench.ground import Ground, ground
from bench.plan import RATE, Asked, Bench
from deploy.local.progress import SilentSteps

pytestmark = pytest.mark.proof

EVENTS = 2_000
INBOUND_RECORDS = 20_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ground, Bench]]:
    enable_socket()
    with ground(tmp_path_factory.mktemp("bench"), SilentSteps()) as place:
        bench = Bench(place, Asked(events=EVENTS, rounds=1, only=(RATE,)), SilentSteps())
        bench.run()
        yield place, bench


def test_every_contestant_has_a_rate_its_processor_time_and_its_memory(measured: tuple[Ground, Bench]) -> None:
    _, bench = measured
    for name in rate.CONTESTANTS:
        found = bench.results[name]
        assert found["rate"]["median"] > 0
        assert {name, "postgres", "kafka"} == found["cpu_us_a_movement"].keys()
        assert found["peak_memory_mb"] > 0
    assert bench.results["memory"]["supply_peak_mb"] == bench.results["supply"]["peak_memory_mb"]
    assert bench.results["default_way"]["batch_records"] in rate.DEFAULT_WAY_BATCHES


def test_ingest_and_the_bare_way_have_a_rate_for_batches_and_for_single_events(measured: tuple[Ground, Bench]) -> None:
    place, _ = measured
    results = ingest.ingest(place, 1, SilentSteps(), seconds=0.3)
    assert results.keys() == {f"{name}_{shape.name}" for name, shapes in ingest.TRIED.items() for shape in shapes}
    for found in results.values():
        assert found["rate"]["median"] > 0
        assert found["p50_ms"][0] > 0
        assert 0 < found["load_share_of_a_core"] < 1


async def test_the_edge_has_a_rate_only_of_records_that_ended_as_they_must(measured: tuple[Ground, Bench]) -> None:
    place, _ = measured
    before = await asyncio.to_thread(edge.ends, place, edge.TRUSTED)
    results, expected = await asyncio.to_thread(edge.edge, place, INBOUND_RECORDS, 1, SilentSteps())
    for name in (edge.EDGE, edge.BARE_EDGE):
        assert results[name]["rate"]["median"] > 0
        assert [len(values) for values in results[name]["resident_mb"].values()] == [1, 1, 1]
    assert (expected.records, len(expected.codes)) == (INBOUND_RECORDS, results[edge.EDGE]["hostile"])
    assert len(set(expected.codes.values())) > 20
    await asyncio.to_thread(edge.check_accepted, place, before, expected)
    source = next(iter(expected.good))
    expected.good[source] += 1
    with pytest.raises(Wrong):
        await asyncio.to_thread(edge.check_accepted, place, before, expected)
    expected.codes.popitem()
    with pytest.raises(Wrong):
        await edge.check_rejected(place, expected)


def test_commits_reach_the_disk_before_they_are_told(measured: tuple[Ground, Bench]) -> None:
    _, bench = measured
    assert {bench.settings[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE lots SET available = available + 1 WHERE ctid = (SELECT min(ctid) FROM lots)",
        "UPDATE lots SET supplied_on = supplied_on - 1",
        "DELETE FROM lots WHERE ctid = (SELECT min(ctid) FROM lots)",
        "UPDATE flows SET packs = packs + 1 WHERE ctid = (SELECT min(ctid) FROM flows WHERE packs <> 0)",
    ],
)
async def test_a_ledger_that_differs_from_the_reference_fold_has_no_rate(
    measured: tuple[Ground, Bench], damage: str
) -> None:
    place, bench = measured
    async with place.connected() as connection:
        await check(connection, bench.expected)
        change = connection.transaction()
        await change.start()
        await connection.execute(damage)
        with pytest.raises(Wrong):
            await check(connection, bench.expected)
        await change.rollback()
