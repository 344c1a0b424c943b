"""Decides whether somebody may try to sign in now: failures are counted by address and by the key that was tried.

In memory, bounded, each process for itself; time is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from fastapi import Request

from shared.errors import Problem
from shared.rate import MAX_KEYS, Rate

NETWORK_BITS: Final = 64  # of IPv6: whoever has one address has all of its network
SECONDS_A_MINUTE: Final = 60.0


class Attempts:
    """`per_minute` steadily, `burst` at once, for each address and for each key id."""

    def __init__(
        self,
        per_minute: float,
        burst: int,
        *,
        now_seconds: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        def rate(whose: str) -> Rate:
            per_second = per_minute / SECONDS_A_MINUTE
            return Rate("failed sign-ins", per_second, burst, whose=whose, now_seconds=now_seconds, max_keys=max_keys)

        self._of_addresses, self._of_keys = rate("an address"), rate("a key")

    def begin(self, address: str, key_id: str | None) -> None:
        """Counts one as if it failed, so that many at once are counted too. Raises Problem 429 with Retry-After."""
        network = network_of(address)
        self._of_addresses.spend(network)
        if key_id is not None:
            try:
                self._of_keys.spend(key_id)
            except Problem:
                self._of_addresses.give_back(network)
                raise

    def succeeded(self, address: str, key_id: str | None) -> None:
        """It did not fail: it counts no more."""
        self._of_addresses.give_back(network_of(address))
        if key_id is not None:
            self._of_keys.give_back(key_id)

    def __len__(self) -> int:
        """How many addresses and keys are remembered."""
        return len(self._of_addresses) + len(self._of_keys)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that counts as failed until it has succeeded."""

    attempts: Attempts
    address: str
    key_id: str | None

    def succeeded(self) -> None:
        self.attempts.succeeded(self.address, self.key_id)


def begun(request: Request, key_id: str | None) -> Attempt:
    """The attempt that `request` is. Raises Problem 429 with Retry-After."""
    address = request.client.host if request.client else "unknown"
    attempts: Attempts = request.app.state.attempts
    attempts.begin(address, key_id)
    return Attempt(attempts, address, key_id)


def network_of(address: str) -> str:
    """What is counted together: an IPv4 address, an IPv6 network."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Network((found.packed, NETWORK_BITS), strict=False))
    return str(found)
