"""What the measurement of the edge writes: good records, and a tenth of hostile ones, refused as it expects."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bench.inbound import PARTITIONS, Expected, Place, Written, told
from bench.sent import Sender
from services.ingest.inbound import Accepted, Inbound, Refused, cut, read
from shared import topics
from shared.keys import Principal
from tests.unit.ingest_given import OTHER, OWN

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
RECORDS = 5_000
TOPIC = topics.inbound("firm")
MANUFACTURER = Principal("key", "producer", "firm", frozenset({OWN}), frozenset({"manufacturer"}))


def written() -> tuple[list[Written], Expected]:
    expected = Expected()
    return list(told("firm", Sender("sw_key", OWN), OTHER, RECORDS, expected)), expected


@pytest.fixture(scope="module")
def given() -> tuple[list[Written], Expected]:
    return written()


def placed(records: list[Written]) -> list[Inbound]:
    ends: Counter[int] = Counter()
    found = []
    for value, headers, key in records:
        partition = topics.partition_for(key.encode(), PARTITIONS)
        found.append(cut(Inbound(TOPIC, partition, ends[partition], None, key.encode(), value, headers)))
        ends[partition] += 1
    return found


def test_every_record_becomes_what_is_expected_of_it(given: tuple[list[Written], Expected]) -> None:
    records, expected = given
    codes: dict[Place, str] = {}
    ids = []
    for record in placed(records):
        outcome = read(record, MANUFACTURER, NOW, AHEAD)
        if isinstance(outcome, Refused):
            codes[record.topic, record.partition, record.offset] = outcome.code
        else:
            assert isinstance(outcome, Accepted)
            ids.append(outcome.event.id)
    assert (codes, ids) == (expected.codes, [str(number) for number in range(expected.good[f"urn:gln:{OWN}"])])


def test_a_tenth_is_hostile_in_many_ways(given: tuple[list[Written], Expected]) -> None:
    _, expected = given
    assert (expected.records, len(expected.codes) + expected.accepted) == (RECORDS, RECORDS)
    assert len(expected.codes) == pytest.approx(RECORDS / 10, rel=0.1)
    assert len(set(expected.codes.values())) > 25
    assert expected.accepted < expected.json < RECORDS


def test_the_same_is_written_every_time(given: tuple[list[Written], Expected]) -> None:
    assert written() == given
