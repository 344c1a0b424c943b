"""The ground that every measurement stands on: one broker, one database server, a fresh database for each run."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from pydantic import SecretStr

from deploy.local.children import ChildSpec
from deploy.local.postgres import SUPERUSER
from deploy.local.progress import Steps
from deploy.local.specs import PYTHON, ROOT
from deploy.local.stack import Stack, StackOptions
from deploy.postgres.roles import DATABASE
from services.supply.settings import SupplySettings
from shared.database import migrate
from tests.stack.places import free_port_base

EMPTY: Final = "bench_empty"
SERVICE: Final = "supply"
MUST_BE_ON: Final = ("fsync", "synchronous_commit", "full_page_writes")
SHOWN: Final = (*MUST_BE_ON, "server_version", "shared_buffers", "max_wal_size", "wal_level", "data_checksums", "jit")


class Unsafe(Exception):
    """The database would lose what it said is committed: nothing is measured on it."""


class Ground:
    """A running stack without any service, but with the keys to ask one."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.viewer: str = stack.credentials["keys"]["viewer"]

    @property
    def kafka(self) -> dict[str, Any]:
        """Options of a confluent-kafka client that may do anything."""
        return self.stack.kafka.admin_login.config()

    def fresh(self) -> None:
        """The service's database, migrated and empty; everything else is written out."""
        asyncio.run(self._copy(EMPTY, DATABASE))

    async def _copy(self, source: str, target: str) -> None:
        async with self.connected(SUPERUSER, "postgres") as server:
            await server.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
            await server.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}" STRATEGY FILE_COPY')
            await server.execute("CHECKPOINT")

    def settle(self) -> None:
        """Writes out what the server holds back, so that nothing of the past falls into what is measured next."""
        asyncio.run(self._settle())

    async def _settle(self) -> None:
        async with self.connected(SUPERUSER, "postgres") as server:
            await server.execute("CHECKPOINT")

    @asynccontextmanager
    async def connected(self, role: str = SERVICE, database: str = DATABASE) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.stack.postgres.url(role, database), timeout=30)
        try:
            yield connection
        finally:
            await connection.close()

    async def prepare(self) -> dict[str, str]:
        """Migrates an empty database to copy from; the server's settings as the service's sessions have them.

        Raises Unsafe unless every commit is on the disk when it is told.
        """
        await migrate(self._settings())
        async with self.connected() as connection:
            shown = {name: str(await connection.fetchval(f"SHOW {name}")) for name in SHOWN}
        if off := [name for name in MUST_BE_ON if shown[name] != "on"]:
            raise Unsafe(f"{', '.join(off)} is not on")
        await self._copy(DATABASE, EMPTY)
        return shown

    def _settings(self) -> SupplySettings:
        told = self.stack.credentials["kafka"]
        return SupplySettings(
            database_url=SecretStr(self.stack.postgres.url(SERVICE)),
            kafka_bootstrap=told["bootstrap"],
            kafka_username=SERVICE,
            kafka_password=SecretStr(self.stack.kafka_password(SERVICE)),
            session_secret=SecretStr("none"),
        )

    def start_program(self, name: str, *settings: tuple[str, str], module: str | None = None) -> str:
        """Starts `python -m bench.<module>`, by default of this name.

        It reads as BENCH_… where Kafka and the database are, and `settings`.
        """
        login = self.stack.kafka.admin_login
        told = {
            "DATABASE_URL": self.stack.postgres.url(SERVICE),
            "KAFKA_BOOTSTRAP": login.bootstrap,
            "KAFKA_USERNAME": login.username,
            "KAFKA_PASSWORD": login.password,
            **dict(settings),
        }
        environment = {**PYTHON, **{f"BENCH_{key}": value for key, value in told.items()}}
        command = (sys.executable, "-m", f"bench.{module or name}")
        spec = ChildSpec(name, command, ROOT, environment, restarts_after_success=False)
        self.stack.children.start_child(spec)
        return name

    def start_service(self, instance: int = 1, *, wait: bool = False) -> str:
        """Starts an instance of the real service; its name."""
        return self.stack.spawn_service(SERVICE, instance=instance, wait=wait)

    def url(self, name: str) -> str:
        """Where the first instance of the service answers."""
        return self.stack.ports.url(name)

    def end(self, *names: str) -> None:
        """Stops what was started, and forgets it."""
        for name in names:
            self.stack.end_service(name)


@contextmanager
def ground(build: Path, steps: Steps) -> Iterator[Ground]:
    """Starts everything in a directory of its own under `build`, which is gone afterwards."""
    build.mkdir(parents=True, exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix="bench-", dir=build))
    try:
        with Stack(StackOptions(run_dir, free_port_base(), "none", services=("ingest",)), steps) as stack:
            stack.stop_child("ingest")  # it was here to hand out keys
            yield Ground(stack)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
