"""On uvloop a connection that the broker has reset is a broken connection, not the end of a client's tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from shared import kafka
from shared.kafka_connection import Connection


class Reset:
    """A writer whose transport the peer has reset, as uvloop has it."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    def close(self) -> None: ...


@pytest.fixture
async def broken() -> Connection:
    connection = Connection("nowhere", 9092)
    connection._writer, connection._reader = Reset(), asyncio.StreamReader()
    connection._read_task = asyncio.create_task(asyncio.sleep(0))
    connection._versions = {MetadataRequest.API_KEY: (0, 1)}
    return connection


async def test_a_request_on_a_connection_that_was_reset_breaks_the_connection(broken: Connection) -> None:
    with pytest.raises(KafkaConnectionError, match="the handler is closed"):
        broken.send(MetadataRequest([]))
    assert not broken.connected()


async def test_a_login_on_a_connection_that_was_reset_breaks_the_connection(broken: Connection) -> None:
    with pytest.raises(KafkaConnectionError):
        broken._send_sasl_token(b"token")
    assert not broken.connected()


def test_every_client_of_a_service_has_such_connections() -> None:
    made: Any = conn.AIOKafkaConnection
    assert kafka and made is Connection
