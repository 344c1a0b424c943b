"""What decoding makes of a batch of Kafka: whose lane it is, where each partition stands, what is missing."""

from __future__ import annotations

from services.supply.decode import decode
from shared import topics
from tests.supply_given import event, message
from tests.unit.supply_ledger import at_once, claim


def test_all_of_a_partition_goes_to_one_lane_in_its_order() -> None:
    claims = {(topics.MOVEMENTS, number): claim(number) for number in range(3)}
    raw = [
        message(event("batch.released", f"{partition}-{offset}"), offset, partition=partition)
        for offset in range(4)
        for partition in range(3)
    ]
    batches, gap = at_once(decode(raw, claims, session=7, lanes=2))
    assert gap is None
    assert [[(record.partition, record.offset) for record in batch.records] for batch in batches] == [
        [(partition, offset) for offset in range(4) for partition in (0, 2)],
        [(1, offset) for offset in range(4)],
    ]
    assert [[(step.partition, step.old_offset, step.next_offset) for step in batch.advances] for batch in batches] == [
        [(0, 0, 4), (2, 0, 4)],
        [(1, 0, 4)],
    ]
    assert [batch.session for batch in batches] == [7, 7]


def test_a_gap_ends_its_partition_alone() -> None:
    claims = {(topics.MOVEMENTS, number): claim(number) for number in range(2)}
    raw = [
        message(event("batch.released", f"{partition}-{offset}"), offset, partition=partition)
        for partition, offset in ((0, 0), (0, 2), (0, 3), (1, 0), (1, 1))
    ]
    batches, gap = at_once(decode(raw, claims, session=1, lanes=2))
    assert gap is not None
    assert (gap.place, gap.expected) == ((topics.MOVEMENTS, 0), 1)
    assert [[record.offset for record in batch.records] for batch in batches] == [[0], [0, 1]]
