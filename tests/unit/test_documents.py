"""The OpenAPI and AsyncAPI documents: as committed, whole, and valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from deploy.documents import documents
from shared.events import cloudevent
from shared.events.catalogue import CATALOGUE, sample
from shared.settings import ROOT
from tests.tools import missing

DOCUMENTS = {str(path.relative_to(ROOT)): content for path, content in documents()}
OPENAPI = sorted(name for name in DOCUMENTS if name.endswith("openapi.json"))
ASYNCAPI = DOCUMENTS["services/ingest/asyncapi.json"]
# Fetched by .ci/run.
ASYNCAPI_SCHEMA = ROOT / "build/asyncapi/node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_document_is_that_of_the_routes(name: str) -> None:
    assert json.loads(Path(ROOT, name).read_text("utf-8")) == DOCUMENTS[name], "write them anew: make documents"


@pytest.mark.parametrize("name", OPENAPI)
def test_an_openapi_document_is_valid(name: str) -> None:
    schemathesis.openapi.from_dict(DOCUMENTS[name]).validate()


def operations(name: str) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENTS[name]["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("name", OPENAPI)
def test_every_operation_says_what_it_does_and_all_that_follows_from_its_shape(name: str) -> None:
    found = operations(name)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for path, operation in found.items():
        statuses = set(operation["responses"])
        assert operation.get("description") or operation.get("summary"), path
        assert any(status < "400" for status in statuses), path
        assert "security" not in operation or {"401", "403", "429", "503"} <= statuses, path
        assert "{" not in path or "404" in statuses, path
        assert "requestBody" not in operation or {"400", "413", "422"} <= statuses, path


@pytest.mark.parametrize("name", OPENAPI)
def test_every_refusal_is_problem_json(name: str) -> None:
    shared = DOCUMENTS[name]["components"]["responses"]
    for path, operation in operations(name).items():
        for status, response in operation["responses"].items():
            if status >= "400" and path != "GET /health/ready":
                told = shared[status] if "$ref" in response else response
                assert "application/problem+json" in told["content"], f"{status} of {path}"


def test_only_health_metrics_and_signing_in_need_no_key() -> None:
    signing = {f"{method} /sign-{way}" for method in ("GET", "POST") for way in ("in", "out")}
    signing |= {"GET /sign-in/oidc", "GET /sign-in/oidc/callback"}
    watching = {"GET /health/live", "GET /health/ready", "GET /metrics"}
    for name in OPENAPI:
        keyless = {path for path, operation in operations(name).items() if "security" not in operation}
        assert watching <= keyless <= watching | signing


def test_the_asyncapi_document_is_valid() -> None:
    if not ASYNCAPI_SCHEMA.exists():
        why = f"AsyncAPI's own schema is not there: npm install --prefix {ASYNCAPI_SCHEMA.parents[4]} @asyncapi/specs"
        missing(why)
    validator = jsonschema_rs.validator_for(json.loads(ASYNCAPI_SCHEMA.read_text("utf-8")))
    assert [error.message for error in validator.iter_errors(ASYNCAPI)] == []


def test_every_type_is_a_message_on_the_inbound_channel_and_on_its_topic() -> None:
    channels = ASYNCAPI["channels"]
    names = {message["name"]: key for key, message in ASYNCAPI["components"]["messages"].items()}
    assert set(names) == set(CATALOGUE)
    assert set(channels["inbound"]["messages"]) == set(names.values())
    for event_type in CATALOGUE.values():
        on = {channel["address"] for channel in channels.values() if names[event_type.name] in channel["messages"]}
        trusted = {"supply.movements.v1", "supply.registry.v1"}
        assert on == {"inbound.{producer}"} | ({event_type.topic} if event_type.topic else trusted)


@pytest.mark.parametrize("name", sorted(ASYNCAPI["components"]["messages"]))
def test_the_example_of_a_message_fits_its_own_schemas(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]
    (example,) = message["examples"]
    for part in ("headers", "payload"):
        schema = {**message[part], "components": ASYNCAPI["components"]}
        validator = jsonschema_rs.validator_for({**schema, "$schema": "http://json-schema.org/draft-07/schema"})
        assert [error.message for error in validator.iter_errors(example[part])] == []


def test_references_lead_somewhere() -> None:
    for content in DOCUMENTS.values():
        for reference in _references(content):
            found: Any = content
            for step in reference.removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/")]


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [reference for item in value for reference in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [reference for item in value.values() for reference in _references(item)]


def test_the_asyncapi_document_names_every_header_that_ingest_writes() -> None:
    event = cloudevent.check(cloudevent.from_structured(sample("supply.batch.released.v1")))
    written = {name for name, _ in cloudevent.to_kafka(event, by_regulator=True).headers}
    assert written <= ASYNCAPI["components"]["schemas"]["CloudEventHeaders"]["properties"].keys()
