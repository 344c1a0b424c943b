"""The audit of a version before this one is read, and that version goes on writing beside this one."""

from __future__ import annotations

import uuid
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from shared.audit import AuditLog, Wanted
from shared.settings import ROOT

FORMER = "INSERT INTO audit (at, by, action, subject, detail) VALUES (now(), $1, $2, $3, $4)"
# The migration before, and the names of the row written before it and of the one written after.
FORMERLY = [("ingest", "0003", ["", ""]), ("alerts", "0003", ["ann", ""])]


def upgrade(connection: Connection, service: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(ROOT, "services", service, "migrations")))
    config.attributes |= {"connection": connection, "schema": service}
    command.upgrade(config, revision)


@pytest.mark.parametrize(
    ("service", "before", "names"), [("ingest", "0003", ["", ""]), ("alerts", "0003", ["ann", ""])]
)
async def test_rows_of_the_former_version_are_read_and_it_goes_on_writing(
    stack: Stack, service: str, before: str, names: list[str]
) -> None:
    name = f"{service}_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER, "postgres"))
    await server.execute(f'CREATE DATABASE "{name}" OWNER {service}')
    url = stack.postgres.url(service, name)
    old = await asyncpg.connect(url, server_settings={"search_path": service})
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": service}},
    )
    try:
        await old.execute(f"CREATE SCHEMA {service}")
        for revision in (before, "head"):
            async with engine.begin() as connection:
                await connection.run_sync(upgrade, service, revision)
            await old.execute(FORMER, "ann", "something", revision, '{"level": 2}')
        rows = await AuditLog(engine.begin).page(Wanted(who="ann"), None, 10)
    finally:
        await engine.dispose()
        await old.close()
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()
    assert [row["subject"] for row in rows] == ["head", before]
    assert [row["name"] for row in reversed(rows)] == names
    assert all(row["after"] == {"level": 2} and row["before"] is None and row["reason"] == "" for row in rows)
