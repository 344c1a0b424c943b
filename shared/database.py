"""Opens a service's own PostgreSQL schema and brings it to the newest migration."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import asyncpg
import stamina
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.settings import ROOT, ServiceSettings
from shared.telemetry import logger

MIGRATE_LOCK = 0x5357_4D49_4752  # one number for the advisory lock of all services: migrations are rare and short
CONNECT_ATTEMPTS_SECONDS = 60.0
# A migration that waits for a table holds up everyone behind it, the version before among them: it lets go and tries
# again.
MIGRATION_LOCK_TIMEOUT = "2s"
LOCK_NOT_AVAILABLE = "55P03"
# Grafana's role. Whoever sets the database up makes it (it takes a right that no service has); what it may read is
# granted by each service after its migrations: services/<name>/migrations/read_only.sql.
READ_ONLY_ROLE = "grafana"
# What says that the database is away or starting, and not that a query is wrong.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    # A client that was paused finds that the server ended its session in the middle of a statement.
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)

log = logger(__name__)


def dsn(settings: ServiceSettings) -> str:
    """The address of the database for asyncpg."""
    return settings.database_url.get_secret_value()


def engine(settings: ServiceSettings) -> AsyncEngine:
    """A pooled SQLAlchemy engine over asyncpg whose search path is the service's schema.

    asyncpg itself reads the address, here as for the bare pool: SQLAlchemy would not know sslmode and its like.
    """
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(
            asyncpg.connect,
            dsn(settings),
            timeout=settings.database_timeout_seconds,
            command_timeout=settings.database_timeout_seconds,
            server_settings={"search_path": settings.SERVICE, "application_name": settings.SERVICE},
        ),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.database_timeout_seconds,
        pool_pre_ping=True,
    )


async def pool(
    settings: ServiceSettings,
    *,
    size: int,
    command_timeout_seconds: float,
    idle_in_transaction_timeout_ms: int | None = None,
) -> asyncpg.Pool:
    """A bare asyncpg pool for a service's hot path. `= ANY($1)` over many keys needs custom plans."""
    bounds = (
        {}
        if idle_in_transaction_timeout_ms is None
        else {"idle_in_transaction_session_timeout": str(idle_in_transaction_timeout_ms)}
    )
    return await asyncpg.create_pool(
        dsn(settings),
        min_size=1,
        max_size=size,
        timeout=settings.database_timeout_seconds,
        command_timeout=command_timeout_seconds,
        server_settings={
            "search_path": settings.SERVICE,
            "application_name": settings.SERVICE,
            "plan_cache_mode": "force_custom_plan",
            **bounds,
        },
    )


async def migrate(settings: ServiceSettings) -> None:
    """Runs the service's Alembic migrations under an advisory lock, while instances of the version before may run.

    Waits for a database that is still starting, and for a table that they hold. A schema that a later version has
    brought further is left as it is: what a migration adds does not disturb this version.
    """
    async for attempt in stamina.retry_context(
        on=_is_for_later, timeout=CONNECT_ATTEMPTS_SECONDS, wait_max=2.0, attempts=None
    ):
        with attempt:
            bare = engine(settings)
            try:
                async with bare.begin() as connection:
                    await connection.run_sync(_upgrade, settings.SERVICE)
            finally:
                await bare.dispose()


def _is_for_later(error: Exception) -> bool:
    held = isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE
    return held or isinstance(error, AWAY)


def _upgrade(connection: Connection, service: str) -> None:
    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATE_LOCK})"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT}'"))
    config = Config()
    config.set_main_option("script_location", str(Path(ROOT, "services", service, "migrations")))
    config.attributes["connection"] = connection
    config.attributes["schema"] = service
    if later := _unknown(connection, config, service):
        log.warning("the schema is of a later version", service=service, revisions=sorted(later))
        return
    command.upgrade(config, "head")
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": READ_ONLY_ROLE}):
        grants = Path(ROOT, "services", service, "migrations", "read_only.sql").read_text("utf-8")
        for grant in filter(None, map(str.strip, grants.split(";"))):
            connection.exec_driver_sql(grant)


def _unknown(connection: Connection, config: Config, service: str) -> set[str]:
    """Revisions that the schema has and this version does not know."""
    there = MigrationContext.configure(connection, opts={"version_table_schema": service}).get_current_heads()
    return set(there) - {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
