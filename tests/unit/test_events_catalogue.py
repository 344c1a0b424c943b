"""Every type of the catalogue: its sample, its schema, its topic and key, who may say it."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from shared import topics
from shared.events import catalogue, cloudevent, reader
from shared.events.catalogue import CATALOGUE, SAMPLES_DIR, SCHEMAS_DIR
from tests.unit.events_same import values

TYPES = sorted(CATALOGUE)


@pytest.mark.parametrize("type_", TYPES)
def test_a_sample_is_accepted_and_read_back_to_the_same_values(type_: str) -> None:
    event = cloudevent.check(cloudevent.from_structured(catalogue.sample(type_)))
    record = cloudevent.to_kafka(event, by_regulator=False)
    read = reader.read(record.headers, record.value)
    assert (read.source, read.id, read.type, read.time) == (event.source, event.id, type_, event.time)
    assert read.subject == record.key.decode()
    assert values(read.data) == values(event.data)


@pytest.mark.parametrize("type_", TYPES)
def test_the_committed_schema_is_that_of_the_model(type_: str) -> None:
    committed = json.loads((SCHEMAS_DIR / f"{type_}.json").read_text(encoding="utf-8"))
    assert committed == catalogue.schema(type_)


@pytest.mark.parametrize("type_", TYPES)
def test_a_sample_fits_the_schema_of_its_type(type_: str) -> None:
    jsonschema_rs.validate(catalogue.schema(type_), catalogue.sample(type_)["data"])


def test_every_type_has_one_sample_one_schema_and_one_struct() -> None:
    assert {path.stem for path in SAMPLES_DIR.glob("*.json")} == set(TYPES)
    assert {path.stem for path in SCHEMAS_DIR.glob("*.json")} == set(TYPES)
    assert set(reader.STRUCTS) == set(TYPES)


@pytest.mark.parametrize(
    ("type_", "topic", "key"),
    [
        ("supply.batch.produced.v1", topics.MOVEMENTS, "09520000010010"),
        ("supply.consumption.reported.v1", topics.MOVEMENTS, "09520000010010"),
        ("supply.recall.closed.v1", topics.MOVEMENTS, "09520000010010"),
        ("supply.registration.granted.v1", topics.REGISTRY, "893110023426"),
        ("supply.price.declared.v1", topics.REGISTRY, "09520000010010"),
        ("supply.demand.estimated.v1", topics.REGISTRY, "gliclazide/modified-release tablet"),
        ("supply.gmp.certified.v1", topics.REGISTRY, "9520000001117"),
        ("supply.transfer.signed.v1", topics.REGISTRY, "transfer-2025-01"),
        ("supply.interruption.resolved.v1", topics.REGISTRY, "stop-2026-02"),
        ("supply.figure.reported.v1", topics.REGISTRY, "market_value"),
        ("supply.event.corrected.v1", topics.MOVEMENTS, "09520000010010"),
    ],
)
def test_an_event_goes_to_the_topic_and_key_of_what_it_is_about(type_: str, topic: str, key: str) -> None:
    event = cloudevent.check(cloudevent.from_structured(catalogue.sample(type_)))
    assert catalogue.route(type_, event.data) == (topic, key)


@pytest.mark.parametrize(
    ("short", "roles"),
    [
        ("batch.produced", {"manufacturer"}),
        ("batch.released", {"manufacturer", "importer", "regulator"}),
        ("batch.rejected", {"manufacturer", "importer"}),
        ("batch.recalled", {"manufacturer", "importer", "regulator"}),
        ("batch.destroyed", {"manufacturer", "importer"}),
        ("import.received", {"importer"}),
        ("export.shipped", {"manufacturer", "importer"}),
        ("stock.counted", {"manufacturer", "importer", "distributor", "regulator"}),
        ("stock.adjusted", {"manufacturer", "importer", "distributor"}),
        ("consumption.reported", {"distributor"}),
        ("recall.closed", {"manufacturer", "importer", "regulator"}),
        ("registration.granted", {"regulator"}),
        ("price.declared", {"regulator"}),
        ("figure.reported", {"regulator"}),
        ("transfer.signed", {"manufacturer", "regulator"}),
        ("interruption.notified", {"manufacturer", "importer", "distributor", "regulator"}),
        ("event.corrected", {"manufacturer", "importer", "distributor", "regulator"}),
    ],
)
def test_a_type_may_be_sent_by_the_roles_of_the_table(short: str, roles: set[str]) -> None:
    assert CATALOGUE[f"supply.{short}.v1"].roles == roles


def test_every_type_is_described_for_a_producer() -> None:
    assert all(event_type.description and event_type.title for event_type in CATALOGUE.values())
