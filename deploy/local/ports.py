"""Decides every port of a stack: PORT_BASE plus a tabled offset; says which of them are taken."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from deploy.local.faults import CannotStart

HOST: Final = "127.0.0.1"
OFFSETS: Final[Mapping[str, int]] = {
    "ingest": 10,
    "supply": 20,
    "alerts": 30,
    "kafka": 40,
    "kafka-controller": 41,
    "postgres": 50,
    "receiver": 60,
    "prometheus": 70,
    "grafana": 80,
}
HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the stack at `base`. Raises CannotStart for a base that leaves no room."""

    base: int = 8000

    def __post_init__(self) -> None:
        if not 1024 - min(OFFSETS.values()) <= self.base <= HIGHEST_PORT - max(OFFSETS.values()):
            raise CannotStart(f"PORT_BASE {self.base} leaves no room for the ports above it (1024 to {HIGHEST_PORT})")

    def of(self, name: str) -> int:
        return self.base + OFFSETS[name]

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.of(name)}"

    def address(self, name: str) -> str:
        return f"{HOST}:{self.of(name)}"


def parse_port_base(text: str) -> int:
    """Raises CannotStart for what is no number."""
    try:
        return int(text)
    except ValueError:
        raise CannotStart(f"PORT_BASE {text!r} is not a number") from None


def is_free(port: int) -> bool:
    """True if a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def check_free(ports: Ports, names: Iterable[str]) -> None:
    """Raises CannotStart that names the first taken port and what wanted it."""
    for name in names:
        if not is_free(ports.of(name)):
            raise CannotStart(
                f"port {ports.of(name)}, which {name} wants, is in use: free it or choose another PORT_BASE"
                f" (now {ports.base})"
            )


def answers(port: int, timeout_seconds: float = 0.2) -> bool:
    """True if something accepts connections on `port`."""
    try:
        socket.create_connection((HOST, port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True
