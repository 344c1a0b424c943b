"""Holds a named lease in a row: one holder at a time, and an epoch by which a former holder is refused."""

from __future__ import annotations

from typing import Final

import asyncpg

# The table every service with a lease has; `epoch` grows by one with each new holder.
COLUMNS: Final = "name text primary key, holder text not null, epoch bigint not null, expires_at timestamptz not null"

_TAKE = """
INSERT INTO leases AS held (name, holder, epoch, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET
    epoch = CASE WHEN held.holder = $2 AND held.epoch = $4 THEN held.epoch ELSE held.epoch + 1 END,
    holder = $2,
    expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE held.expires_at < clock_timestamp() OR (held.holder = $2 AND held.epoch = $4)
RETURNING epoch
"""
_STILL_MINE = "SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 FOR UPDATE"
_RELEASE = "UPDATE leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2 AND epoch = $3"


class LeaseLost(Exception):
    """Another instance holds the lease now; what was being written must not be."""


class Lease:
    """One named lease as seen by one instance. The database's clock decides when it ends."""

    def __init__(self, name: str, holder: str, seconds: float) -> None:
        self.name = name
        self.holder = holder
        self.seconds = seconds
        self.epoch = 0

    async def hold(self, connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> bool:
        """Takes or renews the lease; False while another instance holds it."""
        epoch = await connection.fetchval(_TAKE, self.name, self.holder, self.seconds, self.epoch)
        self.epoch = epoch or 0
        return epoch is not None

    async def guard(self, connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> None:
        """Call first in a transaction that writes under the lease. Raises LeaseLost."""
        if await connection.fetchval(_STILL_MINE, self.name, self.holder, self.epoch) is None:
            raise LeaseLost(self.name)

    async def release(self, connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> None:
        """Lets the next instance take over at once."""
        await connection.execute(_RELEASE, self.name, self.holder, self.epoch)
        self.epoch = 0
