"""Lets aiokafka see on uvloop that a connection is gone.

A write to a transport that the peer has reset raises RuntimeError there, where asyncio's own loop raises nothing.
aiokafka expects OSError: a RuntimeError ends its background tasks (metadata, coordination, fetching) in silence, and
the client never recovers. To be removed once aiokafka does this itself:
https://github.com/aio-libs/aiokafka/issues/1038
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection on which every failure to write is a KafkaConnectionError."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        return self._written(lambda: super(Connection, self).send(request, expect_response))

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        return self._written(lambda: super(Connection, self)._send_sasl_token(payload, expect_response))

    def _written(self, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


def install() -> None:
    """Makes every aiokafka client of this process use it. May be called again."""
    conn.AIOKafkaConnection = Connection
