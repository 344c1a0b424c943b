"""What the logs tell of libraries that repeat themselves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared import telemetry
from shared.telemetry import Throttle, set_up_logging

LIBRARY = "aiokafka.conn"


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The seconds that the throttle of the logs goes by, as the one item of a list; logging is as before afterwards."""
    now, root, library = [0.0], logging.getLogger(), logging.getLogger(LIBRARY)
    handlers, level, filters = root.handlers[:], root.level, library.filters[:]
    monkeypatch.setattr(telemetry, "Throttle", lambda seconds: Throttle(seconds, lambda: now[0]))
    yield now
    root.handlers[:], library.filters[:] = handlers, filters
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_repeated_message_passes_once_an_interval_and_says_how_often_it_did_not(
    moment: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("ingest", "one", "info")
    library = logging.getLogger(LIBRARY)
    for second in (0, 1, 2, 9, 10, 11, 20, 30):
        moment[0] = float(second)
        library.warning("cannot reach node %s", second)
    library.warning("something else")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("held_back")) for line in lines] == [
        ("cannot reach node 0", None),
        ("cannot reach node 10", 3),
        ("cannot reach node 20", 1),
        ("cannot reach node 30", None),
        ("something else", None),
    ]
