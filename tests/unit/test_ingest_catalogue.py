"""What the catalogue shows a producer: an event of each type that it could send, and each field in words."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from services.ingest import intake
from services.ingest.catalogue_examples import KafkaWayIn, curl_line, example, kcat_line, may_say
from services.ingest.catalogue_fields import FieldRow, rows
from shared.events import catalogue, cloudevent
from shared.events.catalogue import CATALOGUE, ROLES
from shared.keys import Principal
from tests.unit.ingest_given import OWN, sender

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
LIMITS = intake.Limits(1_000, timedelta(minutes=5))
WAY_IN = KafkaWayIn("kafka.example:9092", "SASL_SSL", "SCRAM-SHA-512")
VIEWER = Principal("abcdefghijkl", "viewer", "Mai")
SAID = [(type_, role) for type_ in CATALOGUE for role in ROLES if may_say(sender(role), type_)]


@pytest.mark.parametrize(("type_", "role"), SAID)
def test_the_example_would_be_accepted_of_whoever_may_say_it(type_: str, role: str) -> None:
    body = json.dumps(example(type_, sender(role), NOW)).encode()
    (event,) = intake.read({"content-type": cloudevent.STRUCTURED}, body, sender(role), NOW, LIMITS)
    assert event.type == type_
    assert event.source == f"urn:gln:{min(sender(role).glns)}"


def test_whoever_is_no_producer_sees_the_sample_as_it_is() -> None:
    assert example("supply.batch.produced.v1", VIEWER, NOW) == catalogue.sample("supply.batch.produced.v1")
    assert "inbound.<producer>" in kcat_line(example("supply.batch.produced.v1", VIEWER, NOW), VIEWER, WAY_IN)


@pytest.mark.parametrize("type_", CATALOGUE)
def test_the_lines_hold_the_event_whatever_the_shell_makes_of_them(type_: str) -> None:
    caller = sender("regulator")
    event = example(type_, caller, NOW)
    event["id"] = 'it\'s "$HOME" `id`'
    curl = shlex.split(curl_line(event, "http://ingest.example").replace("\\\n", ""))
    assert json.loads(curl[curl.index("--data-binary") + 1]) == event
    kcat = shlex.split(kcat_line(event, caller, WAY_IN).replace("\\\n", ""))
    assert json.loads(kcat[2]) == event["data"]
    headers = dict(kcat[at + 1].split("=", 1) for at, word in enumerate(kcat) if word == "-H")
    assert headers["ce_id"] == event["id"]
    assert headers["ce_type"] == type_
    assert kcat[kcat.index("-t") + 1] == "inbound.firm"
    assert {"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512"} <= set(kcat)


def test_fields_are_told_in_words() -> None:
    produced = rows(catalogue.schema("supply.batch.produced.v1"), ("manufacturer", "site"))
    assert FieldRow("quantity", True, "whole number, 1 to 1000000000000", False) in produced
    assert FieldRow("manufacturer", True, "GLN", True) in produced
    assert FieldRow("inputs[].lot", True, "Lot, GS1 AI (10)", False) in produced
    granted = rows(catalogue.schema("supply.registration.granted.v1"), ())
    assert FieldRow("local_step", False, "full or fill_finish or packaging", False) in granted
    assert FieldRow("granted_on", True, "date", False) in granted


@pytest.mark.parametrize("type_", CATALOGUE)
def test_every_field_of_a_sample_is_in_the_table(type_: str) -> None:
    shown = {row.path for row in rows(catalogue.schema(type_), ())}
    assert set(catalogue.sample(type_)["data"]) <= shown


def test_an_example_is_never_ahead_of_now() -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    event = example("supply.registration.renewed.v1", sender("regulator"), early)
    assert datetime.fromisoformat(event["time"]) <= early
    assert OWN in event["source"]
