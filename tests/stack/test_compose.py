"""deploy/compose as far as it goes without Docker: its commands, variables and secrets bring the system up over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pytest_socket import enable_socket

from deploy.compose.certificates import new_authority
from deploy.local.ports import HOST
from shared.json_http import call
from tests.stack.composed import Composed
from tests.stack.waiting import eventually
from tests.supply_given import gtin
from tests.unit.deployment_read import SERVICES

pytestmark = pytest.mark.proof

GLN: Final = "9521000000018"
NAME: Final = "first"


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    enable_socket()
    with Composed(tmp_path_factory.mktemp("composed")) as running:
        running.start_postgres()
        running.start_kafka()
        for name in ("postgres-setup", "kafka-setup"):
            failed = running.set_up(name)
            assert failed == "", f"{name}: {failed}\n{running.log('kafka')}"
        running.start_services()
        for name in SERVICES:
            assert running.ready(name), running.log(name)
        yield running


def test_each_set_up_can_be_run_again_and_each_service_is_found_healthy(composed: Composed) -> None:
    assert [composed.set_up(name) for name in ("kafka-setup", "postgres-setup")] == ["", ""]
    assert [name for name in SERVICES if not composed.lives(name)] == []


def test_nobody_speaks_to_kafka_without_tls_or_with_another_authority(composed: Composed, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(new_authority(datetime.now(UTC)).certificate)
    login: dict[str, str | int | float | bool] = {
        "bootstrap.servers": f"localhost:{composed.ports.of('kafka')}",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "admin",
        "sasl.password": composed.secret("kafka_admin_password"),
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(composed.secrets / "ca.pem"),
        "log_level": 0,
    }
    assert AdminClient(login).list_topics(timeout=15).topics
    wrongs: tuple[dict[str, str | int | float | bool], ...] = (
        {"security.protocol": "SASL_PLAINTEXT"},
        {"ssl.ca.location": str(tmp_path / "other.pem")},
    )
    for wrong in wrongs:
        with pytest.raises(KafkaException):
            AdminClient(login | wrong).list_topics(timeout=2)


async def test_an_event_of_a_producer_reaches_the_ledger(composed: Composed, http: aiohttp.ClientSession) -> None:
    def url(service: str) -> str:
        return f"http://{HOST}:{composed.ports.of(service)}"

    admin = composed.secret("bootstrap_admin_key")
    call("POST", f"{url('ingest')}/producers", admin, {"name": NAME, "glns": [GLN], "roles": ["manufacturer"]})
    key = call("POST", f"{url('ingest')}/producers/{NAME}/keys", admin, {})["key"]
    now = datetime.now(UTC).isoformat()
    product = gtin(77)
    data = {"gtin": product, "lot": "A1", "quantity": 500, "manufacturer": GLN}
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": f"urn:gln:{GLN}",
        "type": "supply.batch.produced.v1",
        "time": now,
        "data": data | {"produced_on": "2026-01-01", "expires_on": "2028-01-01"},
    }
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    async with http.post(f"{url('ingest')}/events", data=json.dumps(event), headers=headers) as answer:
        assert answer.status == 202, await answer.text()

    async def recorded() -> dict[str, Any] | None:
        asked = http.get(f"{url('supply')}/lots/{product}/A1", headers={"Authorization": f"Bearer {admin}"})
        async with asked as answer:
            return await answer.json() if answer.status == 200 else None

    lot = await eventually(recorded, timeout_seconds=30)
    assert lot is not None
    assert lot["places"]["quarantine"] == 500
    checkpoints = composed.run_dir.path.parent / "state" / "checkpoints"
    await eventually(lambda: any(checkpoints.glob("checkpoints-*.jsonl")), timeout_seconds=30)
