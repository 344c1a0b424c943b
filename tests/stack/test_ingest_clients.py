"""What others' tools send is accepted: the lines of the catalogue by curl and kcat, and CloudEvents' own Python SDK."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cloudevents.core.bindings import http as binding
from cloudevents.core.v1.event import CloudEvent

from deploy.local.stack import Stack
from shared.events.catalogue import CATALOGUE
from tests.stack import shell
from tests.stack.topic_log import ends_of, records
from tests.tools import need

FIRMS = ("regulator-1", "distributor-1", "importer-1", "manufacturer-1")


async def shown(http: aiohttp.ClientSession, credentials: dict[str, Any], type_: str, producer: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {credentials['producers'][producer]['key']}"}
    async with http.get(f"{credentials['ingest']}/catalogue/{type_}", headers=headers) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


def sender_of(type_: str, credentials: dict[str, Any]) -> str:
    """A producer of the stack that may say it."""
    roles = CATALOGUE[type_].roles
    return next(name for name in FIRMS if roles & set(credentials["producers"][name]["roles"]))


async def test_the_curl_line_of_every_type_sends_an_event_that_is_accepted(
    http: aiohttp.ClientSession, credentials: dict[str, Any]
) -> None:
    need("curl")
    for type_ in CATALOGUE:
        producer = sender_of(type_, credentials)
        line = (await shown(http, credentials, type_, producer))["curl"]
        outcome = shell.run(line, KEY=credentials["producers"][producer]["key"])
        accepted = json.loads(outcome.stdout).get("accepted")
        assert accepted, f"{type_}: {outcome.stdout}"
        assert accepted[0]["type"] == type_


@pytest.mark.parametrize(
    ("producer", "type_"),
    [
        ("manufacturer-1", "supply.batch.produced.v1"),
        ("importer-1", "supply.import.received.v1"),
        ("distributor-1", "supply.event.corrected.v1"),
        ("regulator-1", "supply.demand.estimated.v1"),
    ],
)
async def test_the_kcat_line_puts_the_event_on_the_producers_own_topic(
    http: aiohttp.ClientSession, credentials: dict[str, Any], stack: Stack, tmp_path: Path, producer: str, type_: str
) -> None:
    need("kcat")
    firm = credentials["producers"][producer]
    told = await shown(http, credentials, type_, producer)
    login = {"KAFKA_USERNAME": firm["kafka_username"], "KAFKA_PASSWORD": firm["kafka_password"]}
    before = await ends_of(stack, firm["topic"])
    outcome = shell.run(told["kcat"], LD_LIBRARY_PATH=shell.newer_librdkafka(tmp_path), **login)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    sample = told["sample"]
    (record,) = await records(stack, firm["topic"], before)
    assert json.loads(record.value) == sample["data"]
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        **{f"ce_{name}": sample[name].encode() for name in ("id", "source", "type", "time")},
        "content-type": b"application/json",
    }


async def test_kcat_may_write_to_no_other_topic(
    http: aiohttp.ClientSession, credentials: dict[str, Any], tmp_path: Path
) -> None:
    need("kcat")
    firm = credentials["producers"]["manufacturer-1"]
    line = (await shown(http, credentials, "supply.batch.produced.v1", "manufacturer-1"))["kcat"]
    login = {"KAFKA_USERNAME": firm["kafka_username"], "KAFKA_PASSWORD": firm["kafka_password"]}
    foreign = line.replace("inbound.manufacturer-1", "inbound.manufacturer-2")
    assert foreign != line
    outcome = shell.run(foreign, LD_LIBRARY_PATH=shell.newer_librdkafka(tmp_path), **login)
    assert outcome.returncode != 0
    assert "authorization failed" in outcome.stderr.lower()


@pytest.mark.parametrize("write", [binding.to_structured_event, binding.to_binary_event])
async def test_the_cloudevents_sdk_sends_events_that_are_accepted(
    http: aiohttp.ClientSession, credentials: dict[str, Any], write: Any
) -> None:
    firm = credentials["producers"]["manufacturer-1"]
    id_ = f"lô 7 “{write.__name__}”"  # what HTTP headers cannot hold as it is
    attributes = {
        "id": id_,
        "source": f"urn:gln:{firm['gln'][0]}",
        "type": "supply.batch.released.v1",
        "time": datetime(2026, 3, 12, 9, 30, tzinfo=UTC),
        "datacontenttype": "application/json",
        "subject": "09520000010010",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    data = {"gtin": "09520000010010", "lot": "SDK-1", "quantity": 3, "released_on": "2026-03-12"}
    message = write(CloudEvent(attributes, data))
    headers = {**message.headers, "Authorization": f"Bearer {firm['key']}"}
    async with http.post(f"{credentials['ingest']}/events", data=message.body, headers=headers) as answer:
        told = await answer.json(content_type=None)
        assert answer.status == 202, told
    assert [item["id"] for item in told["accepted"]] == [id_]
