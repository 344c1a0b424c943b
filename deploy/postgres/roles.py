"""Makes the database, for each service a role that owns the schema of its own name, and one that reads for Grafana.

Safe to run again: what is there is brought to what stands here, and nothing is taken from a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from shared.database import READ_ONLY_ROLE

DATABASE: Final = "supply_watch"
MAINTENANCE: Final = "postgres"

# Settings of a role beside its search path. A supply that was paused in a transaction must not block its successor.
ROLE_SETTINGS: Final[dict[str, dict[str, str]]] = {
    "ingest": {},
    "supply": {"idle_in_transaction_session_timeout": "5s"},
    "alerts": {},
}
# Grafana's role: it owns nothing, writes nothing and asks nothing for long. Each service grants it what it may read.
READ_ONLY_SETTINGS: Final = {
    "search_path": "",
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
}


async def set_up(url: str, passwords: Mapping[str, str]) -> None:
    """`url` is the administrator's, to any database of the server; `passwords` holds one for each role.

    Raises KeyError for a role without one, and what asyncpg raises.
    """
    server = await asyncpg.connect(_to(url, MAINTENANCE))
    try:
        for role in ROLE_SETTINGS:
            await _set_up_role(server, role, passwords[role], {"search_path": role, **ROLE_SETTINGS[role]})
        await _set_up_role(server, READ_ONLY_ROLE, passwords[READ_ONLY_ROLE], READ_ONLY_SETTINGS)
        if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await server.execute(f'CREATE DATABASE "{DATABASE}"')
        for database in (DATABASE, "postgres", "template1"):
            await server.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    finally:
        await server.close()
    await _set_up_schemas(_to(url, DATABASE))


async def _set_up_role(server: asyncpg.Connection, role: str, password: str, settings: Mapping[str, str]) -> None:
    if not await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await server.execute(f'CREATE ROLE "{role}" LOGIN')
    quoted = await server.fetchval("SELECT quote_literal($1::text)", password)
    await server.execute(f'ALTER ROLE "{role}" PASSWORD {quoted}')
    for name, value in settings.items():
        await server.execute(f"ALTER ROLE \"{role}\" SET {name} = '{value}'")


async def _set_up_schemas(url: str) -> None:
    database = await asyncpg.connect(url)
    try:
        await database.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await database.execute(f'GRANT CONNECT ON DATABASE "{DATABASE}" TO "{READ_ONLY_ROLE}"')
        for role in ROLE_SETTINGS:
            await database.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{DATABASE}" TO "{role}"')
            await database.execute(f'CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}"')
    finally:
        await database.close()


def _to(url: str, database: str) -> str:
    """The same server and login, another of its databases."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()
