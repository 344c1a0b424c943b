"""Opens a service's own PostgreSQL schema and brings it to the newest migration."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import stamina
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.settings import ROOT, ServiceSettings

MIGRATE_LOCK = 0x5357_4D49_4752  # one number for the advisory lock of all services: migrations are rare and short
CONNECT_ATTEMPTS_SECONDS = 60.0
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


def dsn(settings: ServiceSettings) -> str:
    """The address of the database for asyncpg."""
    return settings.database_url.get_secret_value()


def engine(settings: ServiceSettings) -> AsyncEngine:
    """A pooled SQLAlchemy engine over asyncpg whose search path is the service's schema."""
    return create_async_engine(
        make_url(dsn(settings)).set(drivername="postgresql+asyncpg"),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.database_timeout_seconds,
        pool_pre_ping=True,
        connect_args={
            "timeout": settings.database_timeout_seconds,
            "command_timeout": settings.database_timeout_seconds,
            "server_settings": {"search_path": settings.SERVICE, "application_name": f"{settings.SERVICE}"},
        },
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
    """Runs the service's Alembic migrations under an advisory lock; waits for a database that is still starting."""
    async for attempt in stamina.retry_context(on=AWAY, timeout=CONNECT_ATTEMPTS_SECONDS, wait_max=2.0, attempts=None):
        with attempt:
            bare = engine(settings)
            try:
                async with bare.begin() as connection:
                    await connection.run_sync(_upgrade, settings.SERVICE)
            finally:
                await bare.dispose()


def _upgrade(connection: Connection, service: str) -> None:
    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATE_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(Path(ROOT, "services", service, "migrations")))
    config.attributes["connection"] = connection
    config.attributes["schema"] = service
    command.upgrade(config, "head")
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": READ_ONLY_ROLE}):
        grants = Path(ROOT, "services", service, "migrations", "read_only.sql").read_text("utf-8")
        for grant in filter(None, map(str.strip, grants.split(";"))):
            connection.exec_driver_sql(grant)
