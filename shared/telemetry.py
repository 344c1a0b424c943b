"""Sets up JSON logs and holds the metrics that every service has."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import REGISTRY, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

LATENCY_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# A logger's filter does not see its children's records: each that repeats itself is named.
THROTTLED: Final = ("aiokafka", "aiokafka.conn", "aiokafka.cluster", "aiokafka.producer.sender")
THROTTLE_SECONDS: Final = 10.0
THROTTLE_MAX_KINDS: Final = 1_000
HELD_BACK: Final = "held_back"

# Beside each counter and histogram OpenMetrics would show when it was made: twice as many series, asked for by nobody.
disable_created_metrics()  # type: ignore[no-untyped-call]

HTTP_REQUESTS: Final = Counter(
    "supply_watch_http_requests", "HTTP requests answered.", ["service", "method", "route", "status"]
)
HTTP_SECONDS: Final = Histogram(
    "supply_watch_http_request_seconds", "Time to answer.", ["service", "route"], buckets=LATENCY_BUCKETS_SECONDS
)


def exposed(accept: str) -> tuple[bytes, str]:
    """Every metric of this process and its media type: OpenMetrics where `accept` asks for it, else Prometheus text."""
    encode, media_type = choose_encoder(accept)
    return encode(REGISTRY), media_type


def set_up_logging(service: str, instance: str, level: str) -> None:
    """One JSON object a line on standard error; libraries' own log lines take the same form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=[HELD_BACK])],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True
    throttle = Throttle(THROTTLE_SECONDS)
    for library in THROTTLED:
        logging.getLogger(library).addFilter(throttle)
    structlog.contextvars.bind_contextvars(service=service, instance=instance)


class Throttle(logging.Filter):
    """Lets the same message of a library through once an interval: clients repeat it dozens of times a second.

    The next one that passes says in the field `held_back` how many did not.
    """

    def __init__(self, interval_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval_seconds = interval_seconds
        self._now = now
        self._passed_at: dict[tuple[str, str], float] = {}
        self._held_back: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, _kind(record)), self._now()
        if now - self._passed_at.get(kind, -self._interval_seconds) < self._interval_seconds:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        if held_back := self._held_back.pop(kind, 0):
            setattr(record, HELD_BACK, held_back)
        if len(self._passed_at) >= THROTTLE_MAX_KINDS:
            self._passed_at.clear()
            self._held_back.clear()
        self._passed_at[kind] = now
        return True


def _kind(record: logging.LogRecord) -> str:
    """The message before its values are filled in. librdkafka's are nothing but values: the first is what it is of."""
    message = str(record.msg)
    named = message.startswith("%s") and isinstance(record.args, tuple) and record.args
    return f"{message} {record.args[0]}" if named else message  # type: ignore[index]


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    found: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return found
