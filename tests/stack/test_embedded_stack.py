"""The embedded stack: who is let in, what it says when it cannot start, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from confluent_kafka import KafkaError as ConfluentError
from confluent_kafka import Producer

from deploy.local.kafka import Kafka
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import Postgres
from deploy.local.progress import SilentSteps
from deploy.local.rundir import RunDir
from deploy.local.stack import PASSWORDS, Stack
from deploy.local.watching import PROMETHEUS
from shared import topics
from tests.stack.foreground import alive, foreground
from tests.stack.places import free_port_base
from tests.stack.waiting import TIMEOUT_SECONDS, eventually


def client_options(kafka: Kafka, username: str, password: str) -> dict[str, Any]:
    """Options of an aiokafka client."""
    return {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": username,
        "sasl_plain_password": password,
    }


async def test_a_wrong_kafka_password_is_refused(stack: Stack) -> None:
    refusals: list[int] = []
    client = Producer(
        {
            **stack.kafka.admin_login.config(),
            "sasl.password": "wrong",
            "error_cb": lambda error: refusals.append(error.code()),
            "log_level": 0,
        }
    )

    def authentication_failed() -> bool:
        client.poll(0)
        return ConfluentError._AUTHENTICATION in refusals

    await eventually(authentication_failed)


async def test_kafka_lets_nobody_in_without_a_user(stack: Stack) -> None:
    for port in ("kafka", "kafka-controller"):
        client = AIOKafkaProducer(bootstrap_servers=stack.ports.address(port), request_timeout_ms=2000)
        with pytest.raises(KafkaError):
            await client.start()
        await client.stop()


async def test_a_producer_writes_to_its_own_topic_alone(stack: Stack, credentials: dict[str, Any]) -> None:
    own = credentials["producers"]["manufacturer-1"]
    other = credentials["producers"]["manufacturer-2"]["topic"]
    client = AIOKafkaProducer(**client_options(stack.kafka, own["kafka_username"], own["kafka_password"]))
    await client.start()
    try:
        await client.send_and_wait(own["topic"], b"{}")
        for forbidden in (topics.MOVEMENTS, topics.ACCESS, other):
            with pytest.raises(TopicAuthorizationFailedError):
                await client.send_and_wait(forbidden, b"{}")
    finally:
        await client.stop()


async def test_a_service_writes_to_the_topics_of_its_own_alone(stack: Stack) -> None:
    for service, forbidden in (("supply", topics.MOVEMENTS), ("alerts", topics.SIGNALS), ("ingest", topics.SIGNALS)):
        client = AIOKafkaProducer(**client_options(stack.kafka, service, stack.kafka_password(service)))
        await client.start()
        try:
            with pytest.raises(TopicAuthorizationFailedError):
                await client.send_and_wait(forbidden, b"{}")
        finally:
            await client.stop()


async def test_a_wrong_database_password_is_refused(stack: Stack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stack.postgres.url("supply"), password="wrong")


async def test_a_service_reads_no_other_schema_than_its_own(stack: Stack) -> None:
    supply = await asyncpg.connect(stack.postgres.url("supply"))
    alerts = await asyncpg.connect(stack.postgres.url("alerts"))
    try:
        await supply.execute("CREATE TABLE private_to_supply AS SELECT 1 AS one")
        assert await supply.fetchval("SELECT one FROM supply.private_to_supply") == 1
        for forbidden in (
            "SELECT one FROM supply.private_to_supply",
            "CREATE TABLE supply.intruder (one int)",
            "CREATE TABLE public.intruder (one int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await alerts.execute(forbidden)
    finally:
        await supply.execute("DROP TABLE IF EXISTS private_to_supply")
        await supply.close()
        await alerts.close()


async def test_a_paused_transaction_of_supply_is_ended_by_the_database(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.postgres.url("supply"))
    try:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "5s"
        assert await connection.fetchval("SHOW fsync") == "on"
    finally:
        await connection.close()


async def test_kafka_and_postgresql_can_be_stopped_and_started_alone(stack: Stack) -> None:
    for name in ("kafka", "postgres"):
        stack.stop_child(name)
        assert stack.pid(name) is None
        stack.start_child(name)
        assert stack.pid(name) is not None


async def test_a_dead_child_is_started_again(stack: Stack) -> None:
    before = stack.pid("receiver")
    stack.kill_child("receiver")
    assert await eventually(lambda: stack.pid("receiver") not in (None, before))
    stack.wait_ready("receiver")


async def test_a_second_instance_of_a_service_stands_beside_the_first(stack: Stack) -> None:
    second = stack.spawn_service("alerts")
    try:
        assert second == "alerts-2"
        assert stack.pid(second) not in (None, stack.pid("alerts"))
    finally:
        stack.end_service(second)
    assert stack.pid(second) is None


class Said(SilentSteps):
    """What a stack says beside its steps."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_prometheus_that_does_not_start_is_left_out(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "prometheus"
    broken.write_text("#!/bin/sh\necho 'no such flag' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    said = Said()
    stack.show_on(said)
    try:
        stack.start_watchers()
    finally:
        stack.show_on(SilentSteps())
    assert stack.watching == ()
    assert PROMETHEUS not in stack.children.names()
    assert said.lines[-1].startswith("prometheus is left out: prometheus ends again and again: no such flag")


def test_what_is_secret_is_readable_by_its_owner_alone(stack: Stack) -> None:
    secret = ("credentials.json", "secrets.json", "bootstrap-key.json", "kafka/server.properties")
    for name in secret:
        assert stat.S_IMODE((stack.run_dir / name).stat().st_mode) == 0o600, name


def test_a_busy_port_is_named_in_one_line_with_what_wanted_it(tmp_path: Path) -> None:
    base = free_port_base()
    with socket.create_server((HOST, Ports(base).of("postgres"))), foreground(tmp_path / "run", base) as running:
        code, lines = running.refusal()
    assert code == 2
    assert len(lines) == 1
    assert str(Ports(base).of("postgres")) in lines[0]
    assert "postgres" in lines[0]


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with foreground(tmp_path, free_port_base()) as running:
        code, lines = running.refusal()
    assert (code, len(lines)) == (2, 1)
    assert str(tmp_path) in lines[0]
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_stack_a_directory(stack: Stack) -> None:
    with foreground(stack.run_dir.path, free_port_base()) as running:
        code, lines = running.refusal()
    assert (code, len(lines)) == (2, 1)
    assert "in use by another stack" in lines[0]
    assert stack.run_dir.credentials.exists()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A directory and ports that several runs follow one another in."""
    return tmp_path_factory.mktemp("foreground") / "run", free_port_base()


async def _remember(place: tuple[Path, int], text: str) -> None:
    """Writes `text` into PostgreSQL and into Kafka."""
    database, kafka = _logins(place)
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE memory (text text)")
    await connection.execute("INSERT INTO memory VALUES ($1)", text)
    await connection.close()
    client = AIOKafkaProducer(**kafka, acks="all")
    await client.start()
    await client.send_and_wait(topics.CHECKPOINTS, text.encode(), partition=0)
    await client.stop()


async def _remembered(place: tuple[Path, int]) -> tuple[str, str]:
    """What PostgreSQL and Kafka still know."""
    database, kafka = _logins(place)
    connection = await asyncpg.connect(database)
    kept: str = await connection.fetchval("SELECT text FROM memory")
    await connection.close()
    client = AIOKafkaConsumer(**kafka, auto_offset_reset="earliest")
    await client.start()
    client.assign([TopicPartition(topics.CHECKPOINTS, 0)])
    record = await asyncio.wait_for(client.getone(), TIMEOUT_SECONDS)
    await client.stop()
    return kept, record.value.decode()


def _logins(place: tuple[Path, int]) -> tuple[str, dict[str, Any]]:
    """The address of the database for supply, and the options of a Kafka client for the administrator."""
    run_dir, base = RunDir(place[0]), Ports(place[1])
    passwords = run_dir.passwords(PASSWORDS)
    database = Postgres(run_dir, base, {"supply": passwords["postgres-supply"]})
    kafka = Kafka(run_dir, base, {"admin": passwords["kafka-admin"]})
    return database.url("supply"), client_options(kafka, "admin", passwords["kafka-admin"])


def _send_webhook(place: tuple[Path, int], summary: str) -> None:
    """To the receiver, unsigned, which is kept and shown too."""
    body = json.dumps({"type": "supply.alert.firing.v1", "data": {"summary": summary}}).encode()
    request = Request(f"http://{HOST}:{Ports(place[1]).of('receiver')}/webhooks", body, method="POST")
    with pytest.raises(HTTPError, match="401"):
        urlopen(request, timeout=TIMEOUT_SECONDS)


def test_sigterm_and_ctrl_c_show_what_arrived_and_leave_no_child(place: tuple[Path, int]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with foreground(*place) as running:
            running.wait_until_ready()
            children = running.children()
            assert {"kafka", "postgres", "receiver"} <= children.keys()
            _send_webhook(place, f"told before signal {number}")
            code, said = running.end(number)
        assert code == 0, said
        assert sum(f"told before signal {number}" in line for line in said.splitlines()) == 1
        assert alive(children) == []
        assert not (place[0] / "credentials.json").exists()


async def test_kill_9_leaves_no_child_and_the_next_run_goes_on_with_the_data(place: tuple[Path, int]) -> None:
    with foreground(*place) as running:
        running.wait_until_ready()
        await _remember(place, "before the kill")
        children = running.children()
        running.end(signal.SIGKILL)
        await eventually(lambda: alive(children) == [])
    with foreground(*place) as running:
        running.wait_until_ready()
        assert await _remembered(place) == ("before the kill", "before the kill")
        running.end(signal.SIGTERM)
