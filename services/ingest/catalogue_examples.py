"""Writes an event of each type as this very caller could send it, and the lines for curl and kcat that do. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any, Final, Self

from services.ingest.settings import IngestSettings
from shared import topics
from shared.clock import rfc3339
from shared.events import catalogue, cloudevent
from shared.events.catalogue import CATALOGUE
from shared.events.cloudevent import BINARY, SPEC_VERSION, STRUCTURED
from shared.events.corrections import SOURCE_PREFIX, EventCorrected
from shared.events.movements import StockCounted
from shared.keys import Principal

REGULATOR: Final = "regulator"
# What stands in the place of a name that the caller has not.
SOME_PRODUCER: Final = "<producer>"
EARLY: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KafkaWayIn:
    """How producers reach Kafka."""

    bootstrap: str
    security_protocol: str
    sasl_mechanism: str

    @classmethod
    def of(cls, settings: IngestSettings) -> Self:
        bootstrap = settings.kafka_public_bootstrap or settings.kafka_bootstrap
        return cls(bootstrap, settings.kafka_security_protocol, settings.kafka_sasl_mechanism)


def may_say(caller: Principal, type: str) -> bool:
    return bool(CATALOGUE[type].roles & caller.roles)


def example(type: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """The sample of `type`; for a producer from its own first GLN, about what is its own, and not ahead of `now`."""
    event = copy.deepcopy(catalogue.sample(type))
    if datetime.fromisoformat(event["time"]) > now:
        event["time"] = rfc3339(min(now, EARLY))  # the same at every look: sent twice it is one event
    if not caller.glns:
        return event
    own = min(caller.glns)
    event["source"] = SOURCE_PREFIX + own
    event["data"] = _correction(caller, now) if type == EventCorrected.TYPE else _owned(type, event["data"], own)
    if type == StockCounted.TYPE and CATALOGUE[type].roles & caller.roles == {REGULATOR}:
        event["data"]["covers"] = "national"
    return event


def _owned(type: str, data: Mapping[str, Any], own: str) -> dict[str, Any]:
    return {**data, **{name: own for name in CATALOGUE[type].own_glns if name in data}}


def _correction(caller: Principal, now: datetime) -> dict[str, Any]:
    """Of an event that the caller may say: the sample's own original where it may, else the first that there is."""
    data: dict[str, Any] = catalogue.sample(EventCorrected.TYPE)["data"]
    source = SOURCE_PREFIX + min(caller.glns)
    original = data["corrects"]["type"]
    if may_say(caller, original) or not caller.roles:
        return {**data, "corrects": {**data["corrects"], "source": source}}
    original = next(type for type in CATALOGUE if may_say(caller, type))
    told = example(original, caller, now)
    _, key = catalogue.route(original, cloudevent.check(cloudevent.from_structured(told)).data)
    return {
        **data,
        "corrects": {"source": source, "id": told["id"], "type": original},
        "key": key,
        "replacement": {"type": original, "data": told["data"]},
    }


def curl_line(event: Mapping[str, Any], url: str) -> str:
    """Sends `event` over HTTP; the key is in $KEY."""
    return _lines(
        f"curl -sS {quote(url + '/events')}",
        f'-H "Authorization: Bearer $KEY" -H {quote(f"Content-Type: {STRUCTURED}")}',
        f"--data-binary {quote(_compact(event))}",
    )


def kcat_line(event: Mapping[str, Any], caller: Principal, way_in: KafkaWayIn) -> str:
    """Sends `event` over Kafka in binary mode; user and password are in $KAFKA_USERNAME and $KAFKA_PASSWORD."""
    checked = cloudevent.check(cloudevent.from_structured(event))
    _, key = catalogue.route(checked.type, checked.data)
    topic = topics.inbound(caller.name if caller.glns else SOME_PRODUCER)
    headers = {
        "ce_specversion": SPEC_VERSION,
        **{f"ce_{name}": event[name] for name in ("id", "source", "type", "time")},
        "content-type": BINARY,
    }
    return _lines(
        f"printf %s {quote(_compact(event['data']))} |",
        f"kcat -P -b {quote(way_in.bootstrap)} -t {quote(topic)} -k {quote(key)} -X acks=all",
        f"-X security.protocol={way_in.security_protocol} -X sasl.mechanism={way_in.sasl_mechanism}",
        '-X sasl.username="$KAFKA_USERNAME" -X sasl.password="$KAFKA_PASSWORD"',
        *(f"-H {quote(f'{name}={value}')}" for name, value in headers.items()),
    )


def _lines(*parts: str) -> str:
    """One command, readable."""
    return " \\\n  ".join(parts)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
