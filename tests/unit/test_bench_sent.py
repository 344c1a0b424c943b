"""What the measurement of ingest sends: valid, seeded, and as many events a request as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bench.load import percentile
from bench.sent import TYPES, Sender, requests
from services.ingest import intake
from services.ingest.intake import Limits
from shared.events.cloudevent import CloudEvent
from shared.keys import Principal
from tests.unit.ingest_given import OWN

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits(events=1000, ahead=timedelta(minutes=5))
SENDER = Sender("sw_key", OWN)
MANUFACTURER = Principal("key", "producer", "firm", frozenset({OWN}), frozenset({"manufacturer"}))


def read(request: bytes) -> list[CloudEvent]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    headers = {name.lower(): value for name, _, value in lines}
    assert int(headers["content-length"]) == len(body)
    return intake.read(headers, body, MANUFACTURER, NOW, LIMITS)


@pytest.mark.parametrize("events", [1, 100])
def test_every_request_is_valid_and_allowed(events: int) -> None:
    found = [read(request) for request in requests(SENDER, "localhost", events, 2_000 // events, seed=1)]
    assert {len(one) for one in found} == {events}
    told = [event for one in found for event in one]
    assert {event.type for event in told} == set(TYPES)
    assert len({event.id for event in told}) == len(told)


def test_the_same_seed_sends_the_same_bytes() -> None:
    first, again, other = (requests(SENDER, "localhost", 10, 5, seed) for seed in (1, 1, 2))
    assert first == again != other


def testpercentiles_are_in_milliseconds() -> None:
    taken = [number / 1000 for number in range(1, 101)]
    assert (percentile(taken, 0.5), percentile(taken, 0.99), percentile([], 0.5)) == (51.0, 100.0, 0.0)
