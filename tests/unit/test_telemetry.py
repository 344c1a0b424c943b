"""What the logs tell of libraries that repeat themselves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from shared import telemetry
from shared.telemetry import HTTP_REQUESTS, Throttle, exposed, set_up_logging

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


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"),
        ("text/plain;version=0.0.4", "text/plain"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
    ],
)
def test_metrics_are_told_as_openmetrics_to_whoever_asks_for_it(accept: str, media_type: str) -> None:
    HTTP_REQUESTS.labels("test", "GET", "/told", "200").inc()
    body, told = exposed(accept)
    assert told.partition(";")[0] == media_type
    assert "charset=utf-8" in told
    parse = open_metrics if "openmetrics" in media_type else plain_text
    names = {sample.name for family in parse(body.decode()) for sample in family.samples}
    assert "supply_watch_http_requests_total" in names
    assert not any(name.endswith("_created") for name in names)
